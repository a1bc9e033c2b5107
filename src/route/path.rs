//! The canonical form of a request path, or the reason why there is none.
//!
//! What two servers could read in two ways is refused, never guessed: dot segments, encoded slashes
//! and backslashes, NUL and control characters, escapes of escapes, invalid UTF-8. What has one
//! meaning is brought into one form: escapes of unreserved characters are decoded, the others
//! written in upper case, repeated slashes merged (as nginx merges them for matching, and clients
//! that join a base URL and a path produce them).

use std::borrow::Cow;

use percent_encoding::percent_encode_byte;
use rustc_hash::FxHashMap;

/// Why a path is refused. The text goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not a path at all (`*`, an authority).
    #[error("the request target does not start with a slash")]
    NotAPath,
    /// `.` or `..`, written in any way.
    #[error("the path has a dot segment; send the path that is meant")]
    DotSegment,
    /// `%2f`, `%5c` or a backslash.
    #[error("the path has an encoded slash or a backslash, which servers read in different ways")]
    Slash,
    /// A control character, raw or encoded.
    #[error("the path has a control character")]
    Control,
    /// `%` without two hexadecimal digits.
    #[error("the path has a percent sign without two hexadecimal digits")]
    Escape,
    /// An escape that decodes to another escape of a character with a meaning in paths.
    #[error("the path has an escaped escape, which servers that decode twice read in another way")]
    DoubleEscape,
    /// Its bytes are not UTF-8.
    #[error("the path is not UTF-8")]
    Utf8,
    /// A path that would go on with two slashes at its front.
    #[error(
        "the path that goes on begins with two slashes, which servers read as the name of a host"
    )]
    Front,
    /// Another reading of the path (without `;` parameters or a suffix, or ignoring case) belongs
    /// to another route.
    #[error("the path can be read as belonging to another route")]
    Ambiguous,
}

/// What a path has behind a prefix of whole segments: nothing, or a slash and more.
pub fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The canonical form of a raw path (without the query).
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let bytes = raw.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathError::NotAPath);
    }
    if bytes.iter().all(|b| is_plain(*b)) && !has_empty_or_dotted_segment(bytes) {
        return Ok(Cow::Borrowed(raw));
    }
    let rewritten = rewrite(bytes, Slashes::Refused)?;
    refuse_dot_segments(&rewritten)?;
    refuse_other_escapes(&rewritten)?;
    Ok(Cow::Owned(rewritten))
}

/// The same form where an encoded slash is allowed, which stays one. Whether a server takes it for
/// a slash or for a part of a name: the path has no dot segment.
pub fn with_encoded_slashes(raw: &str) -> Result<String, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError::NotAPath);
    }
    let rewritten = rewrite(raw.as_bytes(), Slashes::Kept)?;
    refuse_dot_segments(&slashes_decoded(&rewritten))?;
    refuse_other_escapes(&rewritten)?;
    Ok(rewritten)
}

/// A path of that form as servers see it that take an encoded slash for a slash.
pub fn slashes_decoded(path: &str) -> String {
    path.replace("%2F", "/")
}

/// Whether a path of that form has an encoded slash.
pub fn has_encoded_slash(path: &str) -> bool {
    path.contains("%2F")
}

/// A path as it came, but for what cannot stand in a request line.
pub fn as_it_came(raw: &str) -> Cow<'_, str> {
    if raw.bytes().all(|b| !must_be_escaped(b)) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() + 16);
    for b in raw.bytes() {
        if must_be_escaped(b) {
            out.push_str(percent_encode_byte(b));
        } else {
            out.push(char::from(b));
        }
    }
    Cow::Owned(out)
}

/// What is done with `%2F`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slashes {
    Refused,
    Kept,
}

fn refuse_other_escapes(path: &str) -> Result<(), PathError> {
    refuse_double_escapes(path)?;
    if percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .is_err()
    {
        Err(PathError::Utf8)
    } else {
        Ok(())
    }
}

const fn must_be_escaped(b: u8) -> bool {
    matches!(
        b,
        0x80..|b' '| b'"'
            | b'<'
            | b'>'
            | b'`'
            | b'{'
            | b'}'
            | b'|'
            | b'^'
            | b'['
            | b']'
            | b'#'
            | b'?'
    )
}

/// Characters that need no second look: RFC 3986 `pchar` and the slash, without `%` and `;`.
const fn is_plain(b: u8) -> bool {
    is_unreserved(b)
        || matches!(
            b,
            b'/' | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

const fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

fn has_empty_or_dotted_segment(path: &[u8]) -> bool {
    path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

fn rewrite(path: &[u8], slashes: Slashes) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len() + 16);
    let mut rest = path;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        match b {
            b'%' => {
                let (value, after) = escape(rest)?;
                rest = after;
                push_escaped(&mut out, value, slashes)?;
            }
            b'/' => {
                if !out.ends_with('/') {
                    out.push('/');
                }
            }
            b'\\' => return Err(PathError::Slash),
            0..=0x1f | 0x7f => return Err(PathError::Control),
            _ if must_be_escaped(b) => out.push_str(percent_encode_byte(b)),
            _ => out.push(char::from(b)),
        }
    }
    Ok(out)
}

/// The byte that an escape stands for, and what follows it.
fn escape(after_percent: &[u8]) -> Result<(u8, &[u8]), PathError> {
    let (digits, rest) = after_percent
        .split_first_chunk::<2>()
        .ok_or(PathError::Escape)?;
    let digit = |b: u8| char::from(b).to_digit(16).ok_or(PathError::Escape);
    let value = digit(digits[0])? * 16 + digit(digits[1])?;
    Ok((u8::try_from(value).map_err(|_| PathError::Escape)?, rest))
}

fn push_escaped(out: &mut String, value: u8, slashes: Slashes) -> Result<(), PathError> {
    match value {
        b'/' if slashes == Slashes::Refused => return Err(PathError::Slash),
        b'\\' => return Err(PathError::Slash),
        0..=0x1f | 0x7f => return Err(PathError::Control),
        _ if is_unreserved(value) => out.push(char::from(value)),
        _ => out.push_str(percent_encode_byte(value)),
    }
    Ok(())
}

/// An escaped percent sign before digits that would make it an escape of `.`, `/`, `\`, `%`, `;` or
/// a control character. Looked for in what goes on: the digits may have been escaped themselves.
fn refuse_double_escapes(path: &str) -> Result<(), PathError> {
    let is_loaded = |after: &str| {
        matches!(
            escape(after.as_bytes()),
            Ok((b'.' | b'/' | b'\\' | b'%' | b';' | 0..=0x1f | 0x7f, _))
        )
    };
    if path.split("%25").skip(1).any(is_loaded) {
        Err(PathError::DoubleEscape)
    } else {
        Ok(())
    }
}

/// `.` and `..`, also with `;` parameters behind them (`..;x` is `..` to servlet containers).
fn refuse_dot_segments(path: &str) -> Result<(), PathError> {
    let dotted = |segment: &str| {
        let name = segment.split(';').next().unwrap_or(segment);
        let name = name.split("%3B").next().unwrap_or(name);
        name == "." || name == ".."
    };
    if path.split('/').any(dotted) {
        Err(PathError::DotSegment)
    } else {
        Ok(())
    }
}

/// Whether a path has something behind this one, at the end of a segment.
pub fn lies_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above.trim_end_matches('/'))
        .is_some_and(|rest| rest.starts_with('/'))
}

/// What a table has for the whole path and for each path above it up to the root, a segment at a
/// time; the longest first.
pub fn upwards<'a, T>(
    table: &'a FxHashMap<Box<str>, T>,
    path: &str,
) -> impl Iterator<Item = &'a T> {
    let whole = path.strip_suffix('/').unwrap_or(path);
    std::iter::successors(Some(whole), |path| Some(&path[..path.rfind('/')?]))
        .filter_map(|path| table.get(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_one_meaning() {
        for (raw, form) in [
            ("/", "/"),
            ("/api/x", "/api/x"),
            ("/ap%69/x", "/api/x"),
            ("//api/x", "/api/x"),
            ("/api//x/", "/api/x/"),
            ("/a%c3%a9", "/a%C3%A9"),
            ("/aé", "/a%C3%A9"),
            ("/100%25", "/100%25"),
            ("/a%20b%2B", "/a%20b%2B"),
            ("/public%23/api", "/public%23/api"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a..b/...", "/a..b/..."),
            ("/a%3fb", "/a%3Fb"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(form), "{raw}");
        }
    }

    #[test]
    fn what_servers_read_in_two_ways_is_refused() {
        for (why, raws) in [
            (PathError::NotAPath, &["", "*", "api"][..]),
            (
                PathError::DotSegment,
                &[
                    "/public/../api",
                    "/./api",
                    "/public/..",
                    "/public/%2e%2e/api",
                    "/public/.%2E/api",
                    "/public/..;/api",
                    "/public/..%3b/api",
                    "/public/%2e;x=1/api",
                ],
            ),
            (
                PathError::Slash,
                &[
                    "/public/..%2fapi",
                    "/public%2f..%2fapi",
                    "/public/..%5capi",
                    "/public\\..\\api",
                ],
            ),
            (
                PathError::DoubleEscape,
                &[
                    "/public/%25%32e%25%32e/api",
                    "/public/%252%65%252%65/api",
                    "/public/%25%32%66api",
                    "/public/%252e%252e/api",
                    "/public/..%252fapi",
                ],
            ),
            (
                PathError::Control,
                &["/api%00.css", "/api/x%0d%0aX:%20y", "/api\u{7f}"],
            ),
            (PathError::Escape, &["/api%2", "/api%zz"]),
            (PathError::Utf8, &["/%c0%ae%c0%ae/api", "/%ff"]),
        ] {
            for raw in raws {
                assert_eq!(canonical(raw), Err(why), "{raw}");
            }
        }
    }

    #[test]
    fn encoded_slashes_may_stay_and_lead_nowhere() {
        for (raw, form) in [
            ("/raw/a%2fb", "/raw/a%2Fb"),
            ("/raw//a%2F%2Fb/", "/raw/a%2F%2Fb/"),
            (
                "/raw/plain/http%3A%2F%2Fa.example%2Fb.jpg@png",
                "/raw/plain/http%3A%2F%2Fa.example%2Fb.jpg@png",
            ),
            ("/raw/..a%2F...%2F.b", "/raw/..a%2F...%2F.b"),
        ] {
            assert_eq!(with_encoded_slashes(raw).as_deref(), Ok(form), "{raw}");
        }
        for (why, raws) in [
            (
                PathError::DotSegment,
                &[
                    "/raw/..%2fadmin",
                    "/raw%2F..%2Fadmin",
                    "/raw/%2e%2e%2fadmin",
                    "/raw/x%2F.",
                    "/raw/..;a%2Fb",
                    "/raw/..%3Ba%2Fb",
                    "/raw/a%2F../b",
                    "/raw/a%2F%2E%2E",
                ][..],
            ),
            (
                PathError::DoubleEscape,
                &["/raw/a%252Fb%2Fc", "/raw/a%2F%25%32%65"],
            ),
            (PathError::Slash, &["/raw/a%2Fb%5Cc", "/raw/a%2Fb\\c"]),
            (PathError::Control, &["/raw/a%2F%00", "/raw/a%2F%0d%0a"]),
            (PathError::Utf8, &["/raw/a%2F%c0%af"]),
            (PathError::Escape, &["/raw/a%2"]),
            (PathError::NotAPath, &["raw%2F"]),
        ] {
            for raw in raws {
                assert_eq!(with_encoded_slashes(raw), Err(why), "{raw}");
            }
        }
    }
}
