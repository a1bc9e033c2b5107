//! The walk of a request: every filter is a call with a name.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::assertion::{HeaderNames, IdentityHeaders};
use crate::http::authenticate::{Authenticator, Caller};
use crate::http::completion::{CLIENT_LEFT, Completion, CountedRoute, Reported, Reports};
use crate::http::connection;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::{Cors, Drain, FailureShape, Inbound, TrustedProxies, method};
use crate::identity::Apps;
use crate::proxy::answer::{self, AnswerBody, AnswerRules};
use crate::proxy::forward::{Forwarder, Outgoing};
use crate::proxy::handshake;
use crate::proxy::inbound;
use crate::proxy::outgoing::{HeadRules, OutgoingHead};
use crate::proxy::rules::RouteRules;
use crate::proxy::streaming::Opening;
use crate::proxy::websockets::{Websockets, check_origin};
use crate::route::{Route, RouteTable, canonical};

/// What one worker needs to pass requests on.
pub struct Proxy {
    /// The routes.
    pub routes: Arc<RouteTable>,
    /// What the proxy does on each of them, in the same order.
    pub rules: Arc<[RouteRules]>,
    /// The counters of requests without a route.
    pub unrouted: Arc<CountedRoute>,
    /// Who is who.
    pub auth: Authenticator,
    /// The apps, for their ids.
    pub apps: Arc<Apps>,
    /// The identity headers' names.
    pub names: HeaderNames,
    /// Another one whenever a name or an app's id has changed.
    pub identity_edition: u64,
    /// What the gateway's own endpoints live under; nothing below it goes to an upstream, in whatever spelling.
    pub prefix: String,
    /// What the outgoing head leaves out.
    pub head_rules: HeadRules,
    /// What the answer leaves out.
    pub answer_rules: AnswerRules,
    /// Whose forwarding headers are believed.
    pub trusted: Arc<TrustedProxies>,
    /// Cross-origin rules.
    pub cors: Arc<Cors>,
    /// Longest request body, in bytes.
    pub body_limit: u64,
    /// This worker's way to the upstreams.
    pub forwarder: Forwarder,
    /// Where requests are counted and logged.
    pub reports: Arc<Reports>,
    /// Whether connections are to end.
    pub drain: Drain,
    /// The open WebSockets.
    pub websockets: Arc<Websockets>,
}

/// Answers any request outside the gateway's own endpoints.
pub async fn proxy(req: HttpRequest, payload: web::Payload, proxy: web::Data<Proxy>) -> HttpResponse<Reported<AnswerBody>> {
    let facts = Inbound::of(&req, &proxy.trusted, proxy.reports.traces.as_deref());
    let mut completion = Completion::new(proxy.reports.clone(), facts, req.method().as_str(), req.path(), proxy.unrouted.clone());
    // Until the route is known.
    let mut failure = &FailureShape::Problem;
    let mut response = match proxy.walk(&req, payload, &mut completion, &mut failure).await {
        Ok(response) => response,
        Err(error) => {
            let error = connection::blamed(&req, error);
            completion.error = Some(error.code);
            error.response_as(failure, &completion.inbound.id).map_body(|_, body| AnswerBody::Own(body))
        }
    };
    proxy.finish(&req, &mut response, &mut completion);
    response.map_body(|_, body| Reported::new(body, completion))
}

impl Proxy {
    /// From the client's request to the upstream's answer.
    async fn walk<'a>(
        &'a self,
        req: &HttpRequest,
        payload: web::Payload,
        completion: &mut Completion,
        failure: &mut &'a FailureShape,
    ) -> Result<HttpResponse<AnswerBody>, GatewayError> {
        if let Some(response) = self.cors.preflight(req) {
            return Ok(response.map_body(|_, body| AnswerBody::Own(body)));
        }
        let handshake = handshake::read(req)?;
        let path = canonical(req.path()).map_err(inbound::ambiguous_path)?;
        inbound::refuse_token_in(&path)?;
        let (route, rules) = self.route(req, &path, completion)?;
        *failure = &rules.failure;
        if handshake.is_some() {
            check_origin(req.headers(), &self.cors, self.auth.carriers())?;
        }
        let caller = self.auth.admit(route.auth, req.headers(), req.uri().query(), completion.inbound.client).await?;
        let body_limit = self.body_limit(route);
        let framing = inbound::body_framing(req.headers(), body_limit)?;
        let identity = self.identity(&caller, completion);
        let head = self.head_rules.write(&OutgoingHead {
            method: req.method().as_str(),
            path: &route.rewrite.apply(&path),
            stripped: route.rewrite.stripped(),
            edits: &rules.request,
            query: req.uri().query(),
            upstream: &route.upstream.authority,
            headers: req.headers(),
            inbound: &completion.inbound,
            identity: &identity,
            framing,
            upgrades: handshake.is_some(),
        });
        let (payload, opening) = match handshake {
            Some(handshake) => (Payload::None, Some(Opening { handshake, place: self.websockets.enter(caller.user())?, client: payload.into_inner() })),
            None => (payload.into_inner(), None),
        };
        let outgoing = Outgoing {
            upstream: &route.upstream,
            user: caller.user(),
            method: req.method(),
            head,
            payload,
            framing,
            body_limit,
            timeout: route.timeout,
            handshake: opening.as_ref().map(|opening| &opening.handshake),
        };
        let answer = self.forwarder.forward(outgoing, completion).await?;
        let mut response = self.stream(answer::to_client(answer, &self.answer_rules), opening, &caller, completion)?;
        rules.edit_answer(response.headers_mut());
        if let Caller::Anonymous { dead_token: Some(code) } = caller {
            answer::say_token_is_dead(&mut response, code);
        }
        Ok(response)
    }

    fn route(&self, req: &HttpRequest, path: &str, completion: &mut Completion) -> Result<(&Route, &RouteRules), GatewayError> {
        if path.strip_prefix(&self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(GatewayError::new(ErrorCode::EndpointNotFound, "The gateway has no endpoint of this name."));
        }
        let host = if self.routes.names_hosts() { inbound::host(req) } else { None };
        let index = self.routes.find(host.as_deref(), req.method().as_str(), path).map_err(inbound::no_route)?;
        if self.routes.chose_by_method(index) {
            method::refuse_another(req.method().as_str(), req.headers())?;
        }
        completion.routed(self.rules[index].counted.clone());
        Ok((&self.routes.routes()[index], &self.rules[index]))
    }

    fn body_limit(&self, route: &Route) -> u64 {
        route.body_limit.unwrap_or(self.body_limit)
    }

    /// The identity lines for the upstream, and the session for the access line.
    fn identity<'a>(&self, caller: &'a Caller, completion: &mut Completion) -> Cow<'a, str> {
        let Caller::Session(live) = caller else { return Cow::Borrowed("") };
        let user = &live.session.user;
        completion.session = Some(live.id);
        completion.app = Some(user.app.clone());
        let appid = self.apps.get(&user.app).map_or("", |app| &*app.appid);
        live.session.header_lines(self.identity_edition, || IdentityHeaders::new(&self.names, Some((live, appid))).lines())
    }

    /// What every answer gets, whoever made it.
    fn finish(&self, req: &HttpRequest, response: &mut HttpResponse<AnswerBody>, completion: &mut Completion) {
        completion.status = match completion.error {
            Some(ErrorCode::BodyBroken) => CLIENT_LEFT,
            _ => response.status().as_u16(),
        };
        answer::add_request_id(response.headers_mut(), &completion.inbound.id);
        self.cors.decorate(req.headers(), response.headers_mut());
        if req.version() == Version::HTTP_10 {
            response.head_mut().no_chunking(true);
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        if self.drain.is_on() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
    }
}
