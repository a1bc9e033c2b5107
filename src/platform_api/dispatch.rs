//! Every request to the listener: what it is, who answers it, and the account of it.

use std::cell::Cell;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::watch;

use super::answer_body::CallAnswerBody;
use super::clients::{Client, Clients};
use super::credentials::{Caller, Credentials, Way, two_credentials};
use super::forward::Forward;
use super::own_endpoints::{OwnEndpoint, OwnParts};
use super::request_body::RequestBody;
use super::token_endpoint::{self, TokenRequest};
use super::{paths, query, refusal};
use crate::clock::Clock;
use crate::http::answer::json;
use crate::http::extract::X_REQUEST_ID;
use crate::http::request_log::{LoggedBody, RequestLog, RequestReporter};
use crate::http::{ErrorCode, GatewayError, Inbound, RequestHead};
use crate::identity::{App, AppTicketSource, AppTokenSource, Impatient};
use crate::metrics::{Metrics, PlatformApiCall};
use crate::provider::registry::server_api;
use crate::session::SessionKeys;

/// What a call counts as whose client has not waited.
const LEFT: &str = "client_left";
/// The methods of the platform's API.
const METHODS: &str = "GET, POST";

/// What all requests share.
pub struct PlatformApi {
    /// The clients that are configured now.
    pub clients: watch::Receiver<Arc<Clients>>,
    pub tokens: Arc<dyn AppTokenSource>,
    pub tickets: Arc<dyn AppTicketSource>,
    pub session_keys: Arc<dyn SessionKeys>,
    pub reports: Arc<RequestReporter>,
    pub clock: Arc<dyn Clock>,
}

/// A call under way: its log, and what it counts as.
struct Account {
    /// What decides the shape of an error.
    way: Way,
    request_log: Box<RequestLog>,
    counted: CountedCall,
}

/// Counts the call when it is over, however it ends.
struct CountedCall {
    metrics: Arc<Metrics>,
    call: PlatformApiCall,
}

impl Account {
    /// Whose call it is.
    fn is_of(&mut self, client: &Client, app: &App) {
        self.request_log.route = client.counted.clone();
        self.request_log.app = Some(app.name.clone());
        self.counted.call.client = client.settings.name.to_string();
        self.counted.call.app = app.name.to_string();
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.metrics
            .platform
            .api_calls
            .get_or_create(&self.call)
            .inc();
    }
}

/// Registers the one handler.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.default_service(web::to(handle));
}

async fn handle(
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<PlatformApi>,
) -> HttpResponse<LoggedBody<CallAnswerBody>> {
    let head = RequestHead::of(&request);
    let clients = api.clients.borrow().clone();
    // No proxy stands before this listener.
    let inbound = Inbound::of_peer(&head);
    let id = inbound.id;
    let mut request_log = RequestLog::new(
        api.reports.clone(),
        inbound,
        head.method(),
        loggable(head.path()),
        clients.nobody.clone(),
    );
    request_log.connection = Some(head.connection.clone());
    let mut account = Account {
        way: Way::Bearer,
        request_log,
        counted: CountedCall {
            metrics: api.reports.metrics.clone(),
            call: PlatformApiCall {
                outcome: LEFT,
                ..PlatformApiCall::default()
            },
        },
    };
    let answered = answer(&api, &clients, &head, payload.into_inner(), &mut account).await;
    let Account {
        way,
        mut request_log,
        mut counted,
    } = account;
    let mut response = match answered {
        Ok(response) => {
            counted.call.outcome = "answered";
            response
        }
        Err(error) => {
            counted.call.outcome = error.code.word();
            request_log.refused(&error);
            own(refusal::answer(&error, way, server_api(), &id))
        }
    };
    drop(counted);
    request_log.set_status(response.status());
    if let Ok(id) = HeaderValue::from_str(&id) {
        let name = HeaderName::from_static(X_REQUEST_ID);
        response.headers_mut().insert(name, id);
    }
    response.map_body(|_, body| LoggedBody::new(body, request_log))
}

async fn answer(
    api: &PlatformApi,
    clients: &Clients,
    head: &RequestHead,
    mut payload: actix_web::dev::Payload,
    account: &mut Account,
) -> Result<HttpResponse<CallAnswerBody>, GatewayError> {
    refuse_websocket(head)?;
    let platform = server_api();
    let path = head.path();
    let is_token = [platform.token_by_query, platform.token_by_body].contains(&path);
    if is_token {
        account.way = Way::Sdk;
        path.clone_into(&mut account.counted.call.path);
    }
    let credentials = Credentials::of(head)?;
    let query = query::read(head.query(), platform)?;
    if !is_token {
        account.way = credentials.way(query.token.is_some());
    }
    credentials.lead_to_a_platform(clients)?;
    if let Some(asked) = TokenRequest::read(head, &mut payload, platform).await {
        let asked = asked?;
        // The secret is the one credential here.
        credentials.has_none()?;
        if query.token.is_some() {
            return Err(two_credentials());
        }
        return give_token(api, clients, &asked, &credentials, account).await;
    }
    let caller = match query.token {
        Some(token) => credentials.caller_of_token(token, clients, api.clock.unix_now())?,
        None => credentials.caller(clients)?,
    };
    account.is_of(&caller.client, &caller.app.app);
    account.counted.call.path = allowed(head, &caller)?;
    let place = caller.client.admit()?;
    if let Some(own_endpoint) = OwnEndpoint::of(path, platform) {
        let parts = OwnParts {
            tokens: &Impatient(&*api.tokens),
            tickets: &Impatient(&*api.tickets),
            keys: &*api.session_keys,
            api: platform,
            now: api.clock.unix_now(),
        };
        let answered = own_endpoint.answer(&caller, head, &mut payload, &parts);
        return Ok(own(answered.await?));
    }
    let body = RequestBody::read(head, payload).await?;
    let forward = Forward {
        api: platform,
        tokens: &*api.tokens,
        head,
        query: &query,
        caller: &caller,
        is_out: Cell::new(false),
    };
    forward.answer(body, place).await
}

/// What comes behind a WebSocket's head has no end and no deadline, so nothing may wait for it.
fn refuse_websocket(head: &RequestHead) -> Result<(), GatewayError> {
    if head.headers().lists("upgrade", b"websocket") {
        let detail = "The platform's API has no WebSockets.";
        return Err(GatewayError::new(ErrorCode::UpgradeInvalid, detail).closing());
    }
    Ok(())
}

/// Answers an SDK that asks for a token in the platform's own way.
async fn give_token(
    api: &PlatformApi,
    clients: &Clients,
    asked: &TokenRequest,
    credentials: &Credentials<'_>,
    account: &mut Account,
) -> Result<HttpResponse<CallAnswerBody>, GatewayError> {
    let (client, key, app) = asked.caller(credentials, clients, server_api())?;
    account.is_of(client, &app.app);
    let _place = client.admit()?;
    let now = api.clock.unix_now();
    let tokens = Impatient(&*api.tokens);
    let token = token_endpoint::answer(client, key, &app, &tokens, now).await?;
    Ok(own(json(&token)))
}

/// The pattern that lets the call pass.
fn allowed(head: &RequestHead, caller: &Caller) -> Result<String, GatewayError> {
    let path = head.path();
    if !paths::is_plain(path) {
        return Err(GatewayError::new(
            ErrorCode::PathInvalid,
            "A path here has letters, digits, \"-\" and \"_\" between single slashes.",
        ));
    }
    let own_endpoint = OwnEndpoint::of(path, server_api());
    if own_endpoint.is_none() && OwnEndpoint::claims(path) {
        return Err(GatewayError::no_endpoint());
    }
    if own_endpoint.is_none() && paths::is_withheld(path, server_api().withheld) {
        return Err(GatewayError::new(
            ErrorCode::ApiNotAllowed,
            "this API is never passed on",
        ));
    }
    let pattern = caller.client.allowed(path).ok_or_else(|| {
        let name = &caller.client.settings.name;
        GatewayError::new(
            ErrorCode::ApiNotAllowed,
            format!("platform_api.clients.{name}.allow does not have this path"),
        )
    })?;
    let methods = match own_endpoint {
        Some(own_endpoint) => own_endpoint.method(),
        None => METHODS,
    };
    if !methods.split(", ").any(|method| method == head.method()) {
        return Err(GatewayError::new(
            ErrorCode::MethodNotAllowed,
            format!("This path takes {methods}."),
        )
        .allow(methods));
    }
    Ok(pattern.to_owned())
}

fn own(response: HttpResponse<BoxBody>) -> HttpResponse<CallAnswerBody> {
    response.map_body(|_, body| CallAnswerBody::Own(body))
}

/// A path for the access line, without a token that somebody has put there, escaped or not.
fn loggable(path: &str) -> &str {
    let token = path.find("hufu_at").into_iter().chain(path.find('%'));
    token.min().map_or(path, |at| &path[..at])
}
