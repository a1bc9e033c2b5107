//! Request targets and hosts: one reading, or none.

use percent_encoding::{AsciiSet, utf8_percent_encode};

use crate::edge::h1::refusal::RequestRefusal;

const FORM: RequestRefusal = RequestRefusal::target(
    "The request target is a path, or \"http://\" with the same host as in the Host header.",
);
const TWO_HOSTS: RequestRefusal =
    RequestRefusal::target("The request target and the Host header name two hosts.");
/// What a target may begin with, and the port that it means where it names none.
const SCHEMES: [(&str, u32); 2] = [("http://", 80), ("https://", 443)];
const FRAGMENT: RequestRefusal =
    RequestRefusal::target("A request target has no fragment: write # as %23.");
const CHARACTER: RequestRefusal =
    RequestRefusal::target("The request target holds a character that must be escaped.");

/// A path and a query, as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestTarget<'a> {
    /// The path; empty where the host stands alone.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// How many bytes of the query go on escaped.
    pub escaped: usize,
}

/// The path and the query of a target: a path with its query, the same behind the host that `Host`
/// names, or `*` for OPTIONS. What servers behind the gateway would read otherwise, or not at all,
/// is refused.
pub fn read<'a>(
    method: &str,
    target: &'a str,
    host: Option<&[u8]>,
) -> Result<RequestTarget<'a>, RequestRefusal> {
    let path = match target.as_bytes() {
        [b'/', ..] => target,
        b"*" if method == "OPTIONS" => {
            return Ok(RequestTarget {
                path: target,
                query: None,
                escaped: 0,
            });
        }
        _ => behind_host(target, host)?,
    };
    let escaped = check_path(path.as_bytes())?;
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    Ok(RequestTarget {
        path,
        query,
        escaped,
    })
}

/// What stands behind the scheme and the host, which is the one that `Host` names.
fn behind_host<'a>(target: &'a str, host: Option<&[u8]>) -> Result<&'a str, RequestRefusal> {
    let (behind_scheme, default_port) = SCHEMES
        .iter()
        .find_map(|(scheme, port)| Some((behind(target, scheme)?, *port)))
        .ok_or(FORM)?;
    let (authority, path) = behind_scheme.split_at(
        behind_scheme
            .find(['/', '?', '#'])
            .unwrap_or(behind_scheme.len()),
    );
    if !host.is_some_and(|host| is_same_host(host, authority.as_bytes(), default_port)) {
        return Err(TWO_HOSTS);
    }
    // A query may stand right behind the host (RFC 3986, section 3.3: the path is empty).
    if path.is_empty() || path.starts_with(['/', '?']) {
        Ok(path)
    } else {
        Err(FORM)
    }
}

fn behind<'a>(target: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Whether both name the same host and port: in any case of letters, and no port is the default one
/// (RFC 9110, section 4.2.3).
fn is_same_host(one: &[u8], other: &[u8], default_port: u32) -> bool {
    let (Some((one, port)), Some((other, other_port))) = (split_host(one), split_host(other))
    else {
        return false;
    };
    let number = |port: &[u8]| {
        if port.len() > 1 {
            number(&port[1..])
        } else {
            default_port
        }
    };
    one.eq_ignore_ascii_case(other) && number(port) == number(other_port)
}

/// How many bytes go on escaped.
fn check_path(path: &[u8]) -> Result<usize, RequestRefusal> {
    let mut in_query = false;
    let mut escaped = 0;
    for &byte in path {
        in_query |= byte == b'?';
        // A query may hold a few more than a path.
        let allowed = if in_query {
            in_queries(byte)
        } else {
            in_paths(byte)
        };
        if !allowed {
            if !(in_query && is_escaped(byte)) {
                return Err(if byte == b'#' { FRAGMENT } else { CHARACTER });
            }
            escaped += 1;
        }
    }
    Ok(escaped)
}

/// Those that servers' parsers take, without what is beyond ASCII.
const fn in_paths(byte: u8) -> bool {
    matches!(byte, b'!' | b'"' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'~')
}

const fn in_queries(byte: u8) -> bool {
    matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~')
}

/// What clients write into queries as it is, though browsers escape it, and not every server's
/// parser takes it. No control is among it, nor a space or a fragment.
const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | 0x80..)
}

/// A query as it goes on, and as everything here reads it: what needs it is escaped (RFC 3986,
/// section 2.1), the rest is as it came.
pub fn escape(query: &str) -> String {
    /// What is beyond ASCII is escaped in any case.
    const ESCAPED: AsciiSet = AsciiSet::EMPTY.add(b'"').add(b'<').add(b'>');
    utf8_percent_encode(query, &ESCAPED).to_string()
}

/// Whether this is a host name or address with an optional port, and nothing that a backend could
/// take for more when it builds links from it.
pub fn is_host(host: &[u8]) -> bool {
    split_host(host).is_some()
}

/// The name, or the address with its brackets, and the port with its colon; `None`: it is no host.
fn split_host(host: &[u8]) -> Option<(&[u8], &[u8])> {
    let of_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let of_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let (name, port, sound) = if host.starts_with(b"[") {
        let (name, port) = host.split_at(host.iter().position(|b| *b == b']')? + 1);
        let inner = &name[1..name.len() - 1];
        (
            name,
            port,
            !inner.is_empty() && inner.iter().all(of_address),
        )
    } else {
        let (name, port) =
            host.split_at(host.iter().position(|b| *b == b':').unwrap_or(host.len()));
        (name, port, !name.is_empty() && name.iter().all(of_name))
    };
    (sound && is_port(port)).then_some((name, port))
}

/// Nothing, or a colon and a number up to 65 535.
fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else {
        return port.is_empty();
    };
    digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) && number(digits) <= 65_535
}

fn number(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |sum: u32, digit| sum * 10 + u32::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use actix_web::http::Uri;

    use super::*;

    fn of_get(target: &str) -> Result<(&str, Option<&str>), RequestRefusal> {
        read("GET", target, Some(b"shop.test")).map(|target| (target.path, target.query))
    }

    #[test]
    fn paths_and_queries_pass_and_what_has_two_readings_does_not() {
        for (good, path, query) in [
            ("/", "/", None),
            ("/a/b?c=d&e", "/a/b", Some("c=d&e")),
            ("/a%2fb;x=1", "/a%2fb;x=1", None),
            ("/?q={a:[1|2]}", "/", Some("q={a:[1|2]}")),
            ("/a?b?c", "/a", Some("b?c")),
            ("/a?", "/a", Some("")),
            ("http://shop.test/x?y", "/x", Some("y")),
            ("https://shop.test", "", None),
            ("http://shop.test?x", "", Some("x")),
            ("http://shop.test:80?", "", Some("")),
            (
                "http://shop.test?http://other.test/",
                "",
                Some("http://other.test/"),
            ),
            ("/a?\u{e9}\"<>", "/a", Some("\u{e9}\"<>")),
            ("/~a!$&'()*+,;=:@", "/~a!$&'()*+,;=:@", None),
        ] {
            assert_eq!(of_get(good), Ok((path, query)), "{good}");
        }
        for (why, targets) in [
            (FRAGMENT, &["/a#b", "/a?b#c", "/a?\u{e9}#"][..]),
            (
                CHARACTER,
                &[
                    "/a<b",
                    "/a b",
                    "/\u{e9}",
                    "/\u{e9}?a",
                    "/a\"<?",
                    "/a?b c",
                    "/a?\0",
                    "/a?\x7f",
                    "/a?\t",
                ],
            ),
            (
                FORM,
                &[
                    "*",
                    "",
                    "a",
                    "ftp://shop.test/",
                    "http://shop.test#x",
                    "other:443",
                ],
            ),
            (
                TWO_HOSTS,
                &[
                    "http://other.test/",
                    "http://other.test?x",
                    "http://other.test?@shop.test/",
                    "http://u@shop.test/",
                    "http:///x",
                ],
            ),
        ] {
            for bad in targets {
                assert_eq!(of_get(bad), Err(why), "{bad}");
            }
        }
        assert_eq!(
            read("OPTIONS", "*", None),
            Ok(RequestTarget {
                path: "*",
                query: None,
                escaped: 0
            })
        );
    }

    #[test]
    fn a_query_goes_on_in_ascii_and_what_needs_no_escape_as_it_came() {
        for (came, goes_on) in [
            ("a=b&c", "a=b&c"),
            ("name=\u{9e21}", "name=%E9%B8%A1"),
            ("q={\"a\":[1]}", "q={%22a%22:[1]}"),
            ("<&>", "%3C&%3E"),
            ("100%&%zz&%e9&|\\^`{}'", "100%&%zz&%e9&|\\^`{}'"),
            ("\u{80}\u{10ffff}", "%C2%80%F4%8F%BF%BF"),
        ] {
            let target = format!("/?{came}");
            let RequestTarget { query, escaped, .. } = read("GET", &target, None).unwrap();
            assert_eq!((query, escape(came).as_str()), (Some(came), goes_on));
            assert_eq!(came.len() + 2 * escaped, goes_on.len(), "{came}");
        }
    }

    #[test]
    fn a_target_and_a_host_that_mean_the_same_are_the_same() {
        let read = |target, host: &'static str| {
            read("GET", target, Some(host.as_bytes())).map(|target| target.path.to_owned())
        };
        for (target, host) in [
            ("http://SHOP.test/x", "shop.test"),
            ("http://shop.test/x", "Shop.Test"),
            ("HTTP://shop.test/x", "shop.test"),
            ("http://shop.test:80/x", "shop.test"),
            ("http://shop.test/x", "shop.test:80"),
            ("http://shop.test:/x", "shop.test:080"),
            ("https://shop.test:443/x", "shop.test"),
            ("http://shop.test:8080/x", "SHOP.test:8080"),
            ("http://[2001:DB8::1]:80/x", "[2001:db8::1]"),
        ] {
            assert_eq!(read(target, host).as_deref(), Ok("/x"), "{target} {host}");
        }
        for (target, host) in [
            ("http://shop.test:8080/x", "shop.test"),
            ("http://shop.test/x", "shop.test:443"),
            ("https://shop.test:80/x", "shop.test"),
            ("http://shop.test./x", "shop.test"),
            ("http://[::1]/x", "[::2]"),
            // The brackets make the difference between an address and a name.
            ("http://[1.2]/x", "1.2"),
            ("http://shop.test@other.test/x", "other.test"),
            ("http://shop.test:80:80/x", "shop.test"),
            ("http://sh%6fp.test/x", "shop.test"),
        ] {
            assert_eq!(read(target, host), Err(TWO_HOSTS), "{target} {host}");
        }
    }

    #[test]
    fn whatever_passes_is_a_uri_of_other_servers_and_means_the_same_there() {
        for byte in 0..=127_u8 {
            for target in [
                format!("/{}x", char::from(byte)),
                format!("/?{}x", char::from(byte)),
            ] {
                if let Ok(RequestTarget { path, query, .. }) = read("GET", &target, None) {
                    let query = query.map(escape);
                    let target = query
                        .as_ref()
                        .map_or_else(|| target.clone(), |query| format!("{path}?{query}"));
                    let query = query.as_deref();
                    let uri = Uri::try_from(&target).unwrap_or_else(|_| panic!("{target}"));
                    assert_eq!(
                        (uri.to_string(), uri.path(), uri.query()),
                        (target.clone(), path, query)
                    );
                }
            }
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for host in [
            "gw",
            "GW.example.com:443",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[2001:db8::1]",
            "shop_a.test",
            "gw:",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":80",
            "a,b",
            "a b",
            "u:p@gw",
            "u@gw",
            "gw/x",
            "gw?x",
            "../",
            "gw:99999",
            "gw:123456",
            "gw:x",
            "gw:+1",
            "[",
            "[::1",
            "[::1]x",
            "\">",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
