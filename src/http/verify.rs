//! `/auth/verify`: the answer for proxies that ask before they forward (nginx `auth_request`, Traefik ForwardAuth, Envoy
//! ext_authz, Caddy `forward_auth`).

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;

use crate::assertion::{HeaderNames, IdentityHeaders};
use crate::http::authenticate::{Authenticator, Caller};
use crate::http::completion::{Completion, Reported};
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::extract::{Inbound, X_REQUEST_ID};
use crate::http::head::{Headers, RequestHead};
use crate::http::method::{goes_on, is_word, other_methods, refuse_another};
use crate::http::own::{OwnEndpoints, VERIFY};
use crate::http::response::{Answer, AnswerHead};
use crate::identity::Apps;
use crate::route::{AuthMode, HostName, NoRoute, PathError, RouteTable, canonical, host_name};
use crate::session::LinesFor;

/// Where proxies write what the client asked for.
const ORIGINAL_URI: [&str; 2] = ["x-forwarded-uri", "x-original-uri"];
const ORIGINAL_HOST: [&str; 1] = ["x-forwarded-host"];
const ORIGINAL_METHOD: [&str; 2] = ["x-forwarded-method", "x-original-method"];

/// The endpoint, which answers past the application: it is asked for every request of the proxy in front.
#[derive(Debug)]
pub struct Verify {
    /// What all own endpoints share.
    pub own: OwnEndpoints,
    /// Who is who.
    pub auth: Authenticator,
    /// The routes whose rules an original URI selects.
    pub routes: Arc<RouteTable>,
    /// The apps, for their ids.
    pub apps: Arc<Apps>,
    /// The identity headers' names.
    pub names: HeaderNames,
    /// Another one whenever a name or an app's id has changed.
    pub identity_edition: u64,
    /// What the gateway's own endpoints live under.
    pub prefix: String,
}

impl Verify {
    /// Whether a path is the endpoint's.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.below(path).is_some()
    }

    /// What stands behind the endpoint's own path. Envoy appends what the client asked for.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let below = path.strip_prefix(&self.prefix)?.strip_prefix('/')?.strip_prefix(VERIFY)?;
        (below.is_empty() || below.starts_with('/')).then_some(below)
    }

    /// 200 with every identity header, or 401, 403, 503, and nothing else: other answers mean other things to the proxies that ask. What the gate
    /// refuses does not come here. A body is ignored.
    pub async fn answer(self: Rc<Self>, head: Rc<RequestHead>) -> Answer<Reported<BoxBody>> {
        let inbound = Inbound::of(&head, &self.own.trusted, self.own.reports.traces.as_deref());
        let mut completion = Completion::new(self.own.reports.clone(), inbound, head.method(), head.path(), self.own.route(VERIFY));
        let Answer { head: mut answer, body, .. } = match self.decide(&head, &completion.inbound).await {
            Ok(caller) => Answer::new(self.allowed(&caller, &mut completion), BoxBody::new(())),
            Err(error) => {
                completion.refused(&error);
                Answer::from(error.response_with(status(&error), &completion.inbound.id))
            }
        };
        completion.status = answer.status().as_u16();
        answer.push(X_REQUEST_ID, completion.inbound.id.as_bytes());
        answer.close |= self.own.drain.is_on();
        self.own.cors.decorate(head.headers(), &mut answer);
        Answer::new(answer, Reported::new(body, completion))
    }

    async fn decide(&self, head: &RequestHead, inbound: &Inbound) -> Result<Caller, GatewayError> {
        if !inbound.trusted_peer {
            return Err(untrusted());
        }
        // Where the endpoint's own part is written in another way, nobody can say where the appended one begins.
        let appended = self.below(head.path()).ok_or_else(misspelt)?;
        let appended = (!appended.is_empty()).then_some(appended);
        let mode = mode(head.headers(), appended, &self.routes)?;
        self.auth.admit(mode, head, inbound.client).await
    }

    fn allowed(&self, caller: &Caller, completion: &mut Completion) -> AnswerHead {
        let mut answer = AnswerHead::new(StatusCode::OK);
        answer.push("cache-control", b"no-store");
        match caller {
            Caller::Session(live) => {
                let app = &live.session.user.app;
                (completion.session, completion.app) = (Some(live.id), Some(app.clone()));
                let appid = self.apps.get(app).map_or("", |app| &*app.appid);
                let write = || IdentityHeaders::new(&self.names, Some((live, appid))).all_lines();
                answer.push_lines(&live.session.header_lines(LinesFor::Asker, self.identity_edition, write));
            }
            Caller::Anonymous { .. } => answer.push_lines(&IdentityHeaders::new(&self.names, None).all_lines()),
        }
        answer
    }
}

/// The rule of the route that the original request belongs to; `required` where there is none. Where its host or method decides and the
/// proxy does not say it, the strictest answer that it may meet.
fn mode(headers: Headers<'_>, appended: Option<&str>, routes: &RouteTable) -> Result<AuthMode, GatewayError> {
    let method = original_method(headers)?;
    let uri = match (at_most_one(headers, &ORIGINAL_URI)?, appended) {
        (Some(_), Some(_)) => return Err(twice()),
        (one, other) => one.or(other),
    };
    let host = if routes.names_hosts() { original_host(headers)? } else { None };
    if let Some(method) = method.filter(|_| routes.names_methods()) {
        refuse_another(method, headers)?;
    }
    let Some(uri) = uri else { return Ok(AuthMode::Required) };
    // Two values that something in between has joined.
    if uri.contains(char::is_whitespace) {
        return Err(twice());
    }
    // Backends differ in where the path ends then, and so do the proxies that ask.
    if uri.contains('#') {
        return Err(GatewayError::new(ErrorCode::PathInvalid, "The original URI has a fragment."));
    }
    let path = uri.split('?').next().unwrap_or_default();
    let path = canonical(path).map_err(path_invalid)?;
    match routes.strictest(host.as_deref(), method, &path) {
        Ok(mode) => Ok(mode),
        Err(NoRoute::Unknown) => Ok(AuthMode::Required),
        Err(NoRoute::OtherMethods(methods)) => Err(other_methods(methods)),
        Err(NoRoute::Refused(why)) => Err(path_invalid(why)),
    }
}

fn path_invalid(why: PathError) -> GatewayError {
    GatewayError::new(ErrorCode::PathInvalid, format!("{why}"))
}

/// The method that the client asked with. What the gate would not let in is no more let in by a proxy that asks: a yes would send the identity
/// headers on with a TRACE, which echoes them.
fn original_method(headers: Headers<'_>) -> Result<Option<&str>, GatewayError> {
    match at_most_one(headers, &ORIGINAL_METHOD)? {
        // Two values that something in between has joined.
        Some(method) if !is_word(method) => Err(twice()),
        Some(method) if !goes_on(method) => Err(GatewayError::new(ErrorCode::MethodNotAllowed, "The original request has a method that is never passed on.")),
        method => Ok(method),
    }
}

/// The host that the client asked for. The asking's own `Host` is the proxy's word for the gateway, so it says nothing.
fn original_host(headers: Headers<'_>) -> Result<Option<HostName>, GatewayError> {
    let Some(host) = at_most_one(headers, &ORIGINAL_HOST)? else { return Ok(None) };
    host_name(host).map(Some).ok_or_else(twice)
}

/// The one value of these headers. Two, even the same one under both names, mean that something in between lets a client's through.
fn at_most_one<'a>(headers: Headers<'a>, names: &[&str]) -> Result<Option<&'a str>, GatewayError> {
    let mut values = names.iter().flat_map(|name| headers.get_all(name));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.text().map(Some).ok_or_else(twice),
        (Some(_), Some(_)) => Err(twice()),
    }
}

fn twice() -> GatewayError {
    GatewayError::new(ErrorCode::RequestInvalid, "The original URI, host or method came twice or is not one; the proxy in front must set it once.")
}

fn misspelt() -> GatewayError {
    GatewayError::new(ErrorCode::PathInvalid, "The path of this endpoint must be written as it is configured.")
}

fn untrusted() -> GatewayError {
    GatewayError::new(ErrorCode::UntrustedPeer, "Only trusted proxies may ask here. If this is one, add its address to server.trusted_proxies.")
}

/// An error whose status the asking proxies would not take for a no becomes a 401; its word stays.
fn status(error: &GatewayError) -> StatusCode {
    match error.code.status() {
        keep @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE) => keep,
        // Nobody who logs in comes further with it.
        StatusCode::METHOD_NOT_ALLOWED => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    }
}
