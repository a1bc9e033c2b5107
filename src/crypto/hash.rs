//! Hashes and keyed hashes.

use arrayvec::ArrayString;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::encoding::base64;
use crate::secret::Secret;

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-1, where a platform wants it.
#[must_use]
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

/// HMAC-SHA256 under one key, whose half of the work is done once.
#[derive(Clone)]
pub struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// For this key.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(Hmac::new_from_slice(key.expose()).expect("HMAC takes a key of any length"))
    }

    /// The hash over the parts, each with its length before it, so that no two lists of parts look
    /// the same.
    pub fn of<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// HMAC-SHA256 as the platforms and the standards write it: a key of any length over one message.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// SHA-256 over pieces that arrive one after the other, in constant memory.
#[derive(Debug, Clone, Default)]
pub struct RunningSha256(Sha256);

impl RunningSha256 {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The first `N` of at least as many bytes, of a hash or random ones.
pub fn first<const N: usize, const M: usize>(bytes: &[u8; M]) -> [u8; N] {
    const { assert!(N <= M) };
    std::array::from_fn(|at| bytes[at])
}

/// The last `N` of at least as many random bytes.
pub fn last<const N: usize, const M: usize>(bytes: &[u8; M]) -> [u8; N] {
    const { assert!(N <= M) };
    std::array::from_fn(|at| bytes[M - N + at])
}

/// Lower-case hexadecimal, without an allocation: `N` is twice the number of bytes.
pub fn hex_text<const N: usize>(bytes: &[u8]) -> ArrayString<N> {
    /// Both digits of each byte, to be copied at once.
    const PAIRS: [[u8; 2]; 256] = {
        let (mut pairs, mut byte) = ([[0; 2]; 256], 0);
        while byte < 256 {
            pairs[byte] = [
                b"0123456789abcdef"[byte >> 4],
                b"0123456789abcdef"[byte & 15],
            ];
            byte += 1;
        }
        pairs
    };
    let mut text = [b'0'; N];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = PAIRS[usize::from(*byte)];
    }
    ArrayString::from_byte_string(&text).unwrap_or_default()
}

/// The bytes behind exactly `2 * N` hexadecimal digits.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// What a WebSocket server answers to a client's key (RFC 6455 section 4.2.2).
pub fn websocket_accept(key: &str) -> String {
    let digest: [u8; 20] = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize()
        .into();
    base64(&digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_shifted_into_each_other() {
        let keyed =
            |parts: &[&[u8]]| KeyedHash::new(&Secret::new([7; 32])).of(parts.iter().copied());
        assert_ne!(keyed(&[b"ab", b"c"]), keyed(&[b"a", b"bc"]));
        assert_ne!(keyed(&[b"ab"]), keyed(&[b"ab", b""]));
    }

    #[test]
    fn hexadecimal_is_the_same_in_both_forms() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(hex_text::<512>(&bytes).as_str(), to_hex(&bytes));
        assert_eq!(from_hex::<256>(&to_hex(&bytes)).unwrap().as_slice(), bytes);
        assert_eq!(from_hex::<2>("00"), None);
    }

    #[test]
    fn sha256_is_the_published_one() {
        assert_eq!(
            to_hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let mut running = RunningSha256::default();
        running.update(b"a");
        running.update(b"bc");
        assert_eq!(running.finish(), sha256(b"abc"));
    }

    /// The vectors of WeChat's page on request signatures.
    #[test]
    fn hmac_is_the_documented_one() {
        let key = b"o0q0otL8aEzpcZL/FT9WsQ==";
        assert_eq!(
            to_hex(&hmac_sha256(key, br#"{"foo":"bar"}"#)),
            "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b"
        );
        assert_eq!(
            to_hex(&hmac_sha256(key, b"")),
            "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"
        );
    }
}
