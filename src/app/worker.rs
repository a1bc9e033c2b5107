//! What a worker has for itself, and the applications that it makes: one of each reading of the
//! configuration.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web;
use futures_util::future::LocalBoxFuture;

use super::fixed::Fixed;
use super::reading::Reading;
use crate::assertion::{HeaderNames, ReservedNames};
use crate::edge::Direct;
use crate::http::authenticate::Authenticator;
use crate::http::own::{self, OwnEndpoints};
use crate::http::request_log::LoggedBody;
use crate::http::verify::Verify;
use crate::http::{Answer, RequestHead};
use crate::identity::LoginFlow;
use crate::limit::{Limiter, LoginLimits};
use crate::proxy::answer::{AnswerBody, AnswerRules};
use crate::proxy::forward::Forwarder;
use crate::proxy::outgoing::HeadRules;
use crate::proxy::via::Via;
use crate::proxy::{Proxy, proxy};
use crate::route::canonical;
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
    prefix: String,
}

/// What answers past the application of the own endpoints: the proxy, and what other proxies ask.
pub(super) struct Hot {
    proxy: Rc<Proxy>,
    verify: Rc<Verify>,
}

impl Worker {
    pub(super) fn new(fixed: Arc<Fixed>) -> Self {
        // Connections of the worker's own, for sessions and limits alike.
        let store = fixed.store.worker();
        let sessions = Arc::new(fixed.sessions(store.sessions));
        let limiter = Limiter::new(
            store.counters,
            fixed.first_line.clone(),
            fixed.metrics.clone(),
        );
        let auth = Authenticator::new(
            sessions.clone(),
            fixed.carriers.clone(),
            fixed.guesses.clone(),
        );
        Self {
            fixed,
            sessions,
            limiter,
            auth,
            forwarder: None,
        }
    }

    /// What answers under a reading: the handlers of the own endpoints, and the proxy.
    pub(super) fn handlers(&mut self, reading: &Reading) -> (Handlers, Hot) {
        let (fixed, settings) = (&self.fixed, &reading.settings);
        let prefix = fixed.settings.server.prefix.clone();
        let names = settings.identity.clone();
        let limits = LoginLimits::new(
            self.limiter.clone(),
            fixed.settings.secrets.naming_key.clone(),
            settings.login.quotas,
        );
        let forwarder = Forwarder::new(&reading.backends, self.forwarder.as_ref());
        self.forwarder = Some(forwarder.clone());
        let proxy = Proxy {
            routes: reading.routes.clone(),
            rules: reading.rules.clone(),
            unrouted: fixed.unrouted.clone(),
            auth: self.auth.clone(),
            apps: reading.apps.clone(),
            prefix: prefix.clone(),
            head_rules: HeadRules {
                reserved: ReservedNames::new(&names),
                via: Via::new(
                    &fixed.settings.secrets.naming_key,
                    &fixed.settings.store.key_prefix,
                ),
                carriers: fixed.carriers.clone(),
            },
            answer_rules: answer_rules(&names, &fixed.carriers),
            names: names.clone(),
            identity_edition: reading.identity_edition,
            trusted: reading.trusted.clone(),
            cors: reading.cors.clone(),
            body_limit: settings.server.body_limit,
            forwarder,
            reports: reading.reports.clone(),
            drain: fixed.drain.clone(),
            websockets: fixed.websockets.clone(),
        };
        let own = OwnEndpoints::new(
            reading.reports.clone(),
            reading.trusted.clone(),
            reading.cors.clone(),
            fixed.drain.clone(),
            settings.failure.clone(),
            &fixed.metrics,
            &prefix,
        );
        let verify = Verify {
            own: own.clone(),
            auth: self.auth.clone(),
            believed: settings.verify.clone(),
            routes: reading.routes.clone(),
            apps: reading.apps.clone(),
            names,
            identity_edition: reading.identity_edition,
            prefix: prefix.clone(),
        };
        let handlers = Handlers {
            own,
            login: LoginFlow::new(
                reading.apps.clone(),
                self.sessions.clone(),
                limits.clone(),
                settings.login.replay_window,
                fixed.metrics.clone(),
            ),
            limits,
            auth: self.auth.clone(),
            prefix,
        };
        (
            handlers,
            Hot {
                proxy: Rc::new(proxy),
                verify: Rc::new(verify),
            },
        )
    }
}

impl Handlers {
    pub(super) fn configure(self, cfg: &mut web::ServiceConfig) {
        cfg.app_data(web::Data::new(self.own))
            .app_data(web::Data::new(self.login))
            .app_data(web::Data::new(self.limits))
            .app_data(web::Data::new(self.auth))
            .configure(|cfg| own::configure(cfg, &self.prefix));
    }
}

impl Hot {
    /// Whether a path belongs to the gateway's own endpoints.
    fn is_own(&self, path: &str) -> bool {
        path.strip_prefix(&self.proxy.prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Direct for Hot {
    type Body = LoggedBody<AnswerBody>;

    fn answer(
        &self,
        head: &Rc<RequestHead>,
        payload: Payload,
    ) -> Result<LocalBoxFuture<'static, Answer<Self::Body>>, Payload> {
        let path = head.path();
        // Own endpoints are own endpoints in every spelling, and what asks in another one is never
        // told yes.
        let other = if path.contains('%') || path.as_bytes().windows(2).any(|pair| pair == b"//") {
            canonical(path).ok()
        } else {
            None
        };
        if self.verify.has(path) || other.as_deref().is_some_and(|path| self.verify.has(path)) {
            let answer = self.verify.clone().answer(head.clone());
            return Ok(Box::pin(async move {
                answer.await.map_body(|body| body.map(AnswerBody::Own))
            }));
        }
        let is_own = self.is_own(path)
            || (path.contains('%') && other.is_some_and(|path| self.is_own(&path)));
        if is_own {
            Err(payload)
        } else {
            Ok(Box::pin(proxy(self.proxy.clone(), head.clone(), payload)))
        }
    }
}

fn answer_rules(names: &HeaderNames, carriers: &[TokenCarrier]) -> AnswerRules {
    let token_cookies = carriers
        .iter()
        .filter_map(|carrier| {
            if let TokenCarrier::Cookie(name) = carrier {
                Some(name.clone())
            } else {
                None
            }
        })
        .collect();
    AnswerRules {
        reserved: ReservedNames::new(names),
        token_cookies,
    }
}
