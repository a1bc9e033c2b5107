//! Finding the token in a request.

use crate::http::error::{ErrorCode, GatewayError};
use crate::http::head::{Headers, Value};
use crate::session::carrier::{TOKEN_PROTOCOL, TokenCarrier};

/// The token's text as the client sent it, from whichever configured carrier has one. Two that
/// differ, or a second `Authorization`, are refused (RFC 6750 section 2), since nobody can say
/// which of them was meant. An empty place holds none: clients that have just signed out leave them
/// behind.
pub fn find<'a, 'c>(
    carriers: impl IntoIterator<Item = &'c TokenCarrier>,
    headers: Headers<'a>,
    query: Option<&'a str>,
) -> Result<Option<&'a str>, GatewayError> {
    let mut found: Found<'a> = Found(None);
    for carrier in carriers {
        match carrier {
            TokenCarrier::Bearer => found.take(bearer(headers)?)?,
            TokenCarrier::Header(name) => {
                found.take(
                    headers
                        .iter()
                        .filter(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()))
                        .map(|(_, value)| text(value)),
                )?;
            }
            TokenCarrier::Cookie(name) => {
                found.take(cookies(headers).filter(|(n, _)| n == name).map(|(_, v)| v))?;
            }
            TokenCarrier::Query(name) => {
                let pairs = query
                    .into_iter()
                    .flat_map(|q| q.split('&'))
                    .filter_map(|pair| pair.split_once('='));
                found.take(pairs.filter(|(n, _)| n == name).map(|(_, v)| v))?;
            }
            TokenCarrier::Protocol => found.take(
                protocols(headers).filter_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL)),
            )?,
        }
    }
    Ok(found.0)
}

struct Found<'a>(Option<&'a str>);

impl<'a> Found<'a> {
    fn take(&mut self, candidates: impl IntoIterator<Item = &'a str>) -> Result<(), GatewayError> {
        for candidate in candidates
            .into_iter()
            .filter(|candidate| !is_empty(candidate))
        {
            match self.0 {
                Some(other) if other != candidate => {
                    return Err(ambiguous(
                        "The request carries two tokens that differ; send one.",
                    ));
                }
                _ => self.0 = Some(candidate),
            }
        }
        Ok(())
    }
}

fn bearer(headers: Headers<'_>) -> Result<Option<&str>, GatewayError> {
    let mut lines = headers.get_all("authorization");
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(ambiguous(
            "The request has two Authorization headers; send one.",
        ));
    }
    Ok(bearer_token(text(line)))
}

/// What stands behind the scheme of an `Authorization: Bearer`, and the spaces behind it (RFC 9110
/// section 11.4: at least one); empty where nothing does. `None`: another scheme.
#[must_use]
pub fn bearer_token(line: &str) -> Option<&str> {
    let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| rest.trim_start_matches(' '))
}

/// Whether there is nothing in it: a cookie's value may stand in quotes (RFC 6265 section 4.1.1).
fn is_empty(text: &str) -> bool {
    matches!(text, "" | "\"\"")
}

/// The pairs of all `Cookie` lines.
pub fn cookies(headers: Headers<'_>) -> impl Iterator<Item = (&str, &str)> {
    // Pair by pair: one that is not text hides no other.
    let pairs = headers
        .get_all("cookie")
        .flat_map(|line| line.bytes().split(|b| *b == b';'));
    pairs.filter_map(|pair| std::str::from_utf8(pair.trim_ascii()).ok()?.split_once('='))
}

/// The protocols that a WebSocket handshake offers.
pub fn protocols(headers: Headers<'_>) -> impl Iterator<Item = &str> {
    headers
        .get_all("sec-websocket-protocol")
        .filter_map(Value::text)
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|p| !p.is_empty())
}

/// A value that is not text cannot be a token; as an invalid one it is refused rather than
/// overlooked.
fn text(value: Value<'_>) -> &str {
    value.text().unwrap_or("\u{fffd}")
}

fn ambiguous(detail: &'static str) -> GatewayError {
    GatewayError::new(ErrorCode::TokenAmbiguous, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::RequestHead;

    fn headers(lines: &[(&str, &str)]) -> RequestHead {
        RequestHead::sample("GET", "/", lines)
    }

    fn all() -> Vec<TokenCarrier> {
        [
            "bearer",
            "header:X-WX-Skey",
            "cookie:sid",
            "query:3rd_session",
            "protocol",
        ]
        .iter()
        .map(|c| c.parse().unwrap())
        .collect()
    }

    #[test]
    fn each_carrier_is_read_and_the_scheme_has_no_case() {
        for (lines, query) in [
            (vec![("authorization", "Bearer T")], None),
            (vec![("authorization", "bEARER T")], None),
            (vec![("x-wx-skey", "T")], None),
            (vec![("cookie", "a=b; sid=T")], None),
            (vec![], Some("a=b&3rd_session=T")),
            (
                vec![("sec-websocket-protocol", "chat,hufu.v1 , hufu.token.T")],
                None,
            ),
            (
                vec![("authorization", "Bearer T"), ("cookie", "sid=T")],
                Some("3rd_session=T"),
            ),
        ] {
            assert_eq!(
                find(&all(), headers(&lines).headers(), query).unwrap(),
                Some("T"),
                "{lines:?}"
            );
        }
        assert_eq!(
            find(
                &all(),
                headers(&[("authorization", "Basic abc")]).headers(),
                None
            )
            .unwrap(),
            None
        );
        assert_eq!(
            find(
                &[TokenCarrier::Bearer],
                headers(&[("cookie", "sid=T")]).headers(),
                Some("3rd_session=T")
            )
            .unwrap(),
            None
        );
    }

    #[test]
    fn two_tokens_are_ambiguous_and_odd_ones_are_not_overlooked() {
        for (lines, query) in [
            (
                vec![("authorization", "Bearer T"), ("authorization", "Bearer T")],
                None,
            ),
            (
                vec![("authorization", "Bearer T"), ("authorization", "Basic x")],
                None,
            ),
            (
                vec![("authorization", "Bearer T"), ("cookie", "sid=U")],
                None,
            ),
            (vec![("cookie", "sid=T; sid=U")], None),
            (vec![], Some("3rd_session=T&3rd_session=U")),
        ] {
            assert_eq!(
                find(&all(), headers(&lines).headers(), query)
                    .unwrap_err()
                    .code,
                ErrorCode::TokenAmbiguous,
                "{lines:?}"
            );
        }
    }
    #[test]
    fn an_empty_place_holds_no_token_and_hides_none() {
        for empty in [
            ("authorization", "Bearer"),
            ("authorization", "bearer   "),
            ("cookie", "sid="),
            ("cookie", "a=b; sid= ; sid=\"\""),
            ("x-wx-skey", ""),
            ("sec-websocket-protocol", "hufu.v1, hufu.token."),
        ] {
            for query in [None, Some("3rd_session="), Some("3rd_session&3rd_session=")] {
                assert_eq!(
                    find(&all(), headers(&[empty]).headers(), query).unwrap(),
                    None,
                    "{empty:?} {query:?}"
                );
                for live in [
                    ("x-wx-skey", "T"),
                    ("cookie", "sid=T"),
                    ("sec-websocket-protocol", "hufu.token.T"),
                ] {
                    assert_eq!(
                        find(&all(), headers(&[empty, live]).headers(), query).unwrap(),
                        Some("T"),
                        "{empty:?} {live:?} {query:?}"
                    );
                }
            }
            assert_eq!(
                find(
                    &all(),
                    headers(&[empty]).headers(),
                    Some("3rd_session=T&3rd_session=")
                )
                .unwrap(),
                Some("T")
            );
            let two = headers(&[empty, ("cookie", "sid=T"), ("x-wx-skey", "U")]);
            assert_eq!(
                find(&all(), two.headers(), None).unwrap_err().code,
                ErrorCode::TokenAmbiguous,
                "{empty:?}"
            );
        }
        for spaces in ["Bearer  T", "bearer     T"] {
            assert_eq!(
                find(
                    &all(),
                    headers(&[("authorization", spaces), ("cookie", "sid=T")]).headers(),
                    None
                )
                .unwrap(),
                Some("T")
            );
        }
        // A tab is no space.
        assert_eq!(
            find(
                &all(),
                headers(&[("authorization", "Bearer\tT")]).headers(),
                None
            )
            .unwrap(),
            None
        );
        let two = headers(&[("authorization", "Bearer"), ("authorization", "Bearer T")]);
        assert_eq!(
            find(&all(), two.headers(), None).unwrap_err().code,
            ErrorCode::TokenAmbiguous
        );
    }
}
