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

/// Why a certificate cannot be used.
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
    /// The file of the key. What is wrong with it is not said: it could show the key.
    #[error("{}: no private key in PEM can be read", path.display())]
    Key {
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
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|_| CertificateError::Key { path: files.key.clone() })?;
    let pair = |error: rustls::Error| CertificateError::Pair { files: files.clone(), why: error.to_string() };
    CertifiedKey::from_der(chain, key, &provider()).map_err(pair)
}
