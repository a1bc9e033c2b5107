//! Further facts of a user that the provider vouches for.

use std::fmt;

use crate::session::codec::{Malformed, Reader, put_text};

/// Names with their texts, in the order in which they were given. They are kept as they are stored:
/// name and value of one after the other, so a session without claims allocates nothing for them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims(Box<[u8]>);

/// Why something is no claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// A name has other characters than `a-z`, `0-9` and `_`, or not 1 to 32 of them.
    #[error(
        "a claim's name has 1 to {} characters of a-z, 0-9 and _",
        Claims::NAME_MAX
    )]
    Name,
    /// A name is there twice.
    #[error("a claim is there twice")]
    Twice,
    /// There are too many.
    #[error("there are more than {} claims", Claims::MAX)]
    Many,
    /// Together they are too long.
    #[error("the claims have more than {} bytes", Claims::BYTES_MAX)]
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
    pub fn new<'a>(
        claims: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ClaimsError> {
        let mut encoded = Vec::new();
        for (name, value) in claims {
            put_text(&mut encoded, name);
            put_text(&mut encoded, value);
        }
        Self::decode(&encoded)
    }

    /// The claims of a stored form.
    pub fn decode(encoded: &[u8]) -> Result<Self, ClaimsError> {
        if encoded.len() > Self::BYTES_MAX {
            return Err(ClaimsError::Long);
        }
        let mut rest = Reader(encoded);
        let mut names = Vec::new();
        while !rest.0.is_empty() {
            let (name, _) = (rest.text()?, rest.text()?);
            if !is_name(name) {
                return Err(ClaimsError::Name);
            }
            if names.contains(&name) {
                return Err(ClaimsError::Twice);
            }
            if names.len() == Self::MAX {
                return Err(ClaimsError::Many);
            }
            names.push(name);
        }
        Ok(Self(encoded.into()))
    }

    /// The stored form: name and value of each, as [`codec`](crate::session::codec) writes texts.
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// The names with their values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = Reader(&self.0);
        std::iter::from_fn(move || Some((rest.text().ok()?, rest.text().ok()?)))
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn is_name(text: &str) -> bool {
    (1..=Claims::NAME_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_given_is_kept(given in prop::collection::btree_map("[a-z0-9_]{1,32}", ".{0,20}", 0..8)) {
            let claims = Claims::new(given.iter().map(|(name, value)| (&**name, &**value))).unwrap();
            let kept: BTreeMap<_, _> = claims.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(Claims::decode(claims.encoded()), Ok(claims));
            prop_assert_eq!(kept, given);
        }

        #[test]
        fn arbitrary_bytes_are_no_claims_or_those_that_are_written_so(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(claims) = Claims::decode(&bytes) {
                prop_assert_eq!(Claims::new(claims.iter()), Ok(claims.clone()));
                prop_assert_eq!(claims.encoded(), bytes);
            }
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
            assert_eq!(Claims::new([(name, "")]), Err(ClaimsError::Name), "{name}");
        }
        assert_eq!(
            Claims::new([("a", "1"), ("b", ""), ("a", "2")]),
            Err(ClaimsError::Twice)
        );
    }

    #[test]
    fn none_need_no_memory() {
        assert_eq!(Claims::new([]), Ok(Claims::default()));
        assert!(Claims::default().encoded().is_empty());
    }
}
