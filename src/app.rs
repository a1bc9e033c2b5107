//! The one place that picks implementations and wires them.

mod parts;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use anyhow::{Context as _, Result};

use self::parts::{NearCachePart, StorePart, UpstreamsPart};
use crate::admin::{self, AdminApi, Part, Readiness};
use crate::assertion::{HeaderNames, ReservedNames};
use crate::clock::SystemClock;
use crate::config::{self, AppSettings, LogFormat, Settings, StoreTlsFiles};
use crate::edge::head::HeadLimits;
use crate::edge::{self, Acceptor, CertificateWatch, GateSettings, Listen, Listener, RefusalDesk};
use crate::http::authenticate::Authenticator;
use crate::http::completion::{CountedRoute, Reports};
use crate::http::own::{self, OwnEndpoints};
use crate::http::verify::VerifyRules;
use crate::http::{Cors, Drain, FailureShape, TrustedProxies};
use crate::identity::{self, Apps, IdentityProvider, LoginFlow};
use crate::limit::{FirstLine, GuessWatch, Limiter, LoginLimits};
use crate::metrics::Metrics;
use crate::provider::call::PlatformClient;
use crate::provider::wechat::mini_program::{MiniProgram, MiniProgramSettings};
use crate::proxy::answer::AnswerRules;
use crate::proxy::backend::Backend;
use crate::proxy::forward::Forwarder;
use crate::proxy::outgoing::HeadRules;
use crate::proxy::watch::UpstreamWatch;
use crate::proxy::websockets::Websockets;
use crate::proxy::{Proxy, RouteRules, proxy};
use crate::route::Route;
use crate::secret::Secret;
use crate::session::carrier::TokenCarrier;
use crate::session::{ProviderKind, SessionService, SessionStore};
use crate::store::near_cache::NearCacheSettings;
use crate::store::{KeyPrefix, StoreHandle, StoreSettings, StoreTls};
use crate::telemetry::access::AccessLogGuard;
use crate::telemetry::{AccessLog, LineFormat, Throttle, Traces, log_setup};
use crate::upstream::Upstream;

/// Longest request target, in bytes; nginx's default for a whole request line.
const MAX_TARGET: usize = 8 * 1024;

/// A gateway that is listening. Its servers run once `lifecycle` polls them.
pub struct Gateway {
    /// Where it answers clients.
    pub listen: Listen,
    /// Where it answers operators.
    pub admin: SocketAddr,
    /// The clients' server.
    pub public_server: Server,
    /// The operators' server.
    pub admin_server: Server,
    /// What goes on beside the requests: health checks of upstreams, look-ups of their names.
    pub upstream_watch: UpstreamWatch,
    /// Starts draining.
    pub drain: Drain,
    /// How long the end may take.
    pub patience: Patience,
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
    certificates: Option<CertificateWatch>,
}

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// After the signal connections are still accepted for this long: balancers are slow to notice.
    pub grace: Duration,
    /// Then requests under way have this long.
    pub deadline: Duration,
}

/// What all workers share.
#[derive(Clone)]
struct Shared {
    settings: Arc<Settings>,
    apps: Arc<Apps>,
    store: StoreHandle,
    metrics: Arc<Metrics>,
    reports: Arc<Reports>,
    trusted: Arc<TrustedProxies>,
    cors: Arc<Cors>,
    drain: Drain,
    carriers: Arc<[TokenCarrier]>,
    first_line: Arc<FirstLine>,
    guesses: Arc<GuessWatch>,
    rules: Arc<[RouteRules]>,
    unrouted: Arc<CountedRoute>,
    backends: Vec<Arc<Backend>>,
    websockets: Arc<Websockets>,
}

/// Opens the listeners and wires everything behind them.
pub fn build(settings: Settings) -> Result<Gateway> {
    // Both clients with TLS share one provider; a second gateway in the same process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Arc::new(Metrics::new());
    let terminal = std::io::stdout().is_terminal();
    let format = if is_json(&settings, terminal) { LineFormat::Json } else { LineFormat::Text };
    let (access_log, access) = AccessLog::start(format, std::io::stdout(), metrics.access_lines_dropped.clone()).context("cannot start the access log")?;
    let shared = Shared::new(settings, metrics, access_log)?;
    let PublicServer { server: public_server, listen, certificates } = shared.public_server()?;
    let (admin_server, admin) = shared.admin_server()?;
    let patience = Patience { grace: shared.settings.server.drain_grace, deadline: shared.settings.server.drain_deadline };
    let store_name = store_settings(&shared.settings.store, None)?.url.to_string();
    let traces = shared.reports.traces.clone();
    let upstream_watch = UpstreamWatch(shared.backends);
    let (drain, store) = (shared.drain, shared.store);
    Ok(Gateway { listen, admin, store_name, public_server, admin_server, upstream_watch, drain, patience, store, access, traces, certificates })
}

/// Starts the log as the settings say.
pub fn start_log(settings: &Settings) {
    std::panic::set_hook(Box::new(told_panic));
    log_setup::init(settings.log.level, is_json(settings, std::io::stderr().is_terminal()));
}

/// A panic ends one request or connection, never the process. It is told in the log's own form, and once in a while: a client can cause
/// the one in the server's parser (a header name over 65 535 bytes) as often as it likes.
fn told_panic(panic: &std::panic::PanicHookInfo<'_>) {
    static TOLD: Throttle = Throttle::new(Duration::from_secs(1));
    if let Some(silent) = TOLD.admit() {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error!("panic at {at}: the connection in question was dropped, the gateway goes on ({silent} more since the last line)");
    }
}

fn is_json(settings: &Settings, terminal: bool) -> bool {
    match settings.log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    }
}

impl Shared {
    fn new(settings: Settings, metrics: Arc<Metrics>, access: AccessLog) -> Result<Self> {
        let keys = settings.secrets.keys.clone();
        let store =
            crate::store::open(&store_settings(&settings.store, settings.session.near_cache)?, keys, settings.secrets.naming_key.clone(), metrics.clone())
                .context("the store cannot be used")?;
        let apps = Arc::new(apps(&settings.apps, &metrics)?);
        let traces = settings.traces.as_ref().map(|traces| Traces::start(traces, metrics.clone())).transpose().context("traces")?.map(Arc::new);
        let backends = backends(&settings.upstreams, &metrics)?;
        let rules = route_rules(&settings, &metrics);
        Ok(Self {
            apps,
            store,
            reports: Arc::new(Reports { metrics: metrics.clone(), access, traces, clock: Arc::new(SystemClock) }),
            trusted: Arc::new(TrustedProxies::new(settings.server.trusted_proxies.clone())),
            cors: Arc::new(Cors::new(settings.cors.origins.clone())),
            drain: Drain::default(),
            carriers: settings.session.carriers.clone().into(),
            first_line: Arc::default(),
            guesses: Arc::new(GuessWatch::new(metrics.clone())),
            rules,
            unrouted: Arc::new(CountedRoute::new(&metrics, "none")),
            backends,
            websockets: Arc::new(Websockets::new(settings.websockets, metrics.websockets_open.clone())),
            metrics,
            settings: Arc::new(settings),
        })
    }

    /// Sessions over a worker's store.
    fn sessions(&self, store: Arc<dyn SessionStore>) -> SessionService {
        let secrets = &self.settings.secrets;
        SessionService::new(store, secrets.keys.clone(), secrets.naming_key.clone(), self.settings.session.rules, self.metrics.clone())
    }

    /// The settings of TLS on the public listener, and what reads its certificates again.
    fn tls(&self) -> Result<(Option<Arc<rustls::ServerConfig>>, Option<CertificateWatch>)> {
        let files = self.settings.server.tls.clone();
        if files.is_empty() {
            return Ok((None, None));
        }
        let (config, watch) = edge::tls(files).context("server.tls")?;
        Ok((Some(config), Some(watch)))
    }

    fn public_server(&self) -> Result<PublicServer> {
        let server = &self.settings.server;
        let workers = if server.workers == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { server.workers };
        let listener = Listener::open(&server.listen).with_context(|| taken(&server.listen, "server.listen"))?;
        let listen = listener.address(&server.listen).context("the listener has no address")?;
        let (tls, certificates) = self.tls()?;
        let balancers = server.proxy_protocol.then(|| self.trusted.clone());
        let acceptor = Acceptor::new(tls, balancers, server.request_head_timeout, self.metrics.clone());
        let desk = RefusalDesk::new(self.reports.clone(), self.unrouted.clone());
        let shared = self.clone();
        // The closure runs once in every worker: what it makes belongs to that worker alone.
        let app = move || {
            let worker = Worker::new(&shared);
            App::new().configure(|cfg| worker.configure(cfg, &shared.settings.server.prefix))
        };
        let how = edge::ServerSettings { workers, drain_deadline: server.drain_deadline };
        let server = edge::serve(listener, how, acceptor, self.gate(), desk, app).context("cannot serve the public listener")?;
        Ok(PublicServer { server, listen, certificates })
    }

    /// What the public listener allows its clients.
    fn gate(&self) -> GateSettings {
        let server = &self.settings.server;
        GateSettings {
            limits: HeadLimits { head: server.max_request_head, target: MAX_TARGET.min(server.max_request_head) },
            head_timeout: server.request_head_timeout,
            body_timeout: server.request_body_timeout,
            write_timeout: server.write_timeout,
            keep_alive: server.keep_alive,
        }
    }

    fn admin_server(&self) -> Result<(Server, SocketAddr)> {
        let address = self.settings.admin.listen;
        let metrics = web::Data::from(self.metrics.clone());
        let mut parts: Vec<Arc<dyn Part>> = vec![Arc::new(StorePart(self.store.probe())), Arc::new(UpstreamsPart(self.backends.clone()))];
        if self.store.push().is_some() {
            parts.push(Arc::new(NearCachePart(self.store.clone())));
        }
        let readiness = web::Data::new(Readiness { drain: self.drain.clone(), parts });
        let api = web::Data::new(AdminApi::new(self.settings.admin.token.as_ref(), self.reports.clone(), &self.metrics));
        let shared = self.clone();
        let http = HttpServer::new(move || {
            let app = App::new().app_data(metrics.clone()).app_data(readiness.clone()).app_data(api.clone());
            app.app_data(web::Data::from(shared.apps.clone())).app_data(web::Data::new(shared.sessions(shared.store.for_worker()))).configure(admin::configure)
        });
        let http = http.workers(1).disable_signals().bind(address).with_context(|| taken(&Listen::Tcp(address), "admin.listen"))?;
        let listen = *http.addrs().first().context("the admin listener has no address")?;
        Ok((http.run(), listen))
    }
}

/// What a busy port means to the person who started the gateway.
fn taken(address: &Listen, key: &str) -> String {
    format!("cannot listen on {address}; if another program has it, stop that one or choose another with {key}")
}

/// What one worker has for itself.
struct Worker {
    own: OwnEndpoints,
    login: LoginFlow,
    limits: LoginLimits,
    auth: Authenticator,
    verify: VerifyRules,
    proxy: Proxy,
}

impl Worker {
    fn new(shared: &Shared) -> Self {
        let settings = &shared.settings;
        // Connections of the worker's own, for sessions and limits alike.
        let store = shared.store.worker();
        let sessions = Arc::new(shared.sessions(store.sessions));
        let limiter = Limiter::new(store.counters, shared.first_line.clone(), shared.metrics.clone());
        let limits = LoginLimits::new(limiter, settings.secrets.naming_key.clone(), settings.login.quotas);
        let auth = Authenticator::new(sessions.clone(), shared.carriers.clone(), shared.guesses.clone());
        let routes = Arc::new(settings.routes.clone());
        let names = settings.identity.clone();
        Self {
            own: OwnEndpoints::new(
                shared.reports.clone(),
                shared.trusted.clone(),
                shared.cors.clone(),
                shared.drain.clone(),
                settings.failure.clone(),
                &shared.metrics,
                &settings.server.prefix,
            ),
            login: LoginFlow::new(shared.apps.clone(), sessions, limits.clone(), settings.login.replay_window, shared.metrics.clone()),
            limits,
            verify: VerifyRules { routes: routes.clone(), apps: shared.apps.clone(), names: names.clone(), prefix: settings.server.prefix.clone() },
            proxy: Proxy {
                routes,
                rules: shared.rules.clone(),
                unrouted: shared.unrouted.clone(),
                auth: auth.clone(),
                apps: shared.apps.clone(),
                prefix: settings.server.prefix.clone(),
                head_rules: HeadRules { reserved: ReservedNames::new(&names), carriers: shared.carriers.clone() },
                answer_rules: answer_rules(&names, &shared.carriers),
                names,
                trusted: shared.trusted.clone(),
                cors: shared.cors.clone(),
                body_limit: settings.server.body_limit,
                forwarder: Forwarder::new(&shared.backends),
                reports: shared.reports.clone(),
                drain: shared.drain.clone(),
                websockets: shared.websockets.clone(),
            },
            auth,
        }
    }

    fn configure(self, cfg: &mut web::ServiceConfig, prefix: &str) {
        cfg.app_data(web::Data::new(self.own))
            .app_data(web::Data::new(self.login))
            .app_data(web::Data::new(self.limits))
            .app_data(web::Data::new(self.auth))
            .app_data(web::Data::new(self.verify))
            .app_data(web::Data::new(self.proxy))
            .configure(|cfg| own::configure(cfg, prefix))
            .default_service(web::to(proxy));
    }
}

/// The store's own settings out of the configuration's.
pub(crate) fn store_settings(from: &config::StoreSettings, near_cache: Option<NearCacheSettings>) -> Result<StoreSettings> {
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

fn certificates(tls: &StoreTlsFiles) -> Result<StoreTls> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("store.tls: cannot read {}", path.display()));
    let ca = tls.ca.as_deref().map(read).transpose()?;
    let (cert, key) = tls.client.as_ref().map(|(cert, key)| Ok::<_, anyhow::Error>((read(cert)?, Secret::new(read(key)?)))).transpose()?.unzip();
    Ok(StoreTls { ca, cert, key })
}

fn route_rules(settings: &Settings, metrics: &Metrics) -> Arc<[RouteRules]> {
    let rules = |(route, failure): (&Route, &Arc<FailureShape>)| RouteRules::new(route, Arc::new(CountedRoute::new(metrics, &route.name())), failure.clone());
    settings.routes.routes().iter().zip(&settings.route_failures).map(rules).collect()
}

fn answer_rules(names: &HeaderNames, carriers: &[TokenCarrier]) -> AnswerRules {
    let token_cookies = carriers.iter().filter_map(|carrier| if let TokenCarrier::Cookie(name) = carrier { Some(name.clone()) } else { None }).collect();
    AnswerRules { reserved: ReservedNames::new(names), token_cookies }
}

fn apps(settings: &[AppSettings], metrics: &Arc<Metrics>) -> Result<Apps> {
    let client = PlatformClient::new().context("cannot set up the client for the platforms")?;
    let apps: Result<Vec<_>> =
        settings.iter().map(|app| Ok(identity::App { name: app.name.clone(), appid: app.appid.clone(), provider: provider(app, &client, metrics)? })).collect();
    Ok(Apps::new(apps?))
}

fn provider(app: &AppSettings, client: &PlatformClient, metrics: &Arc<Metrics>) -> Result<Arc<dyn IdentityProvider>> {
    match app.provider {
        ProviderKind::WechatMiniProgram => {
            let provider = MiniProgram::new(mini_program_settings(app), client.clone(), Arc::new(SystemClock), metrics.clone());
            Ok(Arc::new(provider.with_context(|| format!("apps.{}", app.name))?))
        }
    }
}

/// A mini program's own settings out of the configuration's.
pub(crate) fn mini_program_settings(app: &AppSettings) -> MiniProgramSettings {
    let mut settings = MiniProgramSettings::new(app.name.clone(), app.appid.clone(), app.secret.clone());
    settings.base_urls.clone_from(&app.base_urls);
    (settings.timeout, settings.max_concurrent) = (app.timeout, app.max_concurrent);
    settings
}

fn backends(upstreams: &[Arc<Upstream>], metrics: &Arc<Metrics>) -> Result<Vec<Arc<Backend>>> {
    let backend = |upstream: &Arc<Upstream>| {
        let made = Backend::new(upstream.clone(), metrics.clone()).with_context(|| format!("upstreams.{}.tls", upstream.name));
        made.map(Arc::new)
    };
    upstreams.iter().map(backend).collect()
}
