//! Handles a request from top to bottom; every step is a call with a name.

mod streaming;

use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;

use self::streaming::Opening;
use crate::assertion::{IdentityLines, WorkerAssertions};
use crate::http::authenticate::{Authenticator, Caller};
use crate::http::error::{GatewayError, X_HUFU_ERROR};
use crate::http::extract::X_REQUEST_ID;
use crate::http::forwarded_origin::is_https;
use crate::http::request_log::{CountedRoute, LoggedBody, RequestLog, RequestReporter};
use crate::http::{
    Answer, Cors, Drain, FailureShape, Inbound, RequestHead, TrustedProxies, method,
};
use crate::identity::Apps;
use crate::proxy::answer::{self, AnswerBody};
use crate::proxy::forward::{Forwarder, Outgoing};
use crate::proxy::head_writer::HeadWriter;
use crate::proxy::inbound;
use crate::proxy::outgoing::{HeadRules, OutgoingHead};
use crate::proxy::pending_guard::{PendingGuard, PendingSession};
use crate::proxy::rules::RouteRules;
use crate::proxy::websocket::handshake::{self, Handshake};
use crate::proxy::websocket::limits::{Websockets, check_origin};
use crate::proxy::worker_upstream::UpstreamResponse;
use crate::route::{Route, RouteTable, below, canonical, slashes_decoded};
use crate::upstream_client::download::Download;
use crate::upstream_client::upload::BodyFraming;

/// What one worker needs to forward requests.
pub struct Proxy {
    pub routes: Arc<RouteTable>,
    /// What the proxy does on each of them, in the same order.
    pub rules: Arc<[RouteRules]>,
    /// The counters of requests without a route.
    pub unrouted: Arc<CountedRoute>,
    /// Finds the caller of a request.
    pub auth: Authenticator,
    /// The apps, for their ids.
    pub apps: Arc<Apps>,
    /// The identity headers of sessions.
    pub identity_lines: IdentityLines,
    /// The signed identity; `None`: nothing is signed.
    pub assertions: Option<WorkerAssertions>,
    /// What the gateway's own endpoints live under; nothing below it goes to an upstream, in
    /// whatever spelling.
    pub prefix: String,
    /// What heads leave out in both directions.
    pub head_rules: HeadRules,
    /// Whose forwarding headers are believed.
    pub trusted: Arc<TrustedProxies>,
    /// Cross-origin rules.
    pub cors: Arc<Cors>,
    /// Longest request body, in bytes.
    pub body_limit: u64,
    /// This worker's connections to the upstreams.
    pub forwarder: Forwarder,
    /// Where requests are counted and logged.
    pub reports: Arc<RequestReporter>,
    /// Whether connections are to end.
    pub drain: Drain,
    /// The open WebSockets.
    pub websockets: Arc<Websockets>,
}

/// The route of a request, and the path that the upstream gets.
struct MatchedRoute<'a> {
    route: &'a Route,
    rules: &'a RouteRules,
    path: &'a str,
}

/// Answers any request outside the gateway's own endpoints.
pub async fn proxy(
    proxy: Rc<Proxy>,
    head: Rc<RequestHead>,
    payload: Payload,
) -> Answer<LoggedBody<AnswerBody>> {
    let facts = Inbound::of(&head, &proxy.trusted, proxy.reports.traces.as_deref());
    let mut request_log = RequestLog::new(
        proxy.reports.clone(),
        facts,
        head.method(),
        head.path(),
        proxy.unrouted.clone(),
    );
    request_log.connection = Some(head.connection.clone());
    // Until the route is known.
    let mut failure = &FailureShape::Problem;
    let mut answer = match proxy
        .handle_request(&head, payload, &mut request_log, &mut failure)
        .await
    {
        Ok(answer) => answer,
        Err(error) => {
            let error = head.connection.blamed(error);
            request_log.refused(&error);
            Answer::from(error.response_as(failure, &request_log.inbound.id))
                .map_body(AnswerBody::Own)
        }
    };
    proxy.finish(&head, &mut answer, &mut request_log);
    answer.map_body(|body| LoggedBody::new(body, request_log))
}

impl Proxy {
    /// From the client's request to the upstream's answer.
    async fn handle_request<'a>(
        &'a self,
        request: &RequestHead,
        payload: Payload,
        request_log: &mut RequestLog,
        failure: &mut &'a FailureShape,
    ) -> Result<Answer<AnswerBody>, GatewayError> {
        self.head_rules.via.refuse_return(request.headers())?;
        let handshake = handshake::read(request)?;
        let path = self
            .routes
            .read(request.path())
            .map_err(inbound::ambiguous_path)?;
        inbound::refuse_token_in(&path)?;
        if let Some(response) = self.cors.preflight(request) {
            return Ok(Answer::from(response).map_body(AnswerBody::Own));
        }
        let (route, rules) = self.route(request, &path, request_log)?;
        *failure = &rules.failure;
        let outward = route
            .outward(request.path(), &path)
            .map_err(inbound::ambiguous_path)?;
        if handshake.is_some() {
            let https = is_https(&request_log.inbound, request.headers());
            check_origin(request.headers(), https, &self.cors, &self.auth.carriers)?;
        }
        let caller = self.auth.admit(&route.access, request, request_log).await?;
        let framing = self.framing(request, route, handshake.is_some())?;
        let matched = MatchedRoute {
            route,
            rules,
            path: &outward,
        };
        let upgrades = handshake.is_some();
        let writer = self.head_writer(request, &matched, framing, upgrades, &request_log.inbound);
        let head = writer.written(caller.session());
        let (payload, opening) = self.opening(handshake, payload, &caller)?;
        let admitted = self.admitted(&caller, &route.access);
        let pending = admitted.map(|admitted| PendingSession {
            admitted,
            head: &writer,
        });
        let guard = PendingGuard::new(pending, &self.drain);
        let outgoing = Outgoing {
            upstream: &route.upstream,
            user: caller.user(),
            method: request.method(),
            head,
            payload,
            framing,
            body_limit: self.body_limit(route),
            timeout: route.timeout,
            total_timeout: None,
            upgrade: opening.as_ref().map(|opening| &opening.handshake.upgrade),
            guard: &guard,
        };
        let id = request_log.inbound.id;
        let response = self
            .forwarder
            .forward(outgoing, &mut request_log.upstream, &id)
            .await?;
        let answer = self.answer(response, rules, &caller);
        self.stream(answer, opening, admitted, request_log)
    }

    /// How the body comes, which must not be over the route's limit.
    fn framing(
        &self,
        request: &RequestHead,
        route: &Route,
        is_handshake: bool,
    ) -> Result<BodyFraming, GatewayError> {
        if is_handshake {
            // The parser refuses a handshake with a body. An announced length of zero is dropped.
            return Ok(BodyFraming::None);
        }
        inbound::body_framing(request.headers(), self.body_limit(route))
    }

    fn head_writer<'a>(
        &'a self,
        request: &'a RequestHead,
        matched: &MatchedRoute<'a>,
        framing: BodyFraming,
        upgrades: bool,
        inbound: &'a Inbound,
    ) -> HeadWriter<'a> {
        let upstream = &matched.route.upstream;
        HeadWriter {
            rules: &self.head_rules,
            apps: &self.apps,
            identity_lines: &self.identity_lines,
            assertions: self.assertions.as_ref(),
            audience: &upstream.name,
            request: OutgoingHead {
                head: request,
                path: matched.path,
                stripped: matched.route.rewrite.stripped(),
                edits: &matched.rules.request,
                host: &upstream.host,
                upstream: &upstream.authority,
                inbound,
                framing,
                upgrades,
            },
        }
    }

    /// The request's body, or the WebSocket that it opens.
    fn opening(
        &self,
        handshake: Option<Handshake>,
        payload: Payload,
        caller: &Caller,
    ) -> Result<(Payload, Option<Opening>), GatewayError> {
        let Some(handshake) = handshake else {
            return Ok((payload, None));
        };
        let opening = Opening {
            handshake,
            place: self.websockets.enter(caller.user())?,
            client: payload,
        };
        Ok((Payload::None, Some(opening)))
    }

    /// The answer to the client.
    fn answer(
        &self,
        response: UpstreamResponse,
        rules: &RouteRules,
        caller: &Caller,
    ) -> Answer<Box<Download>> {
        let mut head = answer::to_client(&response.head, &self.head_rules, rules);
        if let Caller::Anonymous {
            dead_token: Some(code),
        } = caller
        {
            // On an optional route a dead token means an anonymous request; the answer says why.
            head.push(X_HUFU_ERROR, code.word().as_bytes());
        }
        Answer::new(head, Box::new(response.body))
    }

    fn route(
        &self,
        request: &RequestHead,
        path: &str,
        request_log: &mut RequestLog,
    ) -> Result<(&Route, &RouteRules), GatewayError> {
        let is_own = |path: &str| below(path, &self.prefix).is_some();
        let decoded = || canonical(&slashes_decoded(path)).is_ok_and(|path| is_own(&path));
        if is_own(path) || (self.routes.is_encoded(path) && decoded()) {
            return Err(GatewayError::no_endpoint());
        }
        let host = if self.routes.names_hosts() {
            inbound::host(request.headers())
        } else {
            None
        };
        let index = self
            .routes
            .find(host.as_deref(), request.method(), path)
            .map_err(inbound::no_route)?;
        if self.routes.chose_by_method(index) {
            method::refuse_another(request.method(), request.headers())?;
        }
        request_log.route = self.rules[index].counted.clone();
        Ok((&self.routes.routes()[index], &self.rules[index]))
    }

    fn body_limit(&self, route: &Route) -> u64 {
        route.body_limit.unwrap_or(self.body_limit)
    }

    /// What every answer gets, whoever made it.
    fn finish(
        &self,
        request: &RequestHead,
        answer: &mut Answer<AnswerBody>,
        request_log: &mut RequestLog,
    ) {
        let status = answer.head.status;
        request_log.set_status(status);
        answer
            .head
            .push(X_REQUEST_ID, request_log.inbound.id.as_bytes());
        self.cors.decorate(request.headers(), &mut answer.head);
        answer.head.close |= self.drain.is_on() && status != StatusCode::SWITCHING_PROTOCOLS;
    }
}
