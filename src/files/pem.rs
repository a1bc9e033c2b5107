//! Certificates and private keys in PEM.

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a text gives no certificates or no key. It shows nothing of a key.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// It holds nothing of this kind.
    #[error("holds no {0} in PEM")]
    None(&'static str),
    #[error("{0}")]
    Broken(pem::Error),
}

/// All certificates of a text, one at least.
pub fn certificates(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    match all {
        Ok(all) if all.is_empty() => Err(PemError::None("certificate")),
        all => all.map_err(PemError::Broken),
    }
}

/// The first private key of a text.
pub fn private_key(content: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(content).map_err(|error| match error {
        pem::Error::NoItemsFound => PemError::None("private key"),
        error => PemError::Broken(error),
    })
}
