//! What a worker owns, and the application that it makes for each load of the configuration.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web;
use futures_util::future::LocalBoxFuture;

use super::process_state::ProcessState;
use super::reloadable::Reloadable;
use crate::assertion::{HeaderNames, IdentityLines, ReservedNames};
use crate::edge::FastPath;
use crate::endpoints::{self, OwnEndpoints, Verify};
use crate::http::authenticate::Authenticator;
use crate::http::request_log::LoggedBody;
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

/// What one worker keeps across reloads.
pub(super) struct Worker {
    process: Arc<ProcessState>,
    sessions: Arc<SessionService>,
    limiter: Limiter,
    auth: Authenticator,
    /// The forwarder before the last reload; the next one takes over its connections.
    forwarder: Option<Forwarder>,
}

/// What the handlers of the gateway's own endpoints need.
pub(super) struct Handlers {
    own: OwnEndpoints,
    login: LoginFlow,
    limits: LoginLimits,
    auth: Authenticator,
    prefix: String,
}

/// Answers without actix-web's application: the proxy and `/auth/verify`.
pub(super) struct GatewayFastPath {
    proxy: Rc<Proxy>,
    verify: Rc<Verify>,
}

impl Worker {
    pub(super) fn new(process: Arc<ProcessState>) -> Self {
        // Connections of the worker's own, for sessions and limits alike.
        let store = process.store.worker();
        let sessions = Arc::new(process.sessions(store.sessions));
        let limiter = Limiter::new(
            store.counters,
            process.local_limits.clone(),
            process.metrics.clone(),
        );
        let auth = Authenticator::new(
            sessions.clone(),
            process.carriers.clone(),
            process.guesses.clone(),
        );
        Self {
            process,
            sessions,
            limiter,
            auth,
            forwarder: None,
        }
    }

    /// The handlers of the own endpoints, and the fast path.
    pub(super) fn handlers(&mut self, reloadable: &Reloadable) -> (Handlers, GatewayFastPath) {
        let (process, settings) = (&self.process, &reloadable.settings);
        let prefix = process.settings.server.prefix.clone();
        let names = settings.identity.clone();
        let limits = LoginLimits::new(
            self.limiter.clone(),
            process.settings.secrets.naming_key.clone(),
            settings.login.quotas,
        );
        let forwarder = Forwarder::new(&reloadable.backends, self.forwarder.as_ref());
        self.forwarder = Some(forwarder.clone());
        let identity_lines = IdentityLines::new(names.clone(), reloadable.identity_generation);
        let proxy = Proxy {
            routes: reloadable.routes.clone(),
            rules: reloadable.rules.clone(),
            unrouted: process.unrouted.clone(),
            auth: self.auth.clone(),
            apps: reloadable.apps.clone(),
            prefix: prefix.clone(),
            head_rules: HeadRules {
                reserved: ReservedNames::new(&names),
                via: Via::new(
                    &process.settings.secrets.naming_key,
                    &process.settings.store.key_prefix,
                ),
                carriers: process.carriers.clone(),
            },
            answer_rules: answer_rules(&names, &process.carriers),
            identity_lines: identity_lines.clone(),
            trusted: reloadable.trusted.clone(),
            cors: reloadable.cors.clone(),
            body_limit: settings.server.body_limit,
            forwarder,
            reports: reloadable.reports.clone(),
            drain: process.drain.clone(),
            websockets: process.websockets.clone(),
        };
        let own = OwnEndpoints::new(
            reloadable.reports.clone(),
            reloadable.trusted.clone(),
            reloadable.cors.clone(),
            process.drain.clone(),
            settings.failure.clone(),
            &process.metrics,
            &prefix,
        );
        let verify = Verify {
            own: own.clone(),
            auth: self.auth.clone(),
            believed: settings.verify.clone(),
            routes: reloadable.routes.clone(),
            apps: reloadable.apps.clone(),
            identity_lines,
            prefix: prefix.clone(),
        };
        let handlers = Handlers {
            own,
            login: LoginFlow::new(
                reloadable.apps.clone(),
                self.sessions.clone(),
                limits.clone(),
                settings.login.replay_window,
                process.metrics.clone(),
            ),
            limits,
            auth: self.auth.clone(),
            prefix,
        };
        (
            handlers,
            GatewayFastPath {
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
            .configure(|cfg| endpoints::configure(cfg, &self.prefix));
    }
}

impl GatewayFastPath {
    /// Whether a path belongs to the gateway's own endpoints.
    fn is_own(&self, path: &str) -> bool {
        path.strip_prefix(&self.proxy.prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FastPath for GatewayFastPath {
    type Body = LoggedBody<AnswerBody>;

    fn answer(
        &self,
        head: &Rc<RequestHead>,
        payload: Payload,
    ) -> Result<LocalBoxFuture<'static, Answer<Self::Body>>, Payload> {
        let path = head.path();
        // The own endpoints keep every spelling of their paths. `/auth/verify` under another
        // spelling is never answered with yes.
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
