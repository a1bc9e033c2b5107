//! Further facts of a user that the provider vouches for.

mod patch;
mod value;

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

pub use self::patch::ClaimsPatch;
use self::value::OfClaim;
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
    #[error("more than {} claims are set or removed", ClaimsPatch::MAX)]
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
                let value = map.next_value_seed(OfClaim(shortened(&name)))?;
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
mod tests {
    use proptest::prelude::*;
    use serde_json::Number;

    use super::*;

    fn values() -> impl Strategy<Value = ClaimValue<'static>> {
        prop_oneof![
            "(\u{1}|).{0,20}".prop_map(|text| ClaimValue::Text(text.into())),
            any::<i64>().prop_map(|number| ClaimValue::Number(number.into())),
            any::<u64>().prop_map(|number| ClaimValue::Number(number.into())),
            (-1e9..1e9).prop_map(|number| ClaimValue::Number(Number::from_f64(number).unwrap())),
            any::<bool>().prop_map(ClaimValue::Bool),
            prop::collection::vec(".{0,9}", 0..4)
                .prop_map(|texts| ClaimValue::List(texts.into_iter().map(Into::into).collect())),
        ]
    }

    fn texts_of(value: &ClaimValue<'_>) -> Vec<String> {
        match value {
            ClaimValue::Text(text) => vec![text.to_string()],
            ClaimValue::List(texts) => texts.iter().map(ToString::to_string).collect(),
            ClaimValue::Number(number) => vec![number.to_string()],
            ClaimValue::Bool(yes) => vec![yes.to_string()],
        }
    }

    fn changes() -> impl Strategy<Value = ClaimsPatch> {
        prop::collection::btree_map("[a-c]", prop::option::of(values()), 0..4)
            .prop_map(|changes| ClaimsPatch::new(changes.into_iter().collect()).unwrap())
    }

    proptest! {
        #[test]
        fn what_was_given_is_kept(given in prop::collection::btree_map("[a-z0-9_]{1,32}", values(), 0..8)) {
            let claims = Claims::new(given.iter().map(|(name, value)| (&**name, value.clone()))).unwrap();
            for (name, value) in &given {
                prop_assert_eq!(claims.get(name), Some(value.clone()));
                let mut texts = Vec::new();
                claims.stored(name).unwrap().for_each_text(|text| texts.push(text.to_owned()));
                prop_assert_eq!(texts, texts_of(value));
            }
            prop_assert_eq!(claims.iter().count(), given.len());
            prop_assert_eq!(claims.get("none of these!"), None);
            let json = serde_json::to_string(&claims).unwrap();
            let decoded = Claims::decode(claims.encoded()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Claims>(&json).unwrap(), &claims);
            prop_assert_eq!(decoded, claims);
        }

        #[test]
        fn arbitrary_bytes_are_no_claims_or_those_that_are_written_so(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(claims) = Claims::decode(&bytes) {
                prop_assert_eq!(Claims::new(claims.iter()), Ok(claims.clone()));
                prop_assert_eq!(claims.encoded(), bytes);
            }
        }

        #[test]
        fn a_change_sets_and_removes_and_two_are_one_after_the_other(first in changes(), second in changes()) {
            let before = Claims::new([("a", "1"), ("d", "4")]).unwrap();
            let once = before.merged(&first).unwrap();
            for (name, value) in first.iter() {
                prop_assert_eq!(once.get(name), value.cloned());
            }
            prop_assert_eq!(once.get("d"), before.get("d"));
            let as_object = |claims: &Claims| serde_json::to_value(claims).unwrap();
            let both = first.followed_by(&second).unwrap();
            prop_assert_eq!(
                as_object(&before.merged(&both).unwrap()),
                as_object(&once.merged(&second).unwrap())
            );
            prop_assert_eq!(ClaimsPatch::decode(&both.encoded()), Ok(both.clone()));
            let json = serde_json::to_string(&both).unwrap();
            prop_assert_eq!(serde_json::from_str::<ClaimsPatch>(&json).unwrap(), both);
        }
    }

    #[test]
    fn what_is_no_claims_is_refused_by_the_name_of_the_claim() {
        let cases = [
            ("[]", "an object of claims"),
            (r#"{"User":"1"}"#, r#""User" is no name"#),
            (r#"{"rоle":"staff"}"#, "is no name"),
            (
                r#"{"role":"staff","role":"admin"}"#,
                r#"the claim "role" is there twice"#,
            ),
            (r#"{"a":null}"#, r#"the claim "a" is null"#),
            (r#"{"a":{"b":1}}"#, r#"the claim "a" is an object"#),
            (
                r#"{"a":["x",1]}"#,
                r#"the claim "a" is a list of something else"#,
            ),
            (
                r#"{"a":[["x"]]}"#,
                r#"the claim "a" is a list of something else"#,
            ),
            (r#"{"a":123456789012345678901}"#, "cannot be kept exactly"),
            (r#"{"a":1e400}"#, "out of range"),
        ];
        for (json, reason) in cases {
            let error = serde_json::from_str::<Claims>(json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(Claims::BYTES_MAX));
        let error = serde_json::from_str::<Claims>(&long).unwrap_err();
        assert!(
            error.to_string().contains("more than 2048 bytes"),
            "{error}"
        );
    }

    #[test]
    fn a_typed_value_is_json_behind_a_control_character() {
        let cases: [(ClaimValue<'_>, &str); 5] = [
            ("42".into(), "42"),
            (true.into(), "\u{1}true"),
            (ClaimValue::Number(42.into()), "\u{1}42"),
            (
                ClaimValue::List(vec!["a".into(), "b".into()]),
                "\u{1}[\"a\",\"b\"]",
            ),
            ("\u{1}true".into(), "\u{1}\"\\u0001true\""),
        ];
        for (value, stored) in cases {
            assert_eq!(value.stored(), stored);
        }
        // A value has one stored form.
        for stored in [
            "\u{1} true",
            "\u{1}\"plain\"",
            "\u{1}null",
            "\u{1}{}",
            "\u{1}1e2",
            "\u{1}",
        ] {
            let mut encoded = Vec::new();
            put_text(&mut encoded, "a");
            put_text(&mut encoded, stored);
            assert_eq!(
                Claims::decode(&encoded),
                Err(ClaimsError::Malformed),
                "{stored:?}"
            );
        }
    }

    #[test]
    fn the_limits_hold() {
        let names: Vec<String> = (0..=Claims::MAX)
            .map(|number| format!("n{number}"))
            .collect();
        let all = |count: usize| Claims::new(names[..count].iter().map(|name| (&**name, "")));
        assert_eq!(all(Claims::MAX).unwrap().iter().count(), Claims::MAX);
        assert_eq!(all(Claims::MAX + 1), Err(ClaimsError::Many));
        // A name of one byte, and the lengths in one and two bytes.
        let long = "x".repeat(Claims::BYTES_MAX - 4);
        assert!(Claims::new([("a", &*long)]).is_ok());
        assert_eq!(Claims::new([("aa", &*long)]), Err(ClaimsError::Long));
        let name = "n".repeat(Claims::NAME_MAX);
        assert!(Claims::new([(&*name, "")]).is_ok());
        for name in ["", "Name", "user-id", "n\u{e9}", &*(name + "n")] {
            assert_eq!(
                Claims::new([(name, "")]),
                Err(ClaimsError::Name(name.to_owned()))
            );
        }
        assert_eq!(
            Claims::new([("a", "1"), ("b", ""), ("a", "2")]),
            Err(ClaimsError::Twice("a".to_owned()))
        );
    }

    #[test]
    fn none_need_no_memory() {
        assert_eq!(Claims::new::<&str>([]), Ok(Claims::default()));
        assert!(Claims::default().encoded().is_empty());
    }
}
