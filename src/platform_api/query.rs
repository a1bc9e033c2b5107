//! The query of a call: the token in it, and everything else as it came. A credential in a second
//! place or in another spelling is refused, since the platform might read that one.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::http::{ErrorCode, GatewayError};
use crate::provider::server_api::ServerApi;

/// What needs no escape in a query (RFC 3986 section 2.3) has none.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A query, apart from its token.
#[derive(PartialEq, Eq)]
pub(super) struct CallQuery<'a> {
    /// As it came.
    pub(super) token: Option<&'a str>,
    rest: Vec<&'a str>,
}

impl fmt::Debug for CallQuery<'_> {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallQuery")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

/// Reads a query.
pub(super) fn read<'a>(
    query: Option<&'a str>,
    api: &ServerApi,
) -> Result<CallQuery<'a>, GatewayError> {
    let mut found = CallQuery {
        token: None,
        rest: Vec::new(),
    };
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == api.token_parameter && !value.contains(';') {
            if found.token.replace(value).is_some() {
                return Err(twice());
            }
            continue;
        }
        // Some servers take a semicolon for an ampersand.
        let names = pair.split(';').map(|piece| piece.split('=').next());
        if names.flatten().any(|name| is_credential(name, api)) {
            return Err(twice());
        }
        if !pair.is_empty() {
            found.rest.push(pair);
        }
    }
    Ok(found)
}

impl CallQuery<'_> {
    /// The query with this token.
    pub(super) fn with_token(&self, api: &ServerApi, token: &str) -> String {
        let length: usize = self.rest.iter().map(|pair| pair.len() + 1).sum();
        let mut query = String::with_capacity(length + api.token_parameter.len() + token.len() + 1);
        query.push_str(api.token_parameter);
        query.push('=');
        query.extend(utf8_percent_encode(token, ESCAPED));
        for pair in &self.rest {
            query.push('&');
            query.push_str(pair);
        }
        query
    }
}

/// Whether some server could take this for the name of a credential: decoded, in any case of
/// letters, with an index or a space behind it, or with the characters that PHP makes underscores of.
fn is_credential(name: &str, api: &ServerApi) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let is_space = |c: char| c == '+' || c.is_whitespace() || c.is_control();
    let name = name.trim_matches(is_space);
    let name = name.split('[').next().unwrap_or_default();
    let first_word = name.split(is_space).next().unwrap_or_default();
    [name, first_word].into_iter().any(|name| {
        let name: String = name
            .chars()
            .map(|c| match c {
                '.' | ' ' | '+' | '-' => '_',
                other => other.to_ascii_lowercase(),
            })
            .collect();
        name == api.token_parameter || api.other_credentials.contains(&name.as_str())
    })
}

fn twice() -> GatewayError {
    GatewayError::new(
        ErrorCode::TokenAmbiguous,
        "The query has more than one credential, or one under another name than access_token; send access_token once.",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::registry::server_api;

    fn of(query: &str) -> Option<(Option<&str>, String)> {
        let read = read(Some(query), server_api()).ok()?;
        Some((read.token, read.with_token(server_api(), "T-_1")))
    }

    #[test]
    fn the_token_is_replaced_and_the_rest_stays_as_it_came() {
        for (query, token, passed) in [
            (
                "access_token=hufu_at_x",
                Some("hufu_at_x"),
                "access_token=T-_1",
            ),
            (
                "a=1&access_token=x&b=%20+%2F",
                Some("x"),
                "access_token=T-_1&a=1&b=%20+%2F",
            ),
            ("a=1;2&&b", None, "access_token=T-_1&a=1;2&b"),
            (
                "my_access_token=1",
                None,
                "access_token=T-_1&my_access_token=1",
            ),
            (
                "x=access_token=1",
                None,
                "access_token=T-_1&x=access_token=1",
            ),
            ("access_token=", Some(""), "access_token=T-_1"),
            ("", None, "access_token=T-_1"),
        ] {
            assert_eq!(of(query), Some((token, passed.to_owned())), "{query}");
        }
    }

    #[test]
    fn a_second_credential_is_refused_in_any_spelling() {
        for query in [
            "access_token=a&access_token=b",
            "access_token=a&access_token=a",
            "access_token=a&access%5Ftoken=b",
            "access%5ftoken=b",
            "Access_Token=b",
            "access_token=a&ACCESS_TOKEN",
            "access_token=a;access_token=b",
            "a=1;access_token=b",
            "access.token=a",
            "access+token=a",
            "+access_token=a",
            "%20access_token=a",
            "access_token%00=a",
            "access_token%20x=a",
            "access_token+x=a",
            "access_token%09x",
            "access_token%20[]=a",
            "component_access_token%20x=a",
            "access_token[]=a",
            "access_token%5B0%5D=a",
            "component_access_token=a",
            "access_token=a&cloudbase_access_token=b",
            "Cloudbase_access_token=b",
        ] {
            assert_eq!(of(query), None, "{query}");
        }
    }

    proptest! {
        /// Whoever reads the query that is passed on finds one credential in it: the gateway's.
        #[test]
        fn what_is_passed_on_has_one_credential(query in "((a|x|access_token|Access_Token|access%5Ftoken|component_access_token|access_token\\[\\]|%61ccess_token)(=|;|&|=T&|%3D|)){0,5}") {
            if let Some((_, passed)) = of(&query) {
                let url = reqwest::Url::parse(&format!("http://h/?{passed}")).unwrap();
                let names = ["access_token", "component_access_token", "access_token[]"];
                let credentials: Vec<_> = url
                    .query_pairs()
                    .filter(|(name, _)| names.contains(&&*name.to_ascii_lowercase()))
                    .collect();
                prop_assert_eq!(&credentials, &[("access_token".into(), "T-_1".into())]);
                let pieces = passed.split(['&', ';']).skip(1);
                let mut others = pieces.map(|piece| piece.split('=').next().unwrap_or_default());
                prop_assert!(others.all(|name| !names.contains(&&*name.to_ascii_lowercase())));
            }
        }
    }
}
