//! `/auth/verify`: the answer for proxies that ask before they forward (nginx `auth_request`,
//! Traefik ForwardAuth, Envoy ext_authz, Caddy `forward_auth` and others).

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;

use crate::assertion::{IdentityLines, WorkerAssertions};
use crate::endpoints::context::EndpointContext;
use crate::endpoints::original::{Believed, Original, path_invalid};
use crate::http::authenticate::{Authenticator, Caller};
use crate::http::extract::X_REQUEST_ID;
use crate::http::method::{other_methods, refuse_another};
use crate::http::request_log::{CountedRoute, LoggedBody};
use crate::http::{
    Answer, AnswerHead, ErrorCode, GatewayError, Headers, Inbound, RequestHead, RequestLog,
};
use crate::identity::Apps;
use crate::route::{AccessRule, NoRoute, RouteTable, below};
use crate::session::LiveSession;

/// Its path below the prefix.
pub const PATH: &str = "verify";

/// The endpoint, which answers past the application: it is asked for every request of the proxy in
/// front.
pub struct Verify {
    pub context: EndpointContext,
    /// Where its requests are counted.
    pub counted: Arc<CountedRoute>,
    /// Who is who.
    pub auth: Authenticator,
    /// What is believed of the original request.
    pub believed: Believed,
    /// The routes whose rules it selects.
    pub routes: Arc<RouteTable>,
    /// The apps, for their ids.
    pub apps: Arc<Apps>,
    /// The identity headers of sessions.
    pub identity_lines: IdentityLines,
    /// The signed identity; `None`: nothing is signed.
    pub assertions: Option<WorkerAssertions>,
    /// What the gateway's own endpoints live under.
    pub prefix: String,
}

/// What stands behind the endpoint's own path: Envoy appends what the client asked for. `None`: the
/// path is not the endpoint's.
pub fn appended<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    below(path.strip_prefix(prefix)?.strip_prefix('/')?, PATH)
}

impl Verify {
    /// 200 with every identity header, or 401, 403, 503, and nothing else: other answers mean other
    /// things to the proxies that ask. What the parser refuses does not come here. A body is ignored.
    pub async fn answer(self: Rc<Self>, head: Rc<RequestHead>) -> Answer<LoggedBody<BoxBody>> {
        let inbound = Inbound::of(
            &head,
            &self.context.trusted,
            self.context.reports.traces.as_deref(),
        );
        let mut request_log = RequestLog::new(
            self.context.reports.clone(),
            inbound,
            head.method(),
            head.path(),
            self.counted.clone(),
        );
        let Answer {
            head: mut answer,
            body,
            ..
        } = match self.decide(&head, &mut request_log).await {
            Ok((caller, audience)) => {
                let answer = self.allowed(&caller, audience.as_ref());
                Answer::new(answer, BoxBody::new(()))
            }
            Err(error) => {
                request_log.refused(&error);
                Answer::from(error.response_with(status(&error), &request_log.inbound.id))
            }
        };
        request_log.status = answer.status.as_u16();
        answer.push(X_REQUEST_ID, request_log.inbound.id.as_bytes());
        answer.close |= self.context.drain.is_on();
        self.context.cors.decorate(head.headers(), &mut answer);
        Answer::new(answer, LoggedBody::new(body, request_log))
    }

    /// Who calls, and for whom the signed identity is.
    async fn decide(
        &self,
        head: &RequestHead,
        request_log: &mut RequestLog,
    ) -> Result<(Caller, Option<Arc<str>>), GatewayError> {
        if !request_log.inbound.trusted_peer {
            return Err(untrusted());
        }
        // Where the endpoint's own part is written in another way, nobody can say where the
        // appended one begins.
        let appended = appended(head.path(), &self.prefix).ok_or_else(misspelt)?;
        let original = self
            .believed
            .read(head, appended, self.routes.names_hosts(), |path| {
                self.routes.read(path)
            })?;
        let rule = rule(head.headers(), &original, &self.routes)?;
        let audience = self.audience(&original);
        let caller = self.auth.admit(&rule, head, request_log).await?;
        Ok((caller, audience))
    }

    /// The upstream of the original request, where only one can be meant.
    fn audience(&self, original: &Original<'_>) -> Option<Arc<str>> {
        let settings = &self.assertions.as_ref()?.issuer.settings;
        let host = original.host.as_deref();
        let path = original.path.as_deref();
        let upstream = path.and_then(|path| self.routes.upstream(host, original.method, path));
        upstream.or(settings.audience.as_ref()).cloned()
    }

    fn allowed(&self, caller: &Caller, audience: Option<&Arc<str>>) -> AnswerHead {
        let mut answer = AnswerHead::new(StatusCode::OK);
        answer.push("cache-control", b"no-store");
        match caller {
            Caller::Session(live) => {
                let user = &live.session.user;
                let appid = self.apps.appid_of(user);
                let lines = self.identity_lines.asker(live, appid);
                lines.write(&mut answer.lines);
                let assertion = self.assertion(live, appid, audience);
                self.push_assertion(&mut answer, assertion.as_deref());
            }
            Caller::Anonymous { .. } => {
                self.identity_lines.anonymous().write(&mut answer.lines);
                self.push_assertion(&mut answer, None);
            }
        }
        answer
    }

    fn assertion(
        &self,
        live: &LiveSession,
        appid: &str,
        audience: Option<&Arc<str>>,
    ) -> Option<Rc<str>> {
        self.assertions.as_ref()?.of(live, appid, audience?)
    }

    /// An empty one too, so that the proxy's copy overwrites whatever the client sent.
    fn push_assertion(&self, answer: &mut AnswerHead, assertion: Option<&str>) {
        if let Some(assertions) = &self.assertions {
            let value = assertion.unwrap_or_default();
            answer.push(assertions.answer_header(), value.as_bytes());
        }
    }
}

/// The rule of the route that the original request belongs to; a session where there is none. What
/// the proxy does not say counts as all that it could be: a refusal wins, and otherwise all rules
/// are asked together.
fn rule(
    headers: Headers<'_>,
    original: &Original<'_>,
    routes: &RouteTable,
) -> Result<AccessRule, GatewayError> {
    if let Some(method) = original.method.filter(|_| routes.names_methods()) {
        refuse_another(method, headers)?;
    }
    let Some(path) = &original.path else {
        return Ok(routes.strictest_of_all().clone());
    };
    match routes.strictest(original.host.as_deref(), original.method, path) {
        Ok(rule) => Ok(rule),
        Err(NoRoute::Unknown) => Ok(AccessRule::SESSION),
        Err(NoRoute::OtherMethods(methods)) => Err(other_methods("path", methods)),
        Err(NoRoute::Refused(why)) => Err(path_invalid(why)),
    }
}

fn misspelt() -> GatewayError {
    GatewayError::new(
        ErrorCode::PathInvalid,
        "The path of this endpoint must be written as it is configured.",
    )
}

fn untrusted() -> GatewayError {
    GatewayError::new(
        ErrorCode::UntrustedPeer,
        "Only trusted proxies may ask here. If this is one, add its address to server.trusted_proxies.",
    )
}

/// An error whose status the asking proxies would not take for a no becomes a 401; its word stays.
fn status(error: &GatewayError) -> StatusCode {
    match error.code.status() {
        keep @ (StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::SERVICE_UNAVAILABLE) => keep,
        // Nobody who logs in comes further with it.
        StatusCode::METHOD_NOT_ALLOWED => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    }
}
