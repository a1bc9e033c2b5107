//! Signed JSON Web Tokens (RFC 7519): EdDSA with Ed25519 keys, and the set of the public keys
//! (RFC 7517).
//!
//! `jsonwebtoken` writes tokens and keys. It takes its algorithms from a provider, and this one has
//! the single algorithm that is used.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{EllipticCurve, Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;

use super::hash;
use super::keyring::KeyError;
use crate::secret::Secret;

/// What stands before the 32 bytes of a private Ed25519 key (PKCS #8, RFC 8410).
const PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// Why something was not signed.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign a token: {0}")]
pub struct SigningError(#[from] Error);

/// A key that signs, with what verifiers know of it.
struct SigningKey {
    private: EncodingKey,
    public: Jwk,
    /// Begins every token.
    header: Header,
}

impl SigningKey {
    /// `seed`: the private key, as RFC 8032 calls it.
    fn new(seed: &Secret<[u8; 32]>) -> Result<Self, SigningError> {
        let der = Secret::new([&PKCS8[..], seed.expose()].concat());
        let private = EncodingKey::from_ed_der(der.expose());
        let mut public = Jwk::from_encoding_key(&private, Algorithm::EdDSA)?;
        let id = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(id.clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id);
        Ok(Self {
            private,
            public,
            header,
        })
    }

    fn id(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }
}

/// The signing keys. The first one signs, and verifiers get the public part of all, so that a new
/// key can take the place of an old one.
pub struct SigningKeys {
    keys: Vec<SigningKey>,
    published: Arc<str>,
}

impl SigningKeys {
    /// These keys, the signing one first.
    pub fn new(seeds: &[Secret<[u8; 32]>]) -> Result<Self, KeyError> {
        // Another provider than this one is nowhere installed.
        let _ = PROVIDER.install_default();
        let keys: Result<Vec<_>, _> = seeds.iter().map(SigningKey::new).collect();
        let keys = keys.map_err(|_| KeyError::NotRandom)?;
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        let mut others = keys.iter().enumerate();
        if others.any(|(at, key)| keys[..at].iter().any(|other| other.id() == key.id())) {
            return Err(KeyError::SameId);
        }
        let set = JwkSet {
            keys: keys.iter().map(|key| key.public.clone()).collect(),
        };
        let published = serde_json::to_string(&set).map_err(|_| KeyError::None)?;
        Ok(Self {
            keys,
            published: published.into(),
        })
    }

    /// The public keys as JSON.
    pub fn published(&self) -> &Arc<str> {
        &self.published
    }

    /// A token with these claims, by the first key. Its header has the key's id as `kid`.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        let key = &self.keys[0];
        Ok(jsonwebtoken::encode(&key.header, claims, &key.private)?)
    }
}

/// The same keys in the same order.
impl PartialEq for SigningKeys {
    fn eq(&self, other: &Self) -> bool {
        self.published == other.published
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys of {}", self.keys.len())
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(unsupported()),
        rsa_pub_components_from_public_key: |_| Err(unsupported()),
        ec_pub_components_from_private_key: |_, _| Err(unsupported()),
        ed_pub_components_from_private_key: public_key,
        compute_digest: |data, name| digest(data, &name),
    },
};

struct Ed25519Signer(Ed25519KeyPair);

impl signature::Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match algorithm {
        Algorithm::EdDSA => Ok(Box::new(Ed25519Signer(key_pair(key.as_bytes())?))),
        _ => Err(unsupported()),
    }
}

/// The gateway verifies none of its tokens.
fn verifier(_: &Algorithm, _: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    Err(unsupported())
}

fn public_key(private: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>, Error> {
    match curve {
        EllipticCurve::Ed25519 => Ok(key_pair(private)?.public_key().as_ref().to_vec()),
        _ => Err(unsupported()),
    }
}

fn key_pair(pkcs8: &[u8]) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| ErrorKind::InvalidEddsaKey.into())
}

fn digest(data: &[u8], name: &ThumbprintHash) -> Result<Vec<u8>, Error> {
    match name {
        ThumbprintHash::SHA256 => Ok(hash::sha256(data).to_vec()),
        _ => Err(unsupported()),
    }
}

fn unsupported() -> Error {
    ErrorKind::UnsupportedAlgorithm.into()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;
    use crate::crypto::encoding::from_base64url_of_any_length;

    /// The private key of RFC 8037, appendix A.1.
    fn seed() -> Secret<[u8; 32]> {
        let bytes = from_base64url_of_any_length("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        Secret::new(bytes.unwrap().try_into().unwrap())
    }

    #[test]
    fn keys_are_published_as_the_standard_has_them() {
        let keys = SigningKeys::new(&[seed(), Secret::new([7; 32])]).unwrap();
        let set: Value = serde_json::from_str(keys.published()).unwrap();
        // Appendices A.2 and A.3.
        assert_eq!(
            set["keys"][0],
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            })
        );
        assert_eq!(set["keys"].as_array().unwrap().len(), 2);
        assert!(set["keys"][1].get("d").is_none());
    }

    #[test]
    fn the_first_key_signs() {
        let keys = SigningKeys::new(&[seed(), Secret::new([7; 32])]).unwrap();
        let token = keys.sign(&json!({ "sub": "zhang" })).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let json = |part| -> Value {
            serde_json::from_slice(&from_base64url_of_any_length(part).unwrap()).unwrap()
        };
        assert_eq!(
            json(parts[0]),
            json!({ "typ": "JWT", "alg": "EdDSA", "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" })
        );
        assert_eq!(json(parts[1]), json!({ "sub": "zhang" }));
        let public =
            from_base64url_of_any_length("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let signed = token.rsplit_once('.').unwrap().0;
        UnparsedPublicKey::new(&ED25519, public)
            .verify(
                signed.as_bytes(),
                &from_base64url_of_any_length(parts[2]).unwrap(),
            )
            .unwrap();
    }

    #[test]
    fn what_is_no_choice_of_keys_is_refused() {
        assert_eq!(SigningKeys::new(&[]).unwrap_err(), KeyError::None);
        assert_eq!(
            SigningKeys::new(&[seed(), seed()]).unwrap_err(),
            KeyError::SameId
        );
        let printed = format!("{:?}", SigningKeys::new(&[seed()]).unwrap());
        assert_eq!(printed, "SigningKeys of 1");
    }
}
