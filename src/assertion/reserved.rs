//! The header names that only the gateway may set.

use crate::assertion::headers::{HeaderNames, VIA};

/// Header names that only the gateway may set, in every spelling that a backend could fold onto
/// them.
#[derive(Debug, Clone)]
pub struct ReservedNames {
    folded: Vec<Vec<u8>>,
    first: [bool; 256],
}

impl ReservedNames {
    /// `x-wx-*`, `x-hufu-*`, the mark of gateways and the configured names.
    pub fn new(names: &HeaderNames) -> Self {
        let folded: Vec<Vec<u8>> = std::iter::once(VIA)
            .chain(names.all())
            .map(|name| name.bytes().map(fold).collect())
            .collect();
        let mut first = [false; 256];
        for byte in folded
            .iter()
            .filter_map(|n| n.first().copied())
            .chain([b'x'])
        {
            first[usize::from(byte)] = true;
            first[usize::from(byte.to_ascii_uppercase())] = true;
        }
        Self { folded, first }
    }

    /// And this one.
    #[must_use]
    pub fn and(mut self, name: Option<&str>) -> Self {
        let folded: Vec<u8> = name.unwrap_or_default().bytes().map(fold).collect();
        if let Some(first) = folded.first() {
            self.first[usize::from(*first)] = true;
            self.first[usize::from(first.to_ascii_uppercase())] = true;
            self.folded.push(folded);
        }
        self
    }

    /// Whether a name, in whatever spelling, is one of them: CGI and WSGI backends read every
    /// character that is neither letter nor digit as the same one, and case does not count.
    pub fn contains(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else {
            return false;
        };
        if !self.first[usize::from(*first)] {
            return false;
        }
        begins_with(name, b"x-wx-")
            || begins_with(name, b"x-hufu-")
            || self
                .folded
                .iter()
                .any(|own| own.len() == name.len() && begins_with(name, own))
    }
}

/// Whether two header names are one to a backend that folds them.
pub fn is_same_name(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    let one = one.as_ref();
    let other = other.as_ref();
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| fold(*one) == fold(*other))
}

/// A byte of a name as a backend reads it that folds names.
pub const fn fold(b: u8) -> u8 {
    if b.is_ascii_alphanumeric() {
        b.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// Whether a name begins so, in whatever spelling.
pub fn begins_with(name: &[u8], folded: &[u8]) -> bool {
    name.len() >= folded.len() && name.iter().zip(folded).all(|(a, b)| fold(*a) == *b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::assertion::ClaimHeader;

    #[test]
    fn every_spelling_is_reserved() {
        let role = ClaimHeader {
            claim: "role".to_owned(),
            header: "X-User-Role".to_owned(),
        };
        let names = HeaderNames {
            subject: "Remote.User".into(),
            claims: vec![role],
            ..HeaderNames::default()
        };
        let reserved = ReservedNames::new(&names).and(Some("Signed.Identity"));
        for name in [
            "signed_identity",
            "Signed-Identity",
            "X-WX-OPENID",
            "x-wx-openid",
            "X_WX_OPENID",
            "X.WX.OPENID",
            "X-WX_ANYTHING",
            "x~wx!y",
            "X-Hufu-Assertion",
            "x_hufu_x",
            "Hufu-Via",
            "hufu_via",
            "remote-user",
            "REMOTE_USER",
            "Remote.User",
            "X-User-Role",
            "x_user_role",
            "X.USER!ROLE",
        ] {
            assert!(reserved.contains(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "X-WX",
            "X-WXA",
            "Authorization",
            "Remote-Users",
            "X-Request-Id",
            "XX-WX-OPENID",
            "X-User-Roles",
            "X-User",
        ] {
            assert!(!reserved.contains(name.as_bytes()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_folded_name_is_reserved_exactly_when_its_fold_is(name in "[xXwW_.\\-a-cH]{0,12}") {
            let reserved = ReservedNames::new(&HeaderNames::default());
            let folded: Vec<u8> = name.bytes().map(fold).collect();
            prop_assert_eq!(reserved.contains(name.as_bytes()), folded.starts_with(b"x-wx-") || folded.starts_with(b"x-hufu-"));
        }
    }
}
