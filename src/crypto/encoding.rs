//! base64url without padding, strictly: one byte string has one text form, so a token has no second
//! spelling.

use arrayvec::ArrayString;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Bytes as base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes as base64url without padding, without an allocation: `N` is the length of the text.
pub fn base64url_text<const N: usize>(bytes: &[u8]) -> ArrayString<N> {
    let mut text = [0; N];
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).unwrap_or(0);
    text.get(..written)
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| ArrayString::from(text).ok())
        .unwrap_or_default()
}

/// The bytes behind a base64url text of exactly `N` bytes; `None` for another length, a foreign
/// character, padding or spare bits that are not zero.
pub fn from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    // base64 may ask for up to two bytes more than it writes.
    let mut out = [0_u8; 66];
    let room = out.get_mut(..N + 2)?;
    let written = URL_SAFE_NO_PAD.decode_slice(text, room).ok()?;
    if written == N {
        out[..N].try_into().ok()
    } else {
        None
    }
}

/// The same of any length.
#[must_use]
pub fn from_base64url_of_any_length(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Bytes as padded standard base64, as the platforms write session keys and open data.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Standard base64 whose padding may be missing.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes behind standard base64, padded or not, as clients of the platforms send it.
pub fn from_loose_base64(text: &str) -> Option<Vec<u8>> {
    LOOSE.decode(text).ok()
}

/// The bytes behind padded standard base64.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        assert_eq!(from_base64url::<2>("AAA"), Some([0, 0]));
        for other in ["AAB", "AAA=", "AAA ", "AA", "AAAA", "A+A", "A/A", ""] {
            assert_eq!(from_base64url::<2>(other), None, "{other:?}");
        }
    }
}
