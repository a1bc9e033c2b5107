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

    /// The token among all carriers.
    fn found(lines: &[(&str, &str)], query: Option<&str>) -> Result<Option<String>, ErrorCode> {
        let carriers = [
            "bearer",
            "header:X-WX-Skey",
            "cookie:sid",
            "query:3rd_session",
            "protocol",
        ]
        .map(|carrier| carrier.parse().unwrap());
        found_by(&carriers, lines, query)
    }

    fn found_by(
        carriers: &[TokenCarrier],
        lines: &[(&str, &str)],
        query: Option<&str>,
    ) -> Result<Option<String>, ErrorCode> {
        let head = RequestHead::sample("GET", "/", lines);
        match find(carriers, head.headers(), query) {
            Ok(token) => Ok(token.map(str::to_owned)),
            Err(error) => Err(error.code),
        }
    }

    const AUTHORIZATION: &str = "authorization";
    const BEARER: (&str, &str) = (AUTHORIZATION, "Bearer T");
    const COOKIE: (&str, &str) = ("cookie", "sid=T");
    const HEADER: (&str, &str) = ("x-wx-skey", "T");

    #[test]
    fn each_carrier_is_read_and_the_scheme_has_no_case() {
        for (lines, query) in [
            (&[BEARER][..], None),
            (&[(AUTHORIZATION, "bEARER T")], None),
            (&[(AUTHORIZATION, "Bearer  T"), COOKIE], None),
            (&[(AUTHORIZATION, "bearer     T"), COOKIE], None),
            (&[HEADER], None),
            (&[("cookie", "a=b; sid=T")], None),
            (&[], Some("a=b&3rd_session=T")),
            (
                &[("sec-websocket-protocol", "chat,hufu.v1 , hufu.token.T")],
                None,
            ),
            (&[BEARER, COOKIE], Some("3rd_session=T")),
        ] {
            assert_eq!(found(lines, query), Ok(Some("T".to_owned())), "{lines:?}");
        }
        // A tab is no space.
        for other in ["Basic abc", "Bearer\tT"] {
            assert_eq!(found(&[(AUTHORIZATION, other)], None), Ok(None), "{other}");
        }
        let elsewhere = found_by(&[TokenCarrier::Bearer], &[COOKIE], Some("3rd_session=T"));
        assert_eq!(elsewhere, Ok(None));
    }

    #[test]
    fn two_tokens_are_ambiguous_and_odd_ones_are_not_overlooked() {
        for (lines, query) in [
            (&[BEARER, BEARER][..], None),
            (&[BEARER, (AUTHORIZATION, "Basic x")], None),
            (&[(AUTHORIZATION, "Bearer"), BEARER], None),
            (&[BEARER, ("cookie", "sid=U")], None),
            (&[("cookie", "sid=T; sid=U")], None),
            (&[], Some("3rd_session=T&3rd_session=U")),
        ] {
            let ambiguous = Err(ErrorCode::TokenAmbiguous);
            assert_eq!(found(lines, query), ambiguous, "{lines:?}");
        }
    }
}
