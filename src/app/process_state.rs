//! What the process keeps from start to end, across all reloads.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context as _, Result};

use crate::broker::TokenBroker;
use crate::clock::SystemClock;
use crate::config::Settings;
use crate::endpoints::ENDPOINTS;
use crate::http::request_log::{CountedRoute, RequestReporter};
use crate::http::{Drain, EndpointCounters};
use crate::identity::{AppTicketSource, AppTokenSource, UnstoredAnswers};
use crate::limit::{GuessWatch, LocalLimits};
use crate::metrics::Metrics;
use crate::proxy::via::Via;
use crate::proxy::websocket::limits::Websockets;
use crate::session::{SessionService, SessionStore, TokenCarrier, UserService};
use crate::store::StoreHandle;
use crate::telemetry::{AccessLog, Traces};

/// What all workers share, and no reload replaces.
pub(super) struct ProcessState {
    /// The settings at the start. [`super::reloadable::Reloadable`] has the ones that a reload can
    /// change.
    pub(super) settings: Arc<Settings>,
    pub(super) store: StoreHandle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reports: Arc<RequestReporter>,
    pub(super) drain: Drain,
    pub(super) carriers: Arc<[TokenCarrier]>,
    pub(super) local_limits: Arc<LocalLimits>,
    pub(super) guesses: Arc<GuessWatch>,
    pub(super) unstored: Arc<UnstoredAnswers>,
    pub(super) unrouted: Arc<CountedRoute>,
    pub(super) endpoint_counters: Arc<EndpointCounters>,
    pub(super) websockets: Arc<Websockets>,
    pub(super) tokens: Arc<dyn AppTokenSource>,
    pub(super) broker: TokenBroker,
    pub(super) tickets: Arc<dyn AppTicketSource>,
    /// Counts all that have signed. A worker may see a reload that adds keys and none of those
    /// before it, so a number is never used again.
    pub(super) assertion_generations: AtomicU64,
}

impl ProcessState {
    pub(super) fn new(
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        access: AccessLog,
    ) -> Result<Self> {
        let keys = settings.secrets.keys.clone();
        let naming = settings.secrets.naming_key.clone();
        let store = super::store_settings(&settings)?;
        let store = crate::store::open(&store, keys, naming, metrics.clone())
            .context("the store cannot be used")?;
        let traces = settings
            .traces
            .as_ref()
            .map(|traces| {
                Traces::start(traces, metrics.clone())
                    .with_context(|| format!("traces: cannot send spans to {}", traces.endpoint))
            })
            .transpose()?
            .map(Arc::new);
        let drain = Drain::default();
        let clock = Arc::new(SystemClock);
        let stores = store.process();
        let broker = TokenBroker::new(stores.tokens, stores.component, clock, metrics.clone());
        Ok(Self {
            tokens: Arc::new(broker.clone()),
            tickets: Arc::new(broker.clone()),
            assertion_generations: AtomicU64::new(0),
            broker,
            store,
            reports: Arc::new(RequestReporter {
                metrics: metrics.clone(),
                access,
                traces,
                clock: Arc::new(SystemClock),
                drain: drain.clone(),
                skipped: Arc::default(),
            }),
            drain,
            carriers: settings.session.carriers.clone().into(),
            local_limits: Arc::default(),
            guesses: Arc::new(GuessWatch::new(metrics.clone())),
            unstored: Arc::default(),
            unrouted: Arc::new(CountedRoute::new(&metrics, "none")),
            endpoint_counters: Arc::new(EndpointCounters::new(&ENDPOINTS, "", &metrics)),
            websockets: Arc::new(Websockets::new(
                settings.websockets,
                metrics.listener.websockets_open.clone(),
            )),
            metrics,
            settings,
        })
    }

    /// Whether backends have a listener to call the platform through.
    pub(super) fn has_platform_api(&self) -> bool {
        self.settings.platform_api.listen.is_some()
    }

    /// Where requests are reported that nobody wants to read of on these paths.
    pub(super) fn reports_but(&self, skipped: &[String]) -> Arc<RequestReporter> {
        if skipped.is_empty() {
            return self.reports.clone();
        }
        Arc::new(RequestReporter {
            skipped: skipped.into(),
            ..RequestReporter::clone(&self.reports)
        })
    }

    /// The deployment's mark on what it sends to upstreams.
    pub(super) fn via(&self) -> Via {
        let settings = &self.settings;
        Via::new(
            &settings.secrets.naming_key,
            settings.store.key_prefix.as_str(),
        )
    }

    /// What operators do to users.
    pub(super) fn users(&self) -> UserService {
        let stores = self.store.process();
        UserService {
            store: stores.sessions,
            users: stores.users,
            naming: self.settings.secrets.naming_key.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Sessions over a worker's store.
    pub(super) fn sessions(&self, store: Arc<dyn SessionStore>) -> SessionService {
        let secrets = &self.settings.secrets;
        SessionService::new(
            store,
            secrets.keys.clone(),
            secrets.naming_key.clone(),
            self.settings.session.rules,
            self.metrics.clone(),
        )
    }
}
