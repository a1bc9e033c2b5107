//! TLS on the listener: the certificate that is chosen by the name that the client asks for, how
//! its session can be resumed, and the files, which are read again when they change.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, ServerConfig};

use super::certificate::{CertificateError, CertificateFiles, load, provider};
use super::certificate_check::diagnose;
use super::crowd::Crowd;
use super::tickets::TicketKeys;
use super::tls_sessions::TlsSessions;
use super::x509::Facts;
use crate::clock::{Clock as _, SystemClock, monotonic_now};
use crate::diagnostic::{DiagnosedSubject, Diagnostic, Verdict};
use crate::metrics::Metrics;
use crate::route::HostPattern;

/// How often the files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often it is said what clients refuse about them.
const LOG_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// If all workers together have this many handshakes in progress, slow ones give way. Each holds some
/// 16 KiB.
pub const MANY: usize = 256;
/// No handshake gives way before this time, however many there are. A phone on a bad network answers
/// within it. The cost of a signature limits how many younger ones there can be.
pub const UNDISTURBED: Duration = Duration::from_secs(2);

/// TLS as the listener speaks it. Handshakes read it, the watch replaces its certificates.
pub struct Tls {
    shown: RwLock<Arc<[Shown]>>,
    tickets: Arc<TicketKeys>,
    sessions: Arc<TlsSessions>,
    /// Handshakes in progress whose ClientHello has come. If there are many, slow ones give way to
    /// others.
    pub handshakes: Arc<Crowd>,
}

/// A certificate, and the settings of connections that it is shown on.
struct Shown {
    certificate: Arc<CertifiedKey>,
    /// For clients that offer TLS 1.3, with tickets.
    with_tickets: Arc<ServerConfig>,
    /// For others, whose sessions stay here.
    with_sessions: Arc<ServerConfig>,
}

/// Replaces certificates when their files change, and says once a day what clients will refuse
/// about them.
pub struct CertificateWatch {
    files: Vec<CertificateFiles>,
    tls: Arc<Tls>,
    seen: Vec<Seen>,
    context: CertificateContext,
}

/// What the watch needs besides.
pub struct CertificateContext {
    /// What the listener's key is called where it is configured.
    pub key: &'static str,
    /// Shows until when they hold.
    pub metrics: Arc<Metrics>,
    /// The hosts of the routes, as they are now.
    pub hosts: Box<dyn Fn() -> Vec<HostPattern> + Send + Sync>,
}

/// What a file looked like.
type Seen = Option<(SystemTime, u64)>;

/// TLS with these certificates, and what keeps them fresh. The first is shown to clients that ask
/// for no name, or for one that none of them has.
pub fn tls(
    files: Vec<CertificateFiles>,
    tickets: TicketKeys,
    context: CertificateContext,
) -> Result<(Arc<Tls>, CertificateWatch), CertificateError> {
    let seen = look_at(&files);
    let tls = Tls {
        shown: RwLock::new(Arc::new([])),
        tickets: Arc::new(tickets),
        sessions: Arc::default(),
        handshakes: Crowd::new(MANY, UNDISTURBED),
    };
    tls.show(&files)?;
    context.show(&tls);
    let tls = Arc::new(tls);
    Ok((
        tls.clone(),
        CertificateWatch {
            files,
            tls,
            seen,
            context,
        },
    ))
}

impl Tls {
    /// The settings for who begins like this.
    pub fn configuration(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let all = self.shown.read().clone();
        let shown = match &*all {
            [only] => Some(only),
            several => {
                let name = hello
                    .server_name()
                    .and_then(|name| ServerName::try_from(name).ok());
                name.and_then(|name| several.iter().find(|shown| shown.is_for(&name)))
                    .or(several.first())
            }
        };
        shown.map(|shown| {
            if offers_tls13(hello) {
                shown.with_tickets.clone()
            } else {
                shown.with_sessions.clone()
            }
        })
    }

    /// Until when each name has a certificate, in Unix seconds.
    fn ends(&self) -> BTreeMap<String, u64> {
        let shown = self.shown.read().clone();
        let mut ends = BTreeMap::new();
        // If two have the same name, the first is shown.
        for leaf in shown
            .iter()
            .rev()
            .filter_map(|shown| Facts::of(shown.certificate.cert.first()?))
        {
            ends.extend(leaf.names.into_iter().map(|name| (name, leaf.not_after)));
        }
        ends
    }

    fn show(&self, files: &[CertificateFiles]) -> Result<(), CertificateError> {
        let shown: Result<Arc<[Shown]>, _> = files
            .iter()
            .map(|files| load(files).and_then(|certificate| self.shown_with(certificate, files)))
            .collect();
        *self.shown.write() = shown?;
        Ok(())
    }

    fn shown_with(
        &self,
        certificate: CertifiedKey,
        files: &CertificateFiles,
    ) -> Result<Shown, CertificateError> {
        let certificate = Arc::new(certificate);
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| CertificateError::Pair {
            files: files.clone(),
            why: error.to_string(),
        })?;
        let mut with_sessions = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.clone())));
        with_sessions.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Data before the end of the handshake can be played again.
        with_sessions.max_early_data_size = 0;
        with_sessions.session_storage = self.sessions.clone();
        let mut with_tickets = with_sessions.clone();
        with_tickets.ticketer = Arc::new(
            self.tickets.bound_to(
                &certificate
                    .cert
                    .first()
                    .and_then(|leaf| Facts::of(leaf))
                    .map(|leaf| leaf.names)
                    .unwrap_or_default(),
            ),
        );
        Ok(Shown {
            certificate,
            with_tickets: Arc::new(with_tickets),
            with_sessions: Arc::new(with_sessions),
        })
    }
}

/// Whether a client would take TLS 1.3, which has cipher suites of its own. Some name these and
/// offer 1.2 alone: such a session is kept here like others, and what comes in the place of its
/// ticket is empty.
fn offers_tls13(hello: &ClientHello<'_>) -> bool {
    let of_tls13 = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    hello
        .cipher_suites()
        .iter()
        .any(|suite| of_tls13.contains(suite))
}

impl Shown {
    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let parsed = self
            .certificate
            .cert
            .first()
            .and_then(|cert| ParsedCertificate::try_from(cert).ok());
        parsed.is_some_and(|parsed| verify_server_name(&parsed, name).is_ok())
    }
}

impl CertificateContext {
    fn show(&self, tls: &Tls) {
        let listener = self.key.split('.').next().unwrap_or_default();
        self.metrics.listener.certificates(listener, tls.ends());
    }
}

impl CertificateWatch {
    /// Looks at the files until it is dropped. New ones that cannot be used change nothing.
    pub async fn run(mut self) {
        // What is wrong at the start, the reading of the configuration has said.
        let mut logged_at = monotonic_now();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if self.look() || monotonic_now().saturating_duration_since(logged_at) >= LOG_AGAIN {
                logged_at = monotonic_now();
                self.log_problems();
            }
        }
    }

    /// Whether there are new ones.
    fn look(&mut self) -> bool {
        let now = look_at(&self.files);
        if now == self.seen {
            return false;
        }
        self.seen = now;
        match self.tls.show(&self.files) {
            Ok(()) => {
                self.context.show(&self.tls);
                log::info!("{}: certificates reloaded", self.context.key);
                true
            }
            Err(error) => {
                log::error!(
                    "{}: {error}; the previous certificates stay in use",
                    self.context.key
                );
                false
            }
        }
    }

    fn log_problems(&self) {
        for DiagnosedSubject {
            subject,
            diagnostics,
        } in diagnose(&self.files, &(self.context.hosts)(), SystemClock.unix_now())
        {
            for Diagnostic { seen, advice, .. } in diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.verdict >= Verdict::Warn)
            {
                log::warn!("{}: {subject}: {seen} → {advice}", self.context.key);
            }
        }
    }
}

fn look_at(files: &[CertificateFiles]) -> Vec<Seen> {
    let look = |path: &Path| {
        std::fs::metadata(path)
            .ok()
            .and_then(|file| Some((file.modified().ok()?, file.len())))
    };
    files
        .iter()
        .flat_map(|files| [look(&files.cert), look(&files.key)])
        .collect()
}
