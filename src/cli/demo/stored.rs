//! What the store holds, in a form that is pleasant to read: text as text, sealed bytes in
//! hexadecimal with their number.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::millis;
use crate::crypto::hash::to_hex;
use crate::store::StoredEntry;

/// One key.
#[derive(Debug, Serialize)]
pub(super) struct Stored {
    key: String,
    value: Value,
    expires_in_ms: u64,
}

/// A string, or the fields of a hash.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Value {
    String(String),
    Hash(BTreeMap<String, String>),
}

impl From<StoredEntry> for Stored {
    fn from(entry: StoredEntry) -> Self {
        Self {
            value: Value::of(&entry.content),
            key: entry.key,
            expires_in_ms: millis(entry.expires_in),
        }
    }
}

impl Value {
    /// The store writes a hash as `field → value`, a line each, and escapes all else to ASCII: the
    /// arrow tells them apart.
    fn of(content: &str) -> Self {
        let fields: Option<BTreeMap<_, _>> = content
            .lines()
            .map(|line| {
                line.split_once(" → ")
                    .map(|(field, value)| (field.to_owned(), readable(value)))
            })
            .collect();
        match fields {
            Some(fields) if !fields.is_empty() => Self::Hash(fields),
            _ => Self::String(readable(content)),
        }
    }
}

fn readable(escaped: &str) -> String {
    let bytes = unescaped(escaped);
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return escaped.to_owned();
    }
    format!("{} bytes: {}", bytes.len(), to_hex(&bytes))
}

/// The bytes behind what `escape_ascii` has written.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'x') => out.push(digit(rest.next()) << 4 | digit(rest.next())),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn digit(hex: Option<u8>) -> u8 {
    hex.and_then(|hex| char::from(hex).to_digit(16))
        .and_then(|digit| u8::try_from(digit).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&all.escape_ascii().to_string()), all);
        assert_eq!(unescaped("cut off\\"), b"cut off");
    }

    #[test]
    fn text_stays_text_and_bytes_are_counted() {
        assert_eq!(Value::of("plain"), Value::String("plain".to_owned()));
        assert_eq!(
            Value::of("S\\x00\\n"),
            Value::String("3 bytes: 53000a".to_owned())
        );
        assert_eq!(Value::of(""), Value::String(String::new()));
        let hash = [("a", "1:2"), ("k0", "2 bytes: 01ff")]
            .map(|(field, value)| (field.to_owned(), value.to_owned()));
        assert_eq!(
            Value::of("a → 1:2\nk0 → \\x01\\xff"),
            Value::Hash(hash.into())
        );
    }
}
