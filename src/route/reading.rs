//! How a canonical path would be read by servers that know more spellings than the gateway.

/// Characters that some server reads as something else.
#[must_use]
pub const fn of_another(b: u8) -> bool {
    matches!(b, b';' | b'%' | b':') || b.is_ascii_uppercase() || !b.is_ascii()
}

/// Whether some server may read a canonical path in another way.
#[must_use]
pub fn has_another(path: &str) -> bool {
    path.bytes().any(of_another) || path.as_bytes().windows(2).any(|pair| pair == b"./") || path.ends_with('.')
}

/// The path as the most generous servers together would read it: without `;` parameters and what they leave empty (servlet
/// containers), without case, dots and blanks at the end of a name, and streams (Windows), decoded again and again, and cut at what would
/// then be a query.
#[must_use]
pub fn other_reading(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
    // There and back: "ſ" has no other lower case, but the upper case of "s".
    let lower = text.to_uppercase().to_lowercase();
    let path = lower.split(['?', '#']).next().unwrap_or_default();
    let name = |segment: &str| segment.split([';', ':']).next().unwrap_or_default().trim_end_matches(['.', ' ']).to_owned();
    let names: Vec<String> = path.split('/').map(name).filter(|name| !name.is_empty()).collect();
    names.iter().fold(String::new(), |path, name| path + "/" + name)
}
