//! What a worker has for itself, and the applications that it makes: one of each reading of the configuration.

use std::sync::Arc;

use actix_web::web;

use super::fixed::Fixed;
use super::reading::Reading;
use crate::assertion::{HeaderNames, ReservedNames};
use crate::http::authenticate::Authenticator;
use crate::http::own::{self, OwnEndpoints};
use crate::http::verify::VerifyRules;
use crate::identity::LoginFlow;
use crate::limit::{Limiter, LoginLimits};
use crate::proxy::answer::AnswerRules;
use crate::proxy::forward::Forwarder;
use crate::proxy::outgoing::HeadRules;
use crate::proxy::{Proxy, proxy};
use crate::session::SessionService;
use crate::session::carrier::TokenCarrier;

/// What one worker has for itself for good.
pub(super) struct Worker {
    fixed: Arc<Fixed>,
    sessions: Arc<SessionService>,
    limiter: Limiter,
    auth: Authenticator,
    /// The way to the upstreams of the reading before, whose connections the next one takes over.
    forwarder: Option<Forwarder>,
}

/// What the handlers of one reading need.
pub(super) struct Handlers {
    own: OwnEndpoints,
    login: LoginFlow,
    limits: LoginLimits,
    auth: Authenticator,
    verify: VerifyRules,
    proxy: Proxy,
    prefix: String,
}

impl Worker {
    pub(super) fn new(fixed: Arc<Fixed>) -> Self {
        // Connections of the worker's own, for sessions and limits alike.
        let store = fixed.store.worker();
        let sessions = Arc::new(fixed.sessions(store.sessions));
        let limiter = Limiter::new(store.counters, fixed.first_line.clone(), fixed.metrics.clone());
        let auth = Authenticator::new(sessions.clone(), fixed.carriers.clone(), fixed.guesses.clone());
        Self { fixed, sessions, limiter, auth, forwarder: None }
    }

    /// The handlers of a reading.
    pub(super) fn handlers(&mut self, reading: &Reading) -> Handlers {
        let (fixed, settings) = (&self.fixed, &reading.settings);
        let prefix = fixed.settings.server.prefix.clone();
        let names = settings.identity.clone();
        let limits = LoginLimits::new(self.limiter.clone(), fixed.settings.secrets.naming_key.clone(), settings.login.quotas);
        let forwarder = Forwarder::new(&reading.backends, self.forwarder.as_ref());
        self.forwarder = Some(forwarder.clone());
        Handlers {
            own: OwnEndpoints::new(
                fixed.reports.clone(),
                reading.trusted.clone(),
                reading.cors.clone(),
                fixed.drain.clone(),
                settings.failure.clone(),
                &fixed.metrics,
                &prefix,
            ),
            login: LoginFlow::new(reading.apps.clone(), self.sessions.clone(), limits.clone(), settings.login.replay_window, fixed.metrics.clone()),
            limits,
            verify: VerifyRules { routes: reading.routes.clone(), apps: reading.apps.clone(), names: names.clone(), prefix: prefix.clone() },
            proxy: Proxy {
                routes: reading.routes.clone(),
                rules: reading.rules.clone(),
                unrouted: fixed.unrouted.clone(),
                auth: self.auth.clone(),
                apps: reading.apps.clone(),
                prefix: prefix.clone(),
                head_rules: HeadRules { reserved: ReservedNames::new(&names), carriers: fixed.carriers.clone() },
                answer_rules: answer_rules(&names, &fixed.carriers),
                names,
                identity_edition: reading.identity_edition,
                trusted: reading.trusted.clone(),
                cors: reading.cors.clone(),
                body_limit: settings.server.body_limit,
                forwarder,
                reports: fixed.reports.clone(),
                drain: fixed.drain.clone(),
                websockets: fixed.websockets.clone(),
            },
            auth: self.auth.clone(),
            prefix,
        }
    }
}

impl Handlers {
    pub(super) fn configure(self, cfg: &mut web::ServiceConfig) {
        cfg.app_data(web::Data::new(self.own))
            .app_data(web::Data::new(self.login))
            .app_data(web::Data::new(self.limits))
            .app_data(web::Data::new(self.auth))
            .app_data(web::Data::new(self.verify))
            .app_data(web::Data::new(self.proxy))
            .configure(|cfg| own::configure(cfg, &self.prefix))
            .default_service(web::to(proxy));
    }
}

fn answer_rules(names: &HeaderNames, carriers: &[TokenCarrier]) -> AnswerRules {
    let token_cookies = carriers.iter().filter_map(|carrier| if let TokenCarrier::Cookie(name) = carrier { Some(name.clone()) } else { None }).collect();
    AnswerRules { reserved: ReservedNames::new(names), token_cookies }
}
