//! The servers of a process: the clients', the operators' and the backends'.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::{App, web};
use anyhow::{Context as _, Result};
use tokio::sync::watch;

use super::admin_app::AdminApp;
use super::hosts;
use super::process_state::ProcessState;
use super::reload::Reloader;
use super::reloadable::Reloadable;
use super::worker::Worker;
use crate::clock::SystemClock;
use crate::edge::{
    self, Acceptor, CertificateContext, CertificateFiles, CertificateWatch, ConfigGeneration,
    ConnectionSettings, Dispatcher, HeadLimits, Listen, Listener, ListenerContext, NoFastPath,
    Rejector, ReloadableApp, ServeSettings, SocketFile, TicketKeys,
};
use crate::http::TrustedProxies;
use crate::metrics::Metrics;
use crate::platform_api::{self, PlatformApi};

/// Longest request target, in bytes; nginx's default for a whole request line.
const MAX_TARGET: usize = 8 * 1024;

/// Whose `PROXY` headers are believed; `None`: nobody sends any.
type Balancers = Option<watch::Receiver<Arc<TrustedProxies>>>;

/// What the servers are made from.
pub(super) struct GatewayServers {
    pub(super) process: Arc<ProcessState>,
    pub(super) reloader: Reloader,
    pub(super) workers: usize,
    /// How many files the process may have open.
    pub(super) descriptors: Option<u64>,
}

/// The clients' server, and what belongs to it.
pub(super) struct PublicServer {
    pub(super) server: Server,
    pub(super) listen: Listen,
    pub(super) socket_file: Option<SocketFile>,
    pub(super) certificates: Option<CertificateWatch>,
}

/// The backends' server.
pub(super) struct PlatformApiServer {
    pub(super) certificates: Option<CertificateWatch>,
    pub(super) server: Server,
    pub(super) listen: Listen,
    pub(super) socket_file: Option<SocketFile>,
}

impl GatewayServers {
    pub(super) fn public(&self) -> Result<PublicServer> {
        let settings = &self.process.settings.server;
        let listener = open(&settings.listen, "server.listen")?;
        let listen = listener
            .address(&settings.listen)
            .context("the listener has no address")?;
        let socket_file = listener
            .file(&settings.listen)
            .context("the socket has no file")?;
        let generations = self.reloader.generations.subscribe();
        let (tls, certificates) = self
            .tls(
                &settings.tls,
                CertificateContext {
                    key: "server.tls",
                    metrics: self.process.metrics.clone(),
                    hosts: Box::new(move || hosts(&generations.borrow().content.routes)),
                },
            )?
            .unzip();
        let balancers = settings
            .proxy_protocol
            .then(|| self.reloader.trusted.subscribe());
        let metrics = self.process.metrics.clone();
        let context = self.context(tls, balancers, Some(metrics));
        let process = self.process.clone();
        let app = ReloadableApp {
            // The outer closure runs once in every worker: what it makes belongs to that worker
            // alone. The inner one runs for each load of the configuration.
            start: move || {
                let mut worker = Worker::new(process.clone());
                move |reloadable: &Reloadable| {
                    let (handlers, fast_path) = worker.handlers(reloadable);
                    Dispatcher {
                        fast_path,
                        application: App::new().configure(|cfg| handlers.configure(cfg)),
                    }
                }
            },
            generations: self.reloader.generations.subscribe(),
        };
        let connections = self
            .descriptors
            .map(|descriptors| edge::room_for_clients(descriptors, self.workers));
        let how = self.server_settings(self.workers, connections);
        let server =
            edge::serve(listener, how, context, app).context("cannot serve the public listener")?;
        Ok(PublicServer {
            server,
            listen,
            socket_file,
            certificates,
        })
    }

    pub(super) fn admin(&self) -> Result<(Server, SocketAddr)> {
        let at = Listen::Tcp(self.process.settings.admin.listen);
        let listener = open(&at, "admin.listen")?;
        let Listen::Tcp(listen) = listener
            .address(&at)
            .context("the admin listener has no address")?
        else {
            anyhow::bail!("the admin listener has no address")
        };
        let admin = AdminApp::new(&self.process, &self.reloader);
        let process = self.process.clone();
        let (generation, _) = ConfigGeneration::new(());
        let app = ReloadableApp {
            start: move || {
                let admin = admin.clone();
                let process = process.clone();
                move |(): &()| {
                    let sessions = process.sessions(process.store.process().sessions);
                    Dispatcher {
                        fast_path: NoFastPath,
                        application: App::new().configure(|cfg| admin.configure(sessions, cfg)),
                    }
                }
            },
            generations: watch::Sender::new(generation).subscribe(),
        };
        let context = self.context(None, None, None);
        let server = edge::serve(listener, self.server_settings(1, None), context, app)
            .context("cannot serve the admin listener")?;
        Ok((server, listen))
    }

    /// The backends' server, where there is one.
    pub(super) fn platform_api(&self) -> Result<Option<PlatformApiServer>> {
        let Some(at) = &self.process.settings.platform_api.listen else {
            return Ok(None);
        };
        let listener = open(at, "platform_api.listen")?;
        let listen = listener
            .address(at)
            .context("the platform_api listener has no address")?;
        let socket_file = listener.file(at).context("the socket has no file")?;
        let process = &self.process;
        let api = web::Data::new(PlatformApi {
            clients: self.reloader.clients.subscribe(),
            tokens: process.tokens.clone(),
            tickets: process.tickets.clone(),
            session_keys: process.store.process().session_keys,
            reports: process.reports.clone(),
            clock: Arc::new(SystemClock),
        });
        let (generation, _) = ConfigGeneration::new(());
        let app = ReloadableApp {
            start: move || {
                let api = api.clone();
                move |(): &()| Dispatcher {
                    fast_path: NoFastPath,
                    application: App::new()
                        .app_data(api.clone())
                        .configure(platform_api::configure),
                }
            },
            generations: watch::Sender::new(generation).subscribe(),
        };
        let (tls, certificates) = self
            .tls(
                &process.settings.platform_api.tls,
                CertificateContext {
                    key: "platform_api.tls",
                    metrics: process.metrics.clone(),
                    hosts: Box::new(Vec::new),
                },
            )?
            .unzip();
        let context = self.context(tls, None, None);
        let server = edge::serve(listener, self.server_settings(1, None), context, app)
            .context("cannot serve the platform_api listener")?;
        Ok(Some(PlatformApiServer {
            server,
            listen,
            socket_file,
            certificates,
        }))
    }

    /// TLS on a listener, and what reads its certificates again.
    fn tls(
        &self,
        files: &[CertificateFiles],
        context: CertificateContext,
    ) -> Result<Option<(Arc<edge::Tls>, CertificateWatch)>> {
        if files.is_empty() {
            return Ok(None);
        }
        let keys = self.process.settings.secrets.keys.clone();
        let tickets = TicketKeys::new(keys, Arc::new(SystemClock));
        let key = context.key;
        let tls = edge::tls(files.to_vec(), tickets, context);
        tls.map(Some).context(key)
    }

    /// What the connections of a listener need; `counted`: where they are counted.
    fn context(
        &self,
        tls: Option<Arc<edge::Tls>>,
        balancers: Balancers,
        counted: Option<Arc<Metrics>>,
    ) -> ListenerContext {
        let process = &self.process;
        let settings = &process.settings.server;
        ListenerContext {
            acceptor: Acceptor {
                tls,
                balancers,
                timeout: settings.request_head_timeout,
                metrics: process.metrics.clone(),
            },
            limits: ConnectionSettings {
                limits: HeadLimits {
                    head: settings.max_request_head,
                    target: MAX_TARGET.min(settings.max_request_head),
                },
                head_timeout: settings.request_head_timeout,
                body_timeout: settings.request_body_timeout,
                write_timeout: settings.write_timeout,
                keep_alive: settings.keep_alive,
            },
            rejector: Rejector {
                reports: process.reports.clone(),
                route: process.unrouted.clone(),
            },
            metrics: counted,
            drain: process.drain.clone(),
        }
    }

    fn server_settings(&self, workers: usize, connections: Option<usize>) -> ServeSettings {
        ServeSettings {
            workers,
            drain_deadline: self.process.settings.server.drain_deadline,
            connections,
        }
    }
}

/// Opens a listener; the error says what to do about it in the configuration.
fn open(at: &Listen, key: &str) -> Result<Listener> {
    Listener::open(at).map_err(|error| {
        let advice = at.advice(&error, key);
        anyhow::Error::new(error).context(format!("cannot listen on {at}; {advice}"))
    })
}
