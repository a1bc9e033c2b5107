//! The keys of the gateway and what they do: seal what the store holds, mark tokens as ours, name
//! users.

use std::fmt;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use super::hash::KeyedHash;
use super::{encoding, hash, random};
use crate::secret::Secret;

/// Bytes that sealing adds to a plaintext: key id, nonce, tag.
pub const SEAL_OVERHEAD: usize = KEY_ID_LEN + NONCE_LEN + 16;
const KEY_ID_LEN: usize = 2;
const NONCE_LEN: usize = 12;

/// Why a sealed value did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed with a key that is not configured (any more).
    #[error("sealed with an unknown key")]
    UnknownKey,
    /// Cut, changed, or moved from where it was sealed.
    #[error("does not open: changed, cut, or moved from its place")]
    Broken,
}

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes in base64url or hexadecimal.
    #[error(
        "not a key: a key is 32 random bytes, 43 characters as `hufu keygen` prints them (or 64 hexadecimal digits); this one has {0} characters"
    )]
    Form(usize),
    /// All its bytes are the same, so it is not random.
    #[error("not a random key: all its bytes are the same; make one with `hufu keygen`")]
    NotRandom,
    /// Two configured keys have the same id, so what they sealed could not be told apart.
    #[error("two keys have the same id (most likely the same key twice); remove one")]
    SameId,
    /// No key at all.
    #[error("no key: make one with `hufu keygen`")]
    None,
}

/// Reads a 32-byte key as people write it: base64url as `hufu keygen` prints it, or hexadecimal.
pub fn parse_key(text: &str) -> Result<Secret<[u8; 32]>, KeyError> {
    let text = text.trim();
    let mut bytes: [u8; 32] = match encoding::from_base64url(text.trim_end_matches('=')) {
        Some(bytes) => bytes,
        None => hex::decode(text)
            .ok()
            .and_then(|v| v.try_into().ok())
            .ok_or(KeyError::Form(text.chars().count()))?,
    };
    if bytes.iter().all(|b| *b == bytes[0]) {
        bytes.zeroize();
        return Err(KeyError::NotRandom);
    }
    Ok(Secret::new(bytes))
}

/// A fresh key in the form that [`parse_key`] reads.
pub fn generate_key() -> String {
    encoding::base64url(&random::bytes::<32>())
}

/// One sealing key with the subkeys derived from it.
struct SealingKey {
    id: [u8; KEY_ID_LEN],
    cipher: Aes256GcmSiv,
    check: KeyedHash,
    /// The key from which the keys of other purposes are derived.
    further: Secret<[u8; 32]>,
}

impl SealingKey {
    fn new(key: &Secret<[u8; 32]>) -> Self {
        let derive = Hkdf::<Sha256>::new(Some(b"hufu v1"), key.expose());
        let mut record = expand(&derive, b"record");
        let cipher = Aes256GcmSiv::new(&record.into());
        record.zeroize();
        let further = Secret::new(expand(&derive, b"further keys"));
        Self {
            id: hash::first(&expand(&derive, b"key id")),
            cipher,
            check: KeyedHash::new(&Secret::new(expand(&derive, b"token check"))),
            further,
        }
    }
}

fn expand(derive: &Hkdf<Sha256>, label: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    derive
        .expand(label, &mut out)
        .expect("32 bytes are within what HKDF-SHA256 can give");
    out
}

/// The sealing keys. The first one seals, and each of them opens what it has sealed, so that a new
/// key can take the place of an old one.
pub struct Keyring {
    keys: Vec<SealingKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring of {}", self.keys.len())
    }
}

impl Keyring {
    /// A ring of these keys, the sealing one first.
    pub fn new(keys: &[Secret<[u8; 32]>]) -> Result<Self, KeyError> {
        let keys: Vec<_> = keys.iter().map(SealingKey::new).collect();
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        let twins = keys
            .iter()
            .enumerate()
            .any(|(i, a)| keys[..i].iter().any(|b| a.id == b.id));
        if twins {
            Err(KeyError::SameId)
        } else {
            Ok(Self { keys })
        }
    }

    /// A ring with one fresh key, for stores that do not outlive the process.
    pub fn ephemeral() -> Self {
        Self {
            keys: vec![SealingKey::new(&Secret::new(random::bytes()))],
        }
    }

    /// Seals `plaintext` for the place named by `associated`: key id ‖ nonce ‖ ciphertext ‖ tag.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let nonce = random::bytes::<NONCE_LEN>();
        let sealed = key
            .cipher
            .encrypt(
                &Nonce::from(nonce),
                Payload {
                    msg: plaintext,
                    aad: associated,
                },
            )
            .expect("a record is far below the 2^36 bytes that AES-GCM-SIV seals");
        [&key.id[..], &nonce, &sealed].concat()
    }

    /// Whether this is one of them.
    pub fn has(&self, key: &Secret<[u8; 32]>) -> bool {
        let other = SealingKey::new(key).further;
        self.keys.iter().any(|key| key.further == other)
    }

    /// Whether the first key sealed this.
    pub fn is_under_first(&self, sealed: &[u8]) -> bool {
        sealed.starts_with(&self.keys[0].id)
    }

    /// Opens what [`Keyring::seal`] made for the same place, with whichever configured key sealed
    /// it.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (id, rest) = sealed
            .split_first_chunk::<KEY_ID_LEN>()
            .ok_or(OpenError::Broken)?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(OpenError::Broken)?;
        let mut named = self.keys.iter().filter(|k| k.id == *id).peekable();
        if named.peek().is_none() {
            return Err(OpenError::UnknownKey);
        }
        // Derived keys may share an id by chance.
        named
            .find_map(|key| {
                key.cipher
                    .decrypt(
                        &Nonce::from(*nonce),
                        Payload {
                            msg: ciphertext,
                            aad: associated,
                        },
                    )
                    .ok()
            })
            .ok_or(OpenError::Broken)
    }

    /// The ring for another purpose and one span of time, such as an hour. Its keys are in the same
    /// order, open nothing of this ring, and tell nothing of its keys.
    pub fn derived(&self, purpose: &str, number: u64) -> Self {
        let label = [purpose.as_bytes(), &number.to_be_bytes()].concat();
        let derived = |key: &SealingKey| {
            SealingKey::new(&Secret::new(expand(
                &Hkdf::new(Some(b"hufu v1"), key.further.expose()),
                &label,
            )))
        };
        Self {
            keys: self.keys.iter().map(derived).collect(),
        }
    }

    /// The check bytes of a fresh token.
    pub fn check_bytes(&self, token: &[u8]) -> [u8; 4] {
        check(&self.keys[0], token)
    }

    /// Whether any configured key made these check bytes. All keys are tried, so the time tells
    /// nothing.
    pub fn checks(&self, token: &[u8], bytes: &[u8; 4]) -> bool {
        self.keys.iter().fold(false, |found, key| {
            hash::constant_time_eq(&check(key, token), bytes) | found
        })
    }
}

fn check(key: &SealingKey, token: &[u8]) -> [u8; 4] {
    hash::first(&key.check.of([token]))
}

/// The naming key: names users and their cluster slots in the store. It never rotates, or a user's
/// sessions could not be found any more.
pub struct NamingKey(KeyedHash);

impl fmt::Debug for NamingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamingKey")
    }
}

impl NamingKey {
    /// The configured key.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(KeyedHash::new(key))
    }

    /// A fresh key, for stores that do not outlive the process.
    pub fn ephemeral() -> Self {
        Self::new(&Secret::new(random::bytes()))
    }

    /// The name of `parts` for one purpose. Nobody without the key can tell whose name it is.
    pub fn name<const N: usize>(&self, purpose: &str, parts: &[&[u8]]) -> [u8; N] {
        hash::first(
            &self
                .0
                .of(std::iter::once(purpose.as_bytes()).chain(parts.iter().copied())),
        )
    }
}

/// A one-purpose box under a key that both sides can derive from what they already share, such as a
/// login code.
pub struct DerivedBox(Keyring);

impl DerivedBox {
    /// The box for `shared` (which must be hard to guess) and one purpose; `naming` binds it to
    /// this installation.
    pub fn new(naming: &NamingKey, purpose: &str, shared: &[&[u8]]) -> Self {
        let key = Secret::new(naming.name::<32>(purpose, shared));
        Self(Keyring {
            keys: vec![SealingKey::new(&key)],
        })
    }

    /// Seals under the derived key.
    pub fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        self.0.seal(b"", plaintext)
    }

    /// Opens what the same box sealed.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.0.open(b"", sealed)
    }
}

#[cfg(test)]
mod tests;
