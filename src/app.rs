//! The one place that picks implementations and wires them.

mod parts;
mod process_state;
mod reload;
mod reloadable;
mod worker;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, web};
use anyhow::{Context as _, Result};
use tokio::sync::watch;

use self::parts::{NearCachePart, PlatformsPart, StorePart, UpstreamsPart};
use self::process_state::ProcessState;
pub use self::reload::Reloader;
use self::reloadable::Reloadable;
use self::worker::Worker;
use crate::admin::{self, AdminApi, CurrentApps, Part, Readiness};
use crate::clock::SystemClock;
use crate::config::{self, LogFormat, Settings, StoreTlsFiles};

use crate::edge::{
    self, Acceptor, CertificateContext, CertificateWatch, ConfigGeneration, ConnectionSettings,
    Dispatcher, HeadLimits, Listen, Listener, ListenerContext, NoFastPath, Rejector, ReloadableApp,
    SocketFile, TicketKeys,
};
use crate::files;
use crate::http::Drain;
use crate::metrics::Metrics;
use crate::route::{HostPattern, RouteTable};
use crate::secret::Secret;
use crate::store::near_cache::NearCacheSettings;
use crate::store::{KeyPrefix, RedisTls, StoreHandle, StoreSettings};
use crate::telemetry::access::AccessLogGuard;
use crate::telemetry::{AccessLog, LineFormat, Throttle, Traces, log_setup};

/// Longest request target, in bytes; nginx's default for a whole request line.
const MAX_TARGET: usize = 8 * 1024;

/// A gateway that is listening. Its servers run once `lifecycle` polls them.
pub struct Gateway {
    /// Where it answers clients.
    pub listen: Listen,
    /// The file behind it, if it is a Unix socket.
    pub socket_file: Option<SocketFile>,
    /// Where it answers operators.
    pub admin: SocketAddr,
    /// The clients' server.
    pub public_server: Server,
    /// The operators' server.
    pub admin_server: Server,
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
    /// Reads the listener's certificates again when they change, where there are any.
    pub certificates: Option<CertificateWatch>,
}

/// The clients' server, and what belongs to it.
struct PublicServer {
    server: Server,
    listen: Listen,
    socket_file: Option<SocketFile>,
    certificates: Option<CertificateWatch>,
}

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub struct DrainTimeouts {
    /// After the signal connections are still accepted for this long: balancers are slow to notice.
    pub grace: Duration,
    /// Then requests under way have this long.
    pub deadline: Duration,
}

/// What stays, and what a reload replaces.
struct Assembly {
    process: Arc<ProcessState>,
    reloader: Reloader,
    /// How many files the process may have open.
    descriptors: Option<u64>,
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
    let terminal = std::io::stdout().is_terminal();
    let format = if is_json(&settings, terminal) {
        LineFormat::Json
    } else {
        LineFormat::Text
    };
    let (access_log, access) = AccessLog::start(
        format,
        std::io::stdout(),
        metrics.access_lines_dropped.clone(),
    )
    .context("cannot start the access log")?;
    let settings = Arc::new(settings);
    let process = Arc::new(ProcessState::new(settings.clone(), metrics, access_log)?);
    let first = Reloadable::new(settings.clone(), None, &process)?;
    let assembly = Assembly {
        reloader: Reloader::new(first, file, process.clone(), workers(&settings)),
        process: process.clone(),
        descriptors,
    };
    let PublicServer {
        server: public_server,
        listen,
        socket_file,
        certificates,
    } = assembly.public_server()?;
    let (admin_server, admin) = assembly.admin_server()?;
    let drain_timeouts = DrainTimeouts {
        grace: settings.server.drain_grace,
        deadline: settings.server.drain_deadline,
    };
    let store_name = store_settings(&settings.store, None)?.url.to_string();
    let (traces, drain, store) = (
        process.reports.traces.clone(),
        process.drain.clone(),
        process.store.clone(),
    );
    let reloader = assembly.reloader;
    Ok(Gateway {
        listen,
        socket_file,
        admin,
        store_name,
        public_server,
        admin_server,
        reloader,
        drain,
        drain_timeouts,
        store,
        access,
        traces,
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
    std::panic::set_hook(Box::new(told_panic));
    log_setup::init(
        settings.log.level,
        is_json(settings, std::io::stderr().is_terminal()),
    );
}

/// A panic ends one connection, never the process. It is told in the log's own form, and once in a
/// while: whatever a client does to cause it, it can do as often as it likes.
fn told_panic(panic: &std::panic::PanicHookInfo<'_>) {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
    if let Some(silent) = THROTTLE.admit() {
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        log::error!("panic at {at}: the connection was dropped, the gateway keeps running{silent}");
    }
}

fn is_json(settings: &Settings, terminal: bool) -> bool {
    match settings.log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    }
}

impl Assembly {
    /// The settings of TLS on the public listener, and what reads its certificates again.
    fn tls(&self) -> Result<(Option<Arc<edge::Tls>>, Option<CertificateWatch>)> {
        let files = self.process.settings.server.tls.clone();
        if files.is_empty() {
            return Ok((None, None));
        }
        let tickets = TicketKeys::new(
            self.process.settings.secrets.keys.clone(),
            Arc::new(SystemClock),
        );
        let generations = self.reloader.generations();
        let hosts = Box::new(move || hosts(&generations.borrow().content.routes));
        let (tls, watch) = edge::tls(
            files,
            tickets,
            CertificateContext {
                metrics: self.process.metrics.clone(),
                hosts,
            },
        )
        .context("server.tls")?;
        Ok((Some(tls), Some(watch)))
    }

    fn public_server(&self) -> Result<PublicServer> {
        let process = &self.process;
        let server = &process.settings.server;
        let listener = open(&server.listen, "server.listen")?;
        let listen = listener
            .address(&server.listen)
            .context("the listener has no address")?;
        let socket_file = listener
            .file(&server.listen)
            .context("the socket has no file")?;
        let (tls, certificates) = self.tls()?;
        let balancers = server.proxy_protocol.then(|| self.reloader.trusted());
        let acceptor = Acceptor::new(
            tls,
            balancers,
            server.request_head_timeout,
            process.metrics.clone(),
        );
        let rejector = Rejector::new(process.reports.clone(), process.unrouted.clone());
        let shared = process.clone();
        // The outer closure runs once in every worker: what it makes belongs to that worker alone.
        // The inner one runs for each load of the configuration.
        let start = move || {
            let mut worker = Worker::new(shared.clone());
            move |reloadable: &Reloadable| {
                let (handlers, fast_path) = worker.handlers(reloadable);
                Dispatcher {
                    fast_path,
                    application: App::new().configure(|cfg| handlers.configure(cfg)),
                }
            }
        };
        let workers = workers(&process.settings);
        let connections = self
            .descriptors
            .map(|descriptors| edge::room_for_clients(descriptors, workers));
        let how = edge::ServerSettings {
            workers,
            drain_deadline: server.drain_deadline,
            connections,
        };
        let app = ReloadableApp {
            start,
            generations: self.reloader.generations(),
        };
        let server = edge::serve(
            listener,
            how,
            ListenerContext {
                acceptor,
                limits: self.connection_settings(),
                rejector,
                metrics: Some(process.metrics.clone()),
                drain: process.drain.clone(),
            },
            app,
        )
        .context("cannot serve the public listener")?;
        Ok(PublicServer {
            server,
            listen,
            socket_file,
            certificates,
        })
    }

    /// Limits and deadlines of the listeners' connections.
    fn connection_settings(&self) -> ConnectionSettings {
        let server = &self.process.settings.server;
        ConnectionSettings {
            limits: HeadLimits {
                head: server.max_request_head,
                target: MAX_TARGET.min(server.max_request_head),
            },
            head_timeout: server.request_head_timeout,
            body_timeout: server.request_body_timeout,
            write_timeout: server.write_timeout,
            keep_alive: server.keep_alive,
        }
    }

    fn admin_server(&self) -> Result<(Server, SocketAddr)> {
        let process = &self.process;
        let address = process.settings.admin.listen;
        let metrics = web::Data::from(process.metrics.clone());
        let mut parts: Vec<Arc<dyn Part>> = vec![
            Arc::new(StorePart(process.store.probe())),
            Arc::new(UpstreamsPart(self.reloader.generations())),
            Arc::new(PlatformsPart(self.reloader.generations())),
        ];
        if process.store.push().is_some() {
            parts.push(Arc::new(NearCachePart(process.store.clone())));
        }
        let readiness = web::Data::new(Readiness {
            drain: process.drain.clone(),
            parts,
        });
        let api = web::Data::new(AdminApi::new(
            process.settings.admin.token.as_ref(),
            process.reports.clone(),
            &process.metrics,
        ));
        let apps = web::Data::new(CurrentApps(self.reloader.apps()));
        let shared = process.clone();
        let start = move || {
            let (metrics, readiness, api, apps, shared) = (
                metrics.clone(),
                readiness.clone(),
                api.clone(),
                apps.clone(),
                shared.clone(),
            );
            move |(): &()| {
                let app = App::new()
                    .app_data(metrics.clone())
                    .app_data(readiness.clone())
                    .app_data(api.clone())
                    .app_data(apps.clone());
                let app = app
                    .app_data(web::Data::new(
                        shared.sessions(shared.store.process().sessions),
                    ))
                    .configure(admin::configure);
                Dispatcher {
                    fast_path: NoFastPath,
                    application: app,
                }
            }
        };
        let at = Listen::Tcp(address);
        let listener = open(&at, "admin.listen")?;
        let Listen::Tcp(listen) = listener
            .address(&at)
            .context("the admin listener has no address")?
        else {
            anyhow::bail!("the admin listener has no address")
        };
        let context = ListenerContext {
            acceptor: Acceptor::new(
                None,
                None,
                process.settings.server.request_head_timeout,
                process.metrics.clone(),
            ),
            limits: self.connection_settings(),
            rejector: Rejector::new(process.reports.clone(), process.unrouted.clone()),
            metrics: None,
            drain: process.drain.clone(),
        };
        let how = edge::ServerSettings {
            workers: 1,
            drain_deadline: process.settings.server.drain_deadline,
            connections: None,
        };
        let (generation, _) = ConfigGeneration::new(());
        let app = ReloadableApp {
            start,
            generations: watch::Sender::new(generation).subscribe(),
        };
        Ok((
            edge::serve(listener, how, context, app).context("cannot serve the admin listener")?,
            listen,
        ))
    }
}

/// The hosts of the routes.
pub(crate) fn hosts(routes: &RouteTable) -> Vec<HostPattern> {
    routes
        .routes()
        .iter()
        .map(|route| route.hosts.clone())
        .collect()
}

/// Opens a listener; the error says what to do about it in the configuration.
fn open(at: &Listen, key: &str) -> Result<Listener> {
    Listener::open(at).map_err(|error| {
        let advice = at.advice(&error, key);
        anyhow::Error::new(error).context(format!("cannot listen on {at}; {advice}"))
    })
}

/// The store's own settings out of the configuration's.
pub(crate) fn store_settings(
    from: &config::StoreSettings,
    near_cache: Option<NearCacheSettings>,
) -> Result<StoreSettings> {
    Ok(StoreSettings {
        url: from.url.clone(),
        sentinel_login: from.sentinel_login.clone(),
        wait_replicas: from.wait_replicas,
        near_cache,
        key_prefix: KeyPrefix::new(&from.key_prefix).context("store.key_prefix")?,
        connect_timeout: from.connect_timeout,
        timeout: from.timeout,
        tls: certificates(&from.tls)?,
    })
}

fn certificates(tls: &StoreTlsFiles) -> Result<RedisTls> {
    let read = |path: &Path| {
        files::read(path)
            .map(|content| content.to_vec())
            .map_err(|reason| anyhow::anyhow!("store.tls: {} {reason}", path.display()))
    };
    let ca = tls.ca.as_deref().map(read).transpose()?;
    let (cert, key) = tls
        .client
        .as_ref()
        .map(|(cert, key)| Ok::<_, anyhow::Error>((read(cert)?, Secret::new(read(key)?))))
        .transpose()?
        .unzip();
    Ok(RedisTls { ca, cert, key })
}
