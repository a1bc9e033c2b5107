//! Request targets and hosts: one reading, or none.

use crate::edge::refusal::Refusal;

const FORM: Refusal = Refusal::target("The request target is a path, or \"http://\" with the same host as in the Host header.");
const TWO_HOSTS: Refusal = Refusal::target("The request target and the Host header name two hosts.");
const FRAGMENT: Refusal = Refusal::target("A request target has no fragment: write # as %23.");
const CHARACTER: Refusal = Refusal::target("The request target holds a character that must be escaped.");

/// Checks a target: a path with its query, the same behind the host that `Host` names, or `*` for OPTIONS. What the server behind the
/// gate would read otherwise, or not at all, is refused.
pub fn check(method: &str, target: &[u8], host: Option<&[u8]>) -> Result<(), Refusal> {
    match target {
        [b'/', ..] => check_path(target),
        b"*" if method == "OPTIONS" => Ok(()),
        _ => {
            let behind_scheme = [&b"http://"[..], b"https://"].iter().find_map(|scheme| target.strip_prefix(*scheme)).ok_or(FORM)?;
            let end = behind_scheme.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(behind_scheme.len());
            let (authority, path) = behind_scheme.split_at(end);
            if host != Some(authority) {
                return Err(TWO_HOSTS);
            }
            if path.is_empty() || path.starts_with(b"/") { check_path(path) } else { Err(FORM) }
        }
    }
}

fn check_path(path: &[u8]) -> Result<(), Refusal> {
    let mut in_query = false;
    for &byte in path {
        in_query |= byte == b'?';
        // A query may hold a few more than a path.
        let allowed = if in_query { in_queries(byte) } else { in_paths(byte) };
        if !allowed {
            return Err(if byte == b'#' { FRAGMENT } else { CHARACTER });
        }
    }
    Ok(())
}

/// Those that the server's own parser takes, without what is beyond ASCII.
const fn in_paths(byte: u8) -> bool {
    matches!(byte, b'!' | b'"' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'~')
}

const fn in_queries(byte: u8) -> bool {
    matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~')
}

/// Whether this is a host name or address with an optional port, and nothing that a backend could take for more when it builds links
/// from it.
#[must_use]
pub fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|b| *b == b']') {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => return false,
        },
        None => host.iter().position(|b| *b == b':').map_or((host, &host[host.len()..]), |at| host.split_at(at)),
    };
    let of_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let of_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let good_name = if host.starts_with(b"[") { name.iter().all(of_address) } else { name.iter().all(of_name) };
    !name.is_empty() && good_name && is_port(port)
}

/// Nothing, or a colon and a number up to 65 535.
fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else { return port.is_empty() };
    let number = |digits: &[u8]| digits.iter().fold(0, |sum: u32, digit| sum * 10 + u32::from(digit - b'0'));
    digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) && number(digits) <= 65_535
}

#[cfg(test)]
mod tests {
    use actix_web::http::Uri;

    use super::*;

    fn of_get(target: &str) -> Result<(), Refusal> {
        check("GET", target.as_bytes(), Some(b"shop.test"))
    }

    #[test]
    fn paths_and_queries_pass_and_what_has_two_readings_does_not() {
        for good in ["/", "/a/b?c=d&e", "/a%2fb;x=1", "/?q={a:[1|2]}", "/a?b?c", "http://shop.test/x", "https://shop.test", "/~a!$&'()*+,;=:@"] {
            assert_eq!(of_get(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("/a#b", FRAGMENT),
            ("/a?b#c", FRAGMENT),
            ("/a<b", CHARACTER),
            ("/a b", CHARACTER),
            ("/\u{e9}", CHARACTER),
            ("/a?\u{e9}", CHARACTER),
            ("*", FORM),
            ("", FORM),
            ("a", FORM),
            ("ftp://shop.test/", FORM),
            ("http://shop.test?x", FORM),
            ("http://other.test/", TWO_HOSTS),
            ("http://u@shop.test/", TWO_HOSTS),
            ("http:///x", TWO_HOSTS),
            ("other:443", FORM),
        ] {
            assert_eq!(of_get(bad), Err(why), "{bad}");
        }
        assert_eq!(check("OPTIONS", b"*", None), Ok(()));
    }

    #[test]
    fn whatever_passes_is_a_uri_of_the_server_and_means_the_same_there() {
        for byte in 0..=255u8 {
            for target in [&[b'/', byte, b'x'][..], &[b'/', b'?', byte, b'x']] {
                if check("GET", target, None).is_ok() {
                    let uri = Uri::try_from(target).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(target)));
                    assert_eq!(uri.to_string().as_bytes(), target);
                }
            }
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for host in ["gw", "GW.example.com:443", "127.0.0.1:8080", "[::1]:8080", "[2001:db8::1]", "shop_a.test", "gw:"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["", ":80", "a,b", "a b", "u:p@gw", "u@gw", "gw/x", "gw?x", "../", "gw:99999", "gw:123456", "gw:x", "gw:+1", "[", "[::1", "[::1]x", "\">"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
