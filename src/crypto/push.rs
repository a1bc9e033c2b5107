//! How a platform signs and seals the messages that it pushes: SHA-1 over the sorted parts, and
//! AES-256-CBC with the receiver's id behind the message (platforms.md of WeChat:
//! oplatform/Third-party_Platforms/Message_Encryption). One error for every way in which a
//! ciphertext can be wrong.

use std::fmt;

use aes::Aes256;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use sha1::{Digest, Sha1};

use super::encoding::{base64, from_base64};
use super::{hash, random};
use crate::secret::Secret;

/// Characters of a key as the console shows it: base64 of 32 bytes without the `=` at its end.
pub const KEY_LEN: usize = 43;
/// What a message is padded to, which is not the block size of AES.
const PAD: usize = 32;
/// Random bytes before a message.
const SALT: usize = 16;

/// The last character has two spare bits, which consoles do not leave at zero.
const KEY_TEXT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A message that could not be opened. It does not say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message does not open under this key and id")]
pub struct BadMessage;

/// The key of messages, the console's `EncodingAESKey`.
#[derive(Clone, PartialEq, Eq)]
pub struct PushKey(Secret<[u8; 32]>);

impl fmt::Debug for PushKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushKey")
    }
}

impl PushKey {
    /// `None`: it has not 43 characters, or others than letters, digits, `+` and `/`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != KEY_LEN {
            return None;
        }
        let bytes = KEY_TEXT.decode(text).ok()?;
        Some(Self(Secret::new(bytes.try_into().ok()?)))
    }

    fn iv(&self) -> [u8; 16] {
        hash::first(self.0.expose())
    }

    /// Opens `sealed` (base64), which must be for the receiver `id`.
    pub fn open(&self, sealed: &str, id: &str) -> Result<Vec<u8>, BadMessage> {
        let ciphertext = from_base64(sealed).ok_or(BadMessage)?;
        let plain = cbc::Decryptor::<Aes256>::new(self.0.expose().into(), &self.iv().into())
            .decrypt_padded_vec::<NoPadding>(&ciphertext)
            .map_err(|_| BadMessage)?;
        let content = unpadded(&plain).ok_or(BadMessage)?;
        let (_, rest) = content.split_at_checked(SALT).ok_or(BadMessage)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(BadMessage)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BadMessage)?;
        let (message, receiver) = rest.split_at_checked(length).ok_or(BadMessage)?;
        if hash::constant_time_eq(receiver, id.as_bytes()) {
            Ok(message.to_vec())
        } else {
            Err(BadMessage)
        }
    }

    /// What the platform's side opens; base64.
    #[must_use]
    pub fn seal(&self, message: &[u8], id: &str) -> String {
        let salt: [u8; SALT] = random::bytes();
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut plain = [&salt, &length.to_be_bytes()[..], message, id.as_bytes()].concat();
        let padding = PAD - plain.len() % PAD;
        plain.resize(plain.len() + padding, u8::try_from(padding).unwrap_or(0));
        let sealed = cbc::Encryptor::<Aes256>::new(self.0.expose().into(), &self.iv().into())
            .encrypt_padded_vec::<NoPadding>(&plain);
        base64(&sealed)
    }
}

/// The content without its padding: 1 to 32 bytes, each of which says how many they are.
fn unpadded(plain: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*plain.last()?);
    let (content, padded) = plain.split_at_checked(plain.len().checked_sub(padding)?)?;
    let is_whole =
        (1..=PAD).contains(&padding) && padded.iter().all(|byte| usize::from(*byte) == padding);
    is_whole.then_some(content)
}

/// The signature over the token and what else it is to cover, in hexadecimal.
#[must_use]
pub fn signature(token: &Secret<String>, parts: &[&str]) -> String {
    let mut all = vec![token.expose().as_str()];
    all.extend(parts);
    all.sort_unstable();
    let mut sha1 = Sha1::new();
    all.iter().for_each(|part| sha1.update(part));
    let digest: [u8; 20] = sha1.finalize().into();
    hash::to_hex(&digest)
}

#[must_use]
pub fn is_signature(given: &str, token: &Secret<String>, parts: &[&str]) -> bool {
    hash::constant_time_eq(given.as_bytes(), signature(token, parts).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector in the platform's own documentation.
    const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
    const ID: &str = "wx5823bf96d3bd56c7";
    const SEALED: &str =
        "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==";

    fn key() -> PushKey {
        PushKey::parse(KEY).unwrap()
    }

    #[test]
    fn the_documented_message_opens_and_is_signed() {
        assert_eq!(key().open(SEALED, ID).unwrap(), b"1616140317555161061");
        let token = Secret::new("QDG6eK".to_owned());
        let parts = ["1409659589", "263014780", SEALED];
        let signature = "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3";
        assert!(is_signature(signature, &token, &parts));
        for (given, parts) in [
            ("5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd4", parts),
            ("", parts),
            (signature, ["1409659588", "263014780", SEALED]),
            (signature, ["1409659589", "263014781", SEALED]),
        ] {
            assert!(!is_signature(given, &token, &parts));
        }
    }

    #[test]
    fn tampered_twins_of_it_do_not_open() {
        let sealed = from_base64(SEALED).unwrap();
        for at in 0..sealed.len() {
            let mut twin = sealed.clone();
            twin[at] ^= 1;
            // CBC has no MAC: another text may come out, which the signature does not cover.
            let opened = key().open(&base64(&twin), ID);
            assert_ne!(opened.as_deref(), Ok(&b"1616140317555161061"[..]), "{at}");
        }
        for (sealed, id) in [
            (&SEALED[..44], ID),
            (SEALED, "wx5823bf96d3bd56c8"),
            (SEALED, ""),
            ("", ID),
            ("AAAA", ID),
            ("not base64!", ID),
        ] {
            assert_eq!(key().open(sealed, id), Err(BadMessage), "{sealed} {id}");
        }
    }

    #[test]
    fn every_length_comes_back_whole() {
        for length in 0..70 {
            let message = vec![b'x'; length];
            let sealed = key().seal(&message, "wx1");
            assert_eq!(from_base64(&sealed).unwrap().len() % PAD, 0);
            assert_eq!(key().open(&sealed, "wx1").unwrap(), message);
        }
    }

    #[test]
    fn padding_is_one_to_thirty_two_equal_bytes() {
        let content = [7; 5];
        for padding in 1..=32_u8 {
            let plain = [&content[..], &vec![padding; usize::from(padding)]].concat();
            assert_eq!(unpadded(&plain), Some(&content[..]));
        }
        for plain in [
            vec![],
            vec![0; 32],
            vec![33; 64],
            vec![3, 3],
            [vec![9; 30], vec![1, 2]].concat(),
        ] {
            assert_eq!(unpadded(&plain), None, "{plain:?}");
        }
    }

    #[test]
    fn a_key_has_forty_three_characters_and_may_have_spare_bits() {
        let with_spare_bits = format!("{}D", &KEY[..42]);
        assert_eq!(PushKey::parse(&with_spare_bits), Some(key()));
        for wrong in [
            "",
            "short",
            &KEY[..42],
            &format!("{KEY}="),
            &format!("{KEY}A"),
            &KEY.replace('j', "-"),
        ] {
            assert_eq!(PushKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key()), "PushKey");
    }
}
