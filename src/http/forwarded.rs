//! `Forwarded` (RFC 7239), read from its right end: there stand the words of the proxies that are
//! trusted, whatever a client has written to the left of them.

use std::iter::from_fn;
use std::net::IpAddr;

use crate::http::address::address;
use crate::http::head::Headers;

/// Its name.
pub const FORWARDED: &str = "forwarded";

/// What one proxy says of the request that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a>(&'a str);

impl<'a> Element<'a> {
    /// The address that the proxy got it from, where it says one.
    pub fn client(self) -> Option<IpAddr> {
        self.get("for").and_then(address)
    }

    /// The value of a parameter, without its quotes.
    pub fn get(self, parameter: &str) -> Option<&'a str> {
        split_from_the_right(self.0, b';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(parameter)
                .then(|| value.trim().trim_matches('"'))
        })
    }
}

/// All elements, of the last line first; `None` for a line that is not text.
pub fn elements(headers: Headers<'_>) -> impl Iterator<Item = Option<Element<'_>>> {
    headers.get_all(FORWARDED).rev().flat_map(|line| {
        let text = line.text();
        split_from_the_right(text.unwrap_or_default(), b',')
            .map(move |element| text.map(|_| Element(element)))
    })
}

/// What the proxy says that got the request from this client; where several do, the one that is
/// nearest.
pub fn of_client(headers: Headers<'_>, client: IpAddr) -> Option<Element<'_>> {
    elements(headers).flatten().find(|element| {
        element
            .client()
            .is_some_and(|address| address.to_canonical() == client)
    })
}

/// The parts between separators, the last one first; one within quotes separates nothing. Read from
/// the right, a quote that a client has left open reaches no further than its own words.
fn split_from_the_right(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let at = (0..text.len()).rev().find(|&at| {
            let byte = text.as_bytes()[at];
            quoted ^= byte == b'"' && !is_escaped(text.as_bytes(), at);
            byte == separator && !quoted
        });
        rest = at.map(|at| &text[..at]);
        Some(at.map_or(text, |at| &text[at + 1..]))
    })
}

fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::RequestHead;

    fn clients(lines: &[&str]) -> Vec<Option<String>> {
        let lines: Vec<_> = lines.iter().map(|line| (FORWARDED, *line)).collect();
        let head = RequestHead::sample("GET", "/", &lines);
        elements(head.headers())
            .map(|element| element?.client().map(|client| client.to_string()))
            .collect()
    }

    fn some(addresses: &[&str]) -> Vec<Option<String>> {
        addresses
            .iter()
            .map(|address| Some((*address).to_owned()))
            .collect()
    }

    #[test]
    fn elements_come_from_the_right() {
        assert_eq!(
            clients(&[
                "for=1.1.1.1;proto=http, For=\"[2001:db8::1]:47\"",
                "for=2.2.2.2"
            ]),
            some(&["2.2.2.2", "2001:db8::1", "1.1.1.1"])
        );
        assert_eq!(
            clients(&["for=_hidden", "for=unknown, proto=http", ""]),
            [None, None, None, None]
        );
        assert_eq!(clients(&[]), []);
    }

    /// A proxy may quote what the client sent as `Host`; and the client may have left a quote open.
    #[test]
    fn what_is_quoted_separates_nothing() {
        for quoted in [
            r#"for=1.1.1.1;host="a,for=6.6.6.6""#,
            r#"for=1.1.1.1;host="a;for=6.6.6.6""#,
            r#"host="a\",for=6.6.6.6";for=1.1.1.1"#,
        ] {
            assert_eq!(clients(&[quoted]), some(&["1.1.1.1"]), "{quoted}");
        }
        for open in [
            "for=\"6.6.6.6",
            "\"",
            "for=6.6.6.6;host=\"x\\",
            "\\",
            "\"\\\"",
            ",,;;=\"\"\"",
        ] {
            assert_eq!(
                clients(&[&format!("{open}, for=1.1.1.1;proto=https")])[0].as_deref(),
                Some("1.1.1.1"),
                "{open}"
            );
        }
    }

    #[test]
    fn the_nearest_proxy_that_saw_the_client_speaks() {
        let head = RequestHead::sample(
            "GET",
            "/",
            &[(
                FORWARDED,
                "for=1.1.1.1;proto=http;host=evil, for=1.1.1.1;Proto=\"https\";host=a.test, for=10.0.0.2",
            )],
        );
        let element = of_client(head.headers(), [1, 1, 1, 1].into()).unwrap();
        assert_eq!(
            (element.get("proto"), element.get("host"), element.get("by")),
            (Some("https"), Some("a.test"), None)
        );
        assert_eq!(of_client(head.headers(), [2, 2, 2, 2].into()), None);
    }
}
