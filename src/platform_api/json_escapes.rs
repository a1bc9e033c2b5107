//! What stands behind the escapes of JSON: a text may be written in many ways.

/// The bytes with the characters that their escapes mean. `None`: they have no escape.
pub(super) fn resolved(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let mut text = Vec::new();
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        // At the first escape, for all that can come.
        text.reserve(rest.len());
        text.extend_from_slice(&rest[..at]);
        let (character, length) = escaped(&rest[at..]);
        text.push(character);
        rest = &rest[at + length..];
    }
    if rest.len() == bytes.len() {
        return None;
    }
    text.extend_from_slice(rest);
    Some(text)
}

/// The character that these bytes begin with, where it is of ASCII, and how many bytes it takes.
fn escaped(bytes: &[u8]) -> (u8, usize) {
    match bytes {
        [b'\\', b'u', digits @ ..] => {
            let digits = digits
                .get(..4)
                .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
            let number = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            number.map_or((b'\\', 1), |number| (number, 6))
        }
        [b'\\', character @ (b'/' | b'"' | b'\\'), ..] => (*character, 2),
        _ => (b'\\', 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_and_the_rest_stays() {
        for (bytes, text) in [
            (r"\u0041b\u0063", "Abc"),
            (r#"a\/b\"c"#, "a/b\"c"),
            (r"\\u0041", r"\u0041"),
            (r"\n\u00e4\u4e2d\u00", "\\n\u{e4}\\u4e2d\\u00"),
            (r"x\", r"x\"),
            (r"\u+041", r"\u+041"),
        ] {
            let resolved = resolved(bytes.as_bytes()).unwrap();
            // A byte over 127 stands for itself: no token has one.
            let resolved: String = resolved.into_iter().map(char::from).collect();
            assert_eq!(resolved, text, "{bytes}");
        }
        assert_eq!(resolved(b"plain"), None);
        assert_eq!(resolved(b""), None);
    }
}
