//! The one place that picks implementations and wires them.

mod admin_app;
mod parts;
mod process_state;
mod push_watch;
mod reload;
mod reloadable;
mod servers;
mod store_settings;
mod worker;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use anyhow::{Context as _, Result};

use self::process_state::ProcessState;
pub use self::reload::Reloader;
use self::reloadable::Reloadable;
use self::servers::GatewayServers;
pub(crate) use self::store_settings::store_settings;
use crate::config::{LogFormat, Settings};
use crate::edge::{CertificateWatch, Listen, SocketFile};
use crate::http::Drain;
use crate::metrics::Metrics;
use crate::route::{HostPattern, RouteTable};
use crate::store::StoreHandle;
use crate::telemetry::access::AccessLogGuard;
use crate::telemetry::{AccessLog, LineFormat, Throttle, Traces, log_setup};

/// A gateway that is listening. Its servers run once `lifecycle` polls them.
pub struct Gateway {
    /// Where it answers clients.
    pub listen: Listen,
    /// Where it answers operators.
    pub admin: SocketAddr,
    /// Where it answers backends that call the platform, if it does.
    pub platform_api: Option<Listen>,
    /// The files behind the Unix sockets.
    pub socket_files: Vec<SocketFile>,
    /// The clients' server.
    pub public_server: Server,
    /// The operators' server.
    pub admin_server: Server,
    /// The backends' server.
    pub platform_api_server: Option<Server>,
    /// Reads the configuration again, and has what goes on beside the requests: health checks of
    /// upstreams, look-ups of their names.
    pub reloader: Reloader,
    /// Starts draining.
    pub drain: Drain,
    /// How long the end may take.
    pub drain_timeouts: DrainTimeouts,
    /// The store, for whoever shows what it holds.
    pub store: StoreHandle,
    /// What the store is called in messages, without a password.
    pub store_name: String,
    /// Writes the last access lines when dropped.
    pub access: AccessLogGuard,
    /// Where spans go; whoever ends the process has the last ones sent.
    pub traces: Option<Arc<Traces>>,
    /// Read the listeners' certificates again when they change.
    pub certificates: Vec<CertificateWatch>,
}

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub struct DrainTimeouts {
    /// After the signal connections are still accepted for this long: balancers are slow to notice.
    pub grace: Duration,
    /// Then requests under way have this long.
    pub deadline: Duration,
}

/// Opens the listeners and wires everything behind them. `file` is where the settings were read, if
/// it was a file that can be read again; `descriptors` how many files the process may have open, if
/// that is known.
pub fn build(
    settings: Settings,
    file: Option<PathBuf>,
    descriptors: Option<u64>,
) -> Result<Gateway> {
    // Both clients with TLS share one provider; a second gateway in the same process finds it
    // installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Arc::new(Metrics::new());
    let format = line_format(&settings, std::io::stdout().is_terminal());
    let lost = metrics.process.access_lines_dropped.clone();
    let (access_log, access) =
        AccessLog::start(format, std::io::stdout(), lost).context("cannot start the access log")?;
    let settings = Arc::new(settings);
    let process = Arc::new(ProcessState::new(settings.clone(), metrics, access_log)?);
    let first = Reloadable::new(settings.clone(), None, &process)?;
    let servers = GatewayServers {
        workers: workers(&settings),
        reloader: Reloader::new(first, file, process.clone(), workers(&settings)),
        process: process.clone(),
        descriptors,
    };
    let public = servers.public()?;
    let (admin_server, admin) = servers.admin()?;
    let mut socket_files = Vec::from_iter(public.socket_file);
    let mut certificates = Vec::from_iter(public.certificates);
    let mut platform_api = None;
    let mut platform_api_server = None;
    if let Some(api) = servers.platform_api()? {
        socket_files.extend(api.socket_file);
        certificates.extend(api.certificates);
        platform_api = Some(api.listen);
        platform_api_server = Some(api.server);
    }
    Ok(Gateway {
        listen: public.listen,
        socket_files,
        admin,
        platform_api,
        store_name: settings.store.url.to_string(),
        public_server: public.server,
        admin_server,
        platform_api_server,
        reloader: servers.reloader,
        drain: process.drain.clone(),
        drain_timeouts: DrainTimeouts {
            grace: settings.server.drain_grace,
            deadline: settings.server.drain_deadline,
        },
        store: process.store.clone(),
        access,
        traces: process.reports.traces.clone(),
        certificates,
    })
}

/// Worker threads: as configured, or one for each core.
fn workers(settings: &Settings) -> usize {
    match settings.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => some,
    }
}

/// Starts the log as the settings say.
pub fn start_log(settings: &Settings) {
    std::panic::set_hook(Box::new(log_panic));
    log_setup::init(
        settings.log.level,
        line_format(settings, std::io::stderr().is_terminal()),
    );
}

/// A panic ends one connection, never the process. It is logged once in a while: whatever a client
/// does to cause it, it can do as often as it likes.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
    if let Some(silent) = THROTTLE.admit() {
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        log::error!("panic at {at}: the connection was dropped, the gateway keeps running{silent}");
    }
}

fn line_format(settings: &Settings, terminal: bool) -> LineFormat {
    match settings.log.format {
        LogFormat::Auto if terminal => LineFormat::Text,
        LogFormat::Auto | LogFormat::Json => LineFormat::Json,
        LogFormat::Text => LineFormat::Text,
    }
}

pub(crate) fn hosts(routes: &RouteTable) -> Vec<HostPattern> {
    routes
        .routes()
        .iter()
        .map(|route| route.hosts.clone())
        .collect()
}
