//! TLS on the listener: certificates chosen by the name that the client asks for, read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// How often the files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
        /// Which files.
        files: CertificateFiles,
        /// What is wrong with them.
        why: String,
    },
}

impl CertificateError {
    /// Whether the file of the key is what has to be mended; else it is the file of certificates.
    #[must_use]
    pub const fn is_of_key(&self) -> bool {
        !matches!(self, Self::Certificate { .. })
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Certificate { path, .. } if holds(path, "PRIVATE KEY-----") => "it holds a key: cert and key are exchanged".to_owned(),
            Self::Certificate { .. } => "name the file with -----BEGIN CERTIFICATE-----, the authority's certificates behind the server's".to_owned(),
            Self::Key { path } if holds(path, "-----BEGIN CERTIFICATE") => "it holds a certificate: name the file of its key".to_owned(),
            Self::Key { .. } => "name the file with -----BEGIN PRIVATE KEY-----".to_owned(),
            Self::EncryptedKey { path } => format!("write it without a passphrase: openssl pkey -in {} -out FILE", path.display()),
            Self::Pair { files, .. } => {
                let (cert, key) = (files.cert.display(), files.key.display());
                format!("these two must print the same: openssl x509 -in {cert} -noout -pubkey, openssl pkey -in {key} -pubout")
            }
        }
    }
}

/// The certificates in use. Handshakes read them, the watch replaces them.
#[derive(Debug)]
pub struct Certificates(RwLock<Arc<[Arc<CertifiedKey>]>>);

/// Replaces certificates when their files change.
#[derive(Debug)]
pub struct CertificateWatch {
    files: Vec<CertificateFiles>,
    certificates: Arc<Certificates>,
    seen: Vec<Seen>,
}

/// What a file looked like.
type Seen = Option<(SystemTime, u64)>;

/// Reads a certificate and its key, to see whether they can be used.
pub fn examine(files: &CertificateFiles) -> Result<(), CertificateError> {
    load_one(files).map(|_| ())
}

/// The settings of a listener that shows these certificates, and what keeps them fresh. The first is shown to clients that ask for no
/// name, or for one that none of them has.
pub fn tls(files: Vec<CertificateFiles>) -> Result<(Arc<ServerConfig>, CertificateWatch), CertificateError> {
    let seen = look_at(&files);
    let certificates = Arc::new(Certificates(RwLock::new(load(&files)?)));
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| CertificateError::Certificate { path: PathBuf::new(), why: error.to_string() })?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates.clone());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), CertificateWatch { files, certificates, seen }))
}

impl CertificateWatch {
    /// Looks at the files until it is dropped. New ones that cannot be used change nothing.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let now = look_at(&self.files);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match load(&self.files) {
            Ok(fresh) => {
                *self.certificates.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                log::info!("server.tls: the certificates were read again");
            }
            Err(error) => log::error!("server.tls: {error}; the certificates read before stay in use"),
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| all.iter().find(|certificate| is_for(certificate, &name)));
        named.or(all.first()).cloned()
    }
}

fn is_for(certificate: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = certificate.cert.first().and_then(|cert| ParsedCertificate::try_from(cert).ok());
    parsed.is_some_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn look_at(files: &[CertificateFiles]) -> Vec<Seen> {
    let look = |path: &Path| std::fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
    files.iter().flat_map(|files| [look(&files.cert), look(&files.key)]).collect()
}

fn load(files: &[CertificateFiles]) -> Result<Arc<[Arc<CertifiedKey>]>, CertificateError> {
    files.iter().map(|files| load_one(files).map(Arc::new)).collect()
}

fn load_one(files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
    let unreadable = |why: String| CertificateError::Certificate { path: files.cert.clone(), why };
    let chain = CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| unreadable(error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable("there is none in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|_| unusable_key(&files.key))?;
    let pair = |error: rustls::Error| CertificateError::Pair { files: files.clone(), why: mismatch(&error) };
    CertifiedKey::from_der(chain, key, &provider()).map_err(pair)
}

fn unusable_key(path: &Path) -> CertificateError {
    let path = path.to_owned();
    // Of PKCS #8, and of the older form.
    let encrypted = holds(&path, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(&path, "Proc-Type: 4,ENCRYPTED");
    if encrypted { CertificateError::EncryptedKey { path } } else { CertificateError::Key { path } }
}

fn mismatch(error: &rustls::Error) -> String {
    if matches!(error, rustls::Error::InconsistentKeys(_)) { "the key belongs to another certificate".to_owned() } else { error.to_string() }
}

fn holds(path: &Path, words: &str) -> bool {
    // Dropped here, and nothing of it is shown.
    std::fs::read(path).map(Zeroizing::new).is_ok_and(|content| content.windows(words.len()).any(|window| window == words.as_bytes()))
}
