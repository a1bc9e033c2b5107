//! The tokens that open the admin API. Each has a name, which says in audit lines who it was.

use std::sync::Arc;

use crate::crypto::hash;
use crate::secret::Secret;

/// A token of the configuration.
#[derive(Debug, Clone)]
pub struct AdminToken {
    pub name: Arc<str>,
    pub secret: Secret<String>,
}

impl AdminToken {
    /// The name of `admin.token`.
    pub const UNNAMED: &str = "admin";

    /// The key under which it stands in the configuration.
    pub fn key(&self) -> String {
        if *self.name == *Self::UNNAMED {
            "admin.token".to_owned()
        } else {
            format!("admin.tokens.{}", self.name)
        }
    }
}

/// What is sent is compared with these: hashes of one length, so that comparing tells nothing.
pub(super) struct KnownTokens(Vec<KnownToken>);

struct KnownToken {
    name: Arc<str>,
    sha256: [u8; 32],
}

impl KnownTokens {
    pub(super) fn new(tokens: &[AdminToken]) -> Self {
        let known = |token: &AdminToken| KnownToken {
            name: token.name.clone(),
            sha256: hash::sha256(token.secret.expose().as_bytes()),
        };
        Self(tokens.iter().map(known).collect())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of this token. It is compared with all of them, so the time does not tell which one
    /// it was.
    pub(super) fn name_of(&self, given: &str) -> Option<&Arc<str>> {
        let given = hash::sha256(given.as_bytes());
        self.0.iter().fold(None, |found, token| {
            let is_equal = hash::constant_time_eq(&given, &token.sha256);
            if is_equal { Some(&token.name) } else { found }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_name() {
        let token = |name: &str, secret: &str| AdminToken {
            name: name.into(),
            secret: Secret::new(secret.to_owned()),
        };
        let known = KnownTokens::new(&[token("admin", "a"), token("ops", "b"), token("on", "c")]);
        let name_of = |given| known.name_of(given).map(|name| &**name);
        assert_eq!(
            ["a", "b", "c", "", "ab", "ops"].map(name_of),
            [Some("admin"), Some("ops"), Some("on"), None, None, None]
        );
    }
}
