//! Further facts of a user that the provider vouches for.

mod patch;
mod value;

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

pub use self::patch::ClaimsPatch;
use self::value::ValueSeed;
pub use self::value::{ClaimValue, StoredValue};
use crate::session::codec::{Malformed, Reader, put_text};

/// Names with their values, in the order in which they were given. They are kept as they are stored:
/// name and value of one after the other, so a session without claims allocates nothing for them.
///
/// As JSON they are an object.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims(Box<[u8]>);

/// Why something is no claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// A name has other characters than `a-z`, `0-9` and `_`, or not 1 to 32 of them.
    #[error("{:?} is no name of a claim: it has 1 to {} characters of a-z, 0-9 and _", shortened(.0), Claims::NAME_MAX)]
    Name(String),
    /// A name is there twice.
    #[error("the claim {0:?} is there twice")]
    Twice(String),
    /// There are too many.
    #[error("there are more than {} claims", Claims::MAX)]
    Many,
    /// A patch, or several together, names too many.
    #[error(
        "more than {} claims are set or removed, those counted that earlier changes have set",
        ClaimsPatch::MAX
    )]
    ManyChanges,
    /// Together they are too long.
    #[error("names and values together have more than {} bytes", Claims::BYTES_MAX)]
    Long,
    /// The bytes are not the stored form.
    #[error("the stored form of the claims is broken")]
    Malformed,
}

impl From<Malformed> for ClaimsError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Claims {
    /// How many there can be.
    pub const MAX: usize = 32;
    /// How many bytes their stored form can have.
    pub const BYTES_MAX: usize = 2048;
    /// Longest name, in bytes.
    pub const NAME_MAX: usize = 32;

    /// These claims.
    pub fn new<'a, V: Into<ClaimValue<'a>>>(
        claims: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Result<Self, ClaimsError> {
        let mut encoded = Vec::new();
        for (name, value) in claims {
            put_text(&mut encoded, name);
            put_text(&mut encoded, &value.into().stored());
        }
        Self::decode(&encoded)
    }

    /// Whether a claim can have this name.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        (1..=Self::NAME_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    }

    /// The claims of a stored form.
    pub fn decode(encoded: &[u8]) -> Result<Self, ClaimsError> {
        if encoded.len() > Self::BYTES_MAX {
            return Err(ClaimsError::Long);
        }
        let mut rest = Reader(encoded);
        let mut names = Vec::new();
        while !rest.0.is_empty() {
            let (name, stored) = (rest.text()?, rest.text()?);
            if !Self::is_name(name) {
                return Err(ClaimsError::Name(name.to_owned()));
            }
            if names.contains(&name) {
                return Err(ClaimsError::Twice(name.to_owned()));
            }
            if names.len() == Self::MAX {
                return Err(ClaimsError::Many);
            }
            let value = ClaimValue::of_stored(stored).ok_or(ClaimsError::Malformed)?;
            if value.stored() != stored {
                return Err(ClaimsError::Malformed);
            }
            names.push(name);
        }
        Ok(Self(encoded.into()))
    }

    /// The stored form: name and value of each, as [`codec`](crate::session::codec) writes texts. A
    /// value that is no plain text is JSON behind U+0001.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// The names with their values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ClaimValue<'_>)> {
        let mut rest = Reader(&self.0);
        std::iter::from_fn(move || {
            let name = rest.text().ok()?;
            Some((name, ClaimValue::of_stored(rest.text().ok()?)?))
        })
    }

    /// The value of the claim of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ClaimValue<'_>> {
        self.stored(name)?.value()
    }

    /// The same, as it is stored.
    #[must_use]
    pub fn stored(&self, name: &str) -> Option<StoredValue<'_>> {
        let mut rest = Reader(&self.0);
        while rest.text_bytes().ok()? != name.as_bytes() {
            rest.text_bytes().ok()?;
        }
        rest.text().ok().map(StoredValue)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims after this change. One that gets another value keeps its place.
    pub fn merged(&self, patch: &ClaimsPatch) -> Result<Self, ClaimsError> {
        let mut merged: Vec<(&str, ClaimValue<'_>)> = self.iter().collect();
        for (name, value) in patch.iter() {
            let place = merged.iter().position(|(there, _)| *there == name);
            match (place, value) {
                (Some(place), Some(value)) => merged[place].1 = value.clone(),
                (None, Some(value)) => merged.push((name, value.clone())),
                (Some(place), None) => drop(merged.remove(place)),
                (None, None) => {}
            }
        }
        Self::new(merged)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = read_object(deserializer)?;
        let claims: Result<Vec<_>, _> = given
            .iter()
            .map(|(name, value)| match value {
                Some(value) => Ok((&**name, value.clone())),
                None => Err(D::Error::custom(format_args!(
                    "the claim {:?} is null; leave it out",
                    shortened(name)
                ))),
            })
            .collect();
        Self::new(claims?).map_err(D::Error::custom)
    }
}

/// The members of a JSON object as they stand there, a name that is there twice included.
fn read_object<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, Option<ClaimValue<'static>>)>, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Option<ClaimValue<'static>>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of claims")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(name) = map.next_key::<String>()? {
                let value = map.next_value_seed(ValueSeed(shortened(&name)))?;
                members.push((name, value));
            }
            Ok(members)
        }
    }

    deserializer.deserialize_map(Members)
}

/// The beginning of a name, for a message.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(Claims::NAME_MAX + 1)]
}

#[cfg(test)]
mod tests;
