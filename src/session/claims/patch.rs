//! A change of claims.

use std::fmt;

use serde::de::{Deserializer, Error};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use super::value::ClaimValue;
use super::{Claims, ClaimsError, read_object};
use crate::session::codec::{Reader, put_text};

/// A JSON merge patch (RFC 7396) of claims: each named claim gets this value, or goes.
#[derive(Clone, Default, PartialEq)]
pub struct ClaimsPatch(Vec<(String, Option<ClaimValue<'static>>)>);

const REMOVED: u8 = 0;
const SET: u8 = 1;

impl ClaimsPatch {
    /// How many claims it can name: those that it sets, and as many that it removes.
    pub const MAX: usize = 64;

    /// The claims that it names with their values; `None`: the claim goes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&ClaimValue<'static>>)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_ref()))
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patch that does what this one does, and then the other.
    pub fn followed_by(&self, later: &Self) -> Result<Self, ClaimsError> {
        let mut both = self.0.clone();
        both.retain(|(name, _)| later.iter().all(|(changed, _)| changed != name));
        both.extend(later.0.iter().cloned());
        Self::new(both)
    }

    /// A patch of these.
    pub fn new(changes: Vec<(String, Option<ClaimValue<'static>>)>) -> Result<Self, ClaimsError> {
        for (at, (name, _)) in changes.iter().enumerate() {
            if !Claims::is_name(name) {
                return Err(ClaimsError::Name(name.clone()));
            }
            if changes[..at].iter().any(|(before, _)| before == name) {
                return Err(ClaimsError::Twice(name.clone()));
            }
        }
        if changes.len() > Self::MAX {
            return Err(ClaimsError::ManyChanges);
        }
        Ok(Self(changes))
    }

    /// The stored form: the name of each, then 0 for one that goes, or 1 and its stored value.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in &self.0 {
            put_text(&mut out, name);
            match value {
                None => out.push(REMOVED),
                Some(value) => {
                    out.push(SET);
                    put_text(&mut out, &value.stored());
                }
            }
        }
        out
    }

    /// The patch of a stored form.
    pub fn decode(encoded: &[u8]) -> Result<Self, ClaimsError> {
        let mut rest = Reader(encoded);
        let mut changes = Vec::new();
        while !rest.0.is_empty() {
            let name = rest.text()?.to_owned();
            let value = match rest.byte()? {
                REMOVED => None,
                SET => {
                    let value =
                        ClaimValue::of_stored(rest.text()?).ok_or(ClaimsError::Malformed)?;
                    Some(value.into_owned())
                }
                _ => return Err(ClaimsError::Malformed),
            };
            changes.push((name, value));
        }
        Self::new(changes)
    }
}

impl fmt::Debug for ClaimsPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for ClaimsPatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ClaimsPatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(read_object(deserializer)?).map_err(D::Error::custom)
    }
}
