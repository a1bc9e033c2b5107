//! A certificate of the listener and its key: their files, and what may be wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::CertifiedKey;

use crate::files::pem::{self, PemError};
use crate::files::{self, FileError};

/// A certificate with its chain, and its key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that lead to a known authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. None of the texts shows anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file that cannot be read at all.
    #[error("{} {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        why: FileError,
        /// Whether it is the key's.
        is_key: bool,
    },
    /// The file of certificates.
    #[error("{}: no certificate in PEM can be read: {why}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file of the key.
    #[error("{}: no private key in PEM can be read", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
    },
    /// The key can be read with a passphrase alone, for which nobody can be asked.
    #[error("{}: the private key is encrypted", path.display())]
    EncryptedKey {
        /// Which file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or the key is of a kind that is not known.
    #[error("{}: cannot be used with {}: {why}", files.key.display(), files.cert.display())]
    Pair {
        files: CertificateFiles,
        /// What is wrong with them.
        why: String,
    },
}

impl CertificateFiles {
    /// The command that makes a self-signed pair.
    pub fn by_hand(&self) -> String {
        let cert = self.cert.display();
        let key = self.key.display();
        format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=HOST -addext subjectAltName=DNS:HOST -keyout {key} -out {cert}"
        )
    }
}

impl CertificateError {
    /// Whether the file of the key is what has to be fixed; else it is the file of certificates.
    pub const fn is_of_key(&self) -> bool {
        !matches!(
            self,
            Self::Certificate { .. } | Self::File { is_key: false, .. }
        )
    }

    /// What to do.
    pub fn advice(&self) -> String {
        match self {
            Self::File { path, why, .. } => why.advice(&path.display().to_string()),
            Self::Certificate { path, .. } if holds(path, "PRIVATE KEY-----") => "it holds a key: cert and key are swapped".to_owned(),
            Self::Certificate { .. } => "name the file with -----BEGIN CERTIFICATE-----, the authority's certificates behind the server's".to_owned(),
            Self::Key { path } if holds(path, "-----BEGIN CERTIFICATE") => "it holds a certificate: name the file of its key".to_owned(),
            Self::Key { .. } => "name the file with -----BEGIN PRIVATE KEY-----".to_owned(),
            Self::EncryptedKey { path } => format!("write it without a passphrase: openssl pkey -in {} -out FILE", path.display()),
            Self::Pair { files, .. } => {
                let cert = files.cert.display();
                let key = files.key.display();
                format!("these two must print the same: openssl x509 -in {cert} -noout -pubkey, openssl pkey -in {key} -pubout")
            }
        }
    }
}

/// Reads a certificate and its key, and looks whether they belong together.
pub fn load(files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
    let content = read(&files.cert, false)?;
    let chain = pem::certificates(&content).map_err(|error| CertificateError::Certificate {
        path: files.cert.clone(),
        why: match error {
            PemError::None(_) => "there is none in it".to_owned(),
            PemError::Broken(error) => error.to_string(),
        },
    })?;
    let content = read(&files.key, true)?;
    let key = pem::private_key(&content).map_err(|_| {
        let path = files.key.clone();
        // Of PKCS #8, and of the older form.
        if contains(&content, "-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || contains(&content, "Proc-Type: 4,ENCRYPTED")
        {
            CertificateError::EncryptedKey { path }
        } else {
            CertificateError::Key { path }
        }
    })?;
    let pair = |error: rustls::Error| CertificateError::Pair {
        files: files.clone(),
        why: match error {
            rustls::Error::InconsistentKeys(_) => {
                "the key belongs to another certificate".to_owned()
            }
            error => error.to_string(),
        },
    };
    CertifiedKey::from_der(chain, key, &provider()).map_err(pair)
}

/// The one cryptographic provider.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(path: &Path, is_key: bool) -> Result<zeroize::Zeroizing<Vec<u8>>, CertificateError> {
    files::read(path).map_err(|why| CertificateError::File {
        path: path.to_owned(),
        why,
        is_key,
    })
}

fn holds(path: &Path, words: &str) -> bool {
    files::read(path).is_ok_and(|content| contains(&content, words))
}

fn contains(content: &[u8], words: &str) -> bool {
    content
        .windows(words.len())
        .any(|window| window == words.as_bytes())
}
