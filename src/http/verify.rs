//! `/auth/verify`: the answer for proxies that ask before they forward (nginx `auth_request`, Traefik ForwardAuth, Envoy
//! ext_authz, Caddy `forward_auth`).

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use crate::assertion::{HeaderNames, IdentityHeaders};
use crate::http::authenticate::{Authenticator, Caller};
use crate::http::completion::saw;
use crate::http::error::{ErrorCode, GatewayError, VerifyRefusal};
use crate::http::extract::Inbound;
use crate::http::head::{Headers, RequestHead};
use crate::http::method::{other_methods, refuse_another};
use crate::identity::Apps;
use crate::route::{AuthMode, HostName, NoRoute, PathError, RouteTable, canonical, host_name};

/// Where proxies write what the client asked for.
const ORIGINAL_URI: [&str; 2] = ["x-forwarded-uri", "x-original-uri"];
const ORIGINAL_HOST: [&str; 1] = ["x-forwarded-host"];
const ORIGINAL_METHOD: [&str; 2] = ["x-forwarded-method", "x-original-method"];

/// What verify needs beside the session.
#[derive(Debug)]
pub struct VerifyRules {
    /// The routes whose rules an original URI selects.
    pub routes: Arc<RouteTable>,
    /// The apps, for their ids.
    pub apps: Arc<Apps>,
    /// The identity headers' names.
    pub names: HeaderNames,
    /// What the gateway's own endpoints live under.
    pub prefix: String,
}

/// 200 with every identity header, or 401, 403, 503, and nothing else: other answers mean other things to the proxies that ask.
pub async fn verify(req: HttpRequest, auth: web::Data<Authenticator>, rules: web::Data<VerifyRules>) -> HttpResponse {
    let inbound = req.extensions().get::<Inbound>().cloned();
    let outcome = match inbound.filter(|inbound| inbound.trusted_peer) {
        Some(inbound) => decide(&req, inbound.client, &auth, &rules).await,
        None => Err(untrusted()),
    };
    match outcome {
        Ok(caller) => allowed(&req, &caller, &rules),
        Err(error) => refused(error),
    }
}

async fn decide(req: &HttpRequest, client: IpAddr, auth: &Authenticator, rules: &VerifyRules) -> Result<Caller, GatewayError> {
    let appended = match req.match_info().get("original") {
        Some(_) => Some(appended_path(req.path(), &rules.prefix)?),
        None => None,
    };
    let head = RequestHead::of(req);
    let mode = mode(head.headers(), appended, &rules.routes)?;
    auth.admit(mode, &head, client).await
}

/// The rule of the route that the original request belongs to; `required` where there is none. Where its host or method decides and the
/// proxy does not say it, the strictest rule that it may meet.
fn mode(headers: Headers<'_>, appended: Option<&str>, routes: &RouteTable) -> Result<AuthMode, GatewayError> {
    let method = at_most_one(headers, &ORIGINAL_METHOD)?;
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
    let is_method = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if uri.contains(char::is_whitespace) || !method.is_none_or(is_method) {
        return Err(twice());
    }
    let path = uri.split(['?', '#']).next().unwrap_or_default();
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

/// Envoy appends what the client asked for to the path of the asking. Where the endpoint's own part is written in another way, nobody can say
/// where the appended one begins.
fn appended_path<'a>(path: &'a str, prefix: &str) -> Result<&'a str, GatewayError> {
    let appended = path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("/verify"));
    appended.ok_or_else(|| GatewayError::new(ErrorCode::PathInvalid, "The path of this endpoint must be written as it is configured."))
}

fn untrusted() -> GatewayError {
    GatewayError::new(ErrorCode::UntrustedPeer, "Only trusted proxies may ask here. If this is one, add its address to server.trusted_proxies.")
}

fn allowed(req: &HttpRequest, caller: &Caller, rules: &VerifyRules) -> HttpResponse {
    let identity = match caller {
        Caller::Session(live) => {
            saw(req, live.id, &live.session.user.app);
            let appid = rules.apps.get(&live.session.user.app).map_or("", |app| &*app.appid);
            IdentityHeaders::new(&rules.names, Some((live, appid)))
        }
        Caller::Anonymous { .. } => IdentityHeaders::new(&rules.names, None),
    };
    let mut response = HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish();
    for (name, value) in identity.all() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An error whose status the asking proxies would not take for a no becomes a 401; its word stays.
fn refused(error: GatewayError) -> HttpResponse {
    let status = match error.code.status() {
        keep @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE) => keep,
        // Nobody who logs in comes further with it.
        StatusCode::METHOD_NOT_ALLOWED => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    HttpResponse::from_error(VerifyRefusal(error, status))
}
