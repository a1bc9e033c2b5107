//! What a worker owns, and the application that it makes for each load of the configuration.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use futures_util::future::LocalBoxFuture;

use super::process_state::ProcessState;
use super::push_watch::{own_requests, push_forwarder};
use super::reloadable::Reloadable;
use crate::assertion::WorkerAssertions;
use crate::clock::SystemClock;
use crate::edge::FastPath;
use crate::endpoints::{
    self, ComponentEvents, EndpointContext, EndpointDispatcher, Endpoints, OwnEndpoint,
    PublishedKeys, Verify, VisibleClaims, verify,
};
use crate::http::authenticate::Authenticator;
use crate::http::request_log::LoggedBody;
use crate::http::{Answer, RequestHead};
use crate::identity::{LoginCodes, LoginFlow, LoginHook, OpenDataFlow};
use crate::limit::{Limiter, LoginLimits};
use crate::proxy::answer::AnswerBody;
use crate::proxy::forward::Forwarder;
use crate::proxy::outgoing::HeadRules;
use crate::proxy::{HookCaller, Proxy, proxy};
use crate::push::{PushMessages, PushReceiver};
use crate::session::{SessionKeys, SessionService, Users};

/// What one worker keeps across reloads.
pub(super) struct Worker {
    process: Arc<ProcessState>,
    sessions: Arc<SessionService>,
    login_codes: Arc<dyn LoginCodes>,
    session_keys: Arc<dyn SessionKeys>,
    users: Arc<dyn Users>,
    pushes: Arc<dyn PushMessages>,
    limiter: Limiter,
    auth: Authenticator,
    /// The forwarder before the last reload; the next one takes over its connections.
    forwarder: Option<Forwarder>,
    /// Those that were signed under the present configuration; the next one takes them over.
    assertions: Option<WorkerAssertions>,
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
        let login_codes = store.login_codes;
        let session_keys = store.session_keys;
        let users = store.users;
        let pushes = store.pushes;
        let limiter = Limiter::new(
            store.counters,
            process.local_limits.clone(),
            process.metrics.clone(),
        );
        let auth = Authenticator {
            sessions: sessions.clone(),
            carriers: process.carriers.clone(),
            guesses: process.guesses.clone(),
        };
        Self {
            process,
            sessions,
            login_codes,
            session_keys,
            users,
            pushes,
            limiter,
            auth,
            forwarder: None,
            assertions: None,
        }
    }

    /// The application's endpoints, and the fast path.
    pub(super) fn handlers(&mut self, reloadable: &Reloadable) -> (Endpoints, GatewayFastPath) {
        let forwarder = Forwarder::new(&reloadable.upstreams, self.forwarder.as_ref());
        self.forwarder = Some(forwarder.clone());
        self.assertions = self.assertions(reloadable);
        let dispatcher = self.dispatcher(reloadable);
        let pushes = self.pushes(reloadable, forwarder.clone());
        let hook = self.login_hook(reloadable, forwarder.clone());
        let fast_path = GatewayFastPath {
            proxy: Rc::new(self.proxy(reloadable, forwarder)),
            verify: Rc::new(self.verify(reloadable, &dispatcher)),
        };
        (
            self.endpoints(reloadable, dispatcher, pushes, hook),
            fast_path,
        )
    }

    fn assertions(&self, reloadable: &Reloadable) -> Option<WorkerAssertions> {
        let issuer = reloadable.assertions.clone()?;
        Some(match &self.assertions {
            Some(before) => before.succeeding(issuer),
            None => {
                WorkerAssertions::new(issuer, Arc::new(SystemClock), self.process.metrics.clone())
            }
        })
    }

    fn dispatcher(&self, reloadable: &Reloadable) -> EndpointDispatcher {
        let process = &self.process;
        EndpointDispatcher {
            context: EndpointContext {
                reports: reloadable.reports.clone(),
                trusted: reloadable.trusted.clone(),
                cors: reloadable.cors.clone(),
                drain: process.drain.clone(),
            },
            counters: process.endpoint_counters.clone(),
            failure: reloadable.settings.failure.clone(),
            prefix: process.settings.server.prefix.clone(),
        }
    }

    fn verify(&self, reloadable: &Reloadable, dispatcher: &EndpointDispatcher) -> Verify {
        Verify {
            context: dispatcher.context.clone(),
            counted: dispatcher.counters.of(verify::PATH).clone(),
            auth: self.auth.clone(),
            believed: reloadable.settings.verify.clone(),
            routes: reloadable.routes.clone(),
            apps: reloadable.apps.clone(),
            identity_lines: reloadable.identity_lines.clone(),
            assertions: self.assertions.clone(),
            prefix: dispatcher.prefix.clone(),
        }
    }

    fn endpoints(
        &self,
        reloadable: &Reloadable,
        dispatcher: EndpointDispatcher,
        pushes: PushReceiver,
        hook: Rc<dyn LoginHook>,
    ) -> Endpoints {
        let process = &self.process;
        let settings = &reloadable.settings;
        let limits = LoginLimits::new(
            self.limiter.clone(),
            process.settings.secrets.naming_key.clone(),
            settings.login.quotas,
        );
        Endpoints {
            dispatcher,
            login: LoginFlow {
                apps: reloadable.apps.clone(),
                sessions: self.sessions.clone(),
                codes: self.login_codes.clone(),
                tokens: process.tokens.clone(),
                hook,
                limits: limits.clone(),
                replay_window: settings.login.replay_window,
                metrics: process.metrics.clone(),
            },
            open_data: OpenDataFlow {
                apps: reloadable.apps.clone(),
                sessions: self.sessions.clone(),
                keys: self.session_keys.clone(),
                users: self.users.clone(),
                codes: self.login_codes.clone(),
                unstored: process.unstored.clone(),
                tokens: process.tokens.clone(),
                limiter: self.limiter.clone(),
                rules: settings.open_data.clone(),
                metrics: process.metrics.clone(),
            },
            pushes,
            components: ComponentEvents {
                apps: reloadable.apps.clone(),
                broker: process.broker.clone(),
            },
            limits,
            auth: self.auth.clone(),
            visible_claims: VisibleClaims(settings.session.visible_claims.clone()),
            published_keys: PublishedKeys(
                self.assertions
                    .as_ref()
                    .map(|assertions| assertions.published_keys().clone()),
            ),
        }
    }

    fn pushes(&self, reloadable: &Reloadable, forwarder: Forwarder) -> PushReceiver {
        PushReceiver::new(
            reloadable.settings.pushes.clone(),
            self.pushes.clone(),
            Rc::new(push_forwarder(reloadable, &self.process, forwarder)),
            Arc::new(SystemClock),
            self.process.metrics.clone(),
        )
    }

    fn login_hook(&self, reloadable: &Reloadable, forwarder: Forwarder) -> Rc<dyn LoginHook> {
        Rc::new(HookCaller {
            permits: reloadable.hook_permits.clone(),
            requests: own_requests(&self.process, forwarder),
            clock: Arc::new(SystemClock),
        })
    }

    fn proxy(&self, reloadable: &Reloadable, forwarder: Forwarder) -> Proxy {
        let process = &self.process;
        let fixed = &process.settings;
        let settings = &reloadable.settings;
        Proxy {
            routes: reloadable.routes.clone(),
            rules: reloadable.rules.clone(),
            unrouted: process.unrouted.clone(),
            auth: self.auth.clone(),
            apps: reloadable.apps.clone(),
            prefix: fixed.server.prefix.clone(),
            head_rules: HeadRules {
                reserved: settings.reserved_names(),
                via: process.via(),
                carriers: process.carriers.clone(),
            },
            identity_lines: reloadable.identity_lines.clone(),
            assertions: self.assertions.clone(),
            trusted: reloadable.trusted.clone(),
            cors: reloadable.cors.clone(),
            body_limit: settings.server.body_limit,
            forwarder,
            reports: reloadable.reports.clone(),
            drain: process.drain.clone(),
            websockets: process.websockets.clone(),
        }
    }
}

impl FastPath for GatewayFastPath {
    type Body = LoggedBody<AnswerBody>;

    fn answer(
        &self,
        head: &Rc<RequestHead>,
        payload: Payload,
    ) -> Result<LocalBoxFuture<'static, Answer<Self::Body>>, Payload> {
        match endpoints::find(head.path(), &self.proxy.prefix) {
            None => Ok(Box::pin(proxy(self.proxy.clone(), head.clone(), payload))),
            Some(OwnEndpoint::Verify) => {
                let answer = self.verify.clone().answer(head.clone());
                Ok(Box::pin(async move {
                    answer.await.map_body(|body| body.map(AnswerBody::Own))
                }))
            }
            Some(OwnEndpoint::Application) => Err(payload),
        }
    }
}
