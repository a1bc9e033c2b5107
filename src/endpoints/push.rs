//! `/auth/push/{app}`: what an app's platform posts on its own account.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use tokio::time::timeout;

use crate::endpoints::component_event::ComponentEvents;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::head::RequestHead;
use crate::http::request_log::SeenSession;
use crate::push::{
    Envelope, PushQuery, PushReceiver, PushRefusal, PushSettings, PushedMessage, Undelivered,
};

/// Longest message, in bytes.
const MESSAGE_MAX: usize = 256 * 1024;
/// Longest body with a sealed message: base64 makes it longer by a third, and in the console's
/// compatible mode the plain one stands beside it.
const SEALED_BODY_MAX: usize = 640 * 1024;
/// How long a body may take. The platform gives up by then, and only its signature inside a sealed
/// message says that it comes from there: nobody else makes the gateway hold it for longer.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Whether a path below the prefix is one of these endpoints, or as good as one.
#[must_use]
pub fn is_below(path: &str) -> bool {
    path.split('/').next() == Some("push")
}

/// `GET`: the check of the console, before it takes the URL: 200 with its `echostr`.
pub async fn check(
    req: HttpRequest,
    pushes: web::Data<PushReceiver>,
) -> Result<HttpResponse, GatewayError> {
    let settings = app_of(&req, &pushes)?;
    echo(&req, &settings)
}

pub(super) fn echo(
    req: &HttpRequest,
    settings: &PushSettings,
) -> Result<HttpResponse, GatewayError> {
    let query = query_of(req)?;
    let echo = Envelope(settings).echo(&query)?;
    Ok(answer("text/plain", echo.to_owned().into_bytes()))
}

/// `POST`: a message: 200 with what the backend or the app's `ack` says, once the backend has it or
/// it is kept.
pub async fn receive(
    req: HttpRequest,
    payload: web::Payload,
    pushes: web::Data<PushReceiver>,
    components: web::Data<ComponentEvents>,
) -> Result<HttpResponse, GatewayError> {
    let settings = app_of(&req, &pushes)?;
    let app = components.app(&settings);
    let message = opened(&req, payload, &pushes, &settings).await?;
    if let Some(app) = app
        && let Some(said) = components
            .receive(app, &settings, &message, &pushes)
            .await?
    {
        return Ok(answer("text/plain", said));
    }
    let answered = pushes.receive(&settings, message).await?;
    Ok(answer(answered.media_type, answered.body))
}

/// The message of a request, if it is to be believed.
pub(super) async fn opened(
    req: &HttpRequest,
    payload: web::Payload,
    pushes: &PushReceiver,
    settings: &PushSettings,
) -> Result<PushedMessage, GatewayError> {
    let query = query_of(req)?;
    let envelope = Envelope(settings);
    let refused = |refusal: &PushRefusal| pushes.refused(settings, *refusal);
    envelope.refuse_early(&query).inspect_err(refused)?;
    let body_max = if settings.key.is_some() {
        SEALED_BODY_MAX
    } else {
        MESSAGE_MAX
    };
    let body = read(req, payload, body_max).await?;
    let message = envelope.open(&query, &body).inspect_err(refused)?;
    if message.content.body.len() > MESSAGE_MAX {
        return Err(too_long());
    }
    Ok(message)
}

/// An app without messages has no such endpoint.
pub(super) fn app_of(
    req: &HttpRequest,
    pushes: &PushReceiver,
) -> Result<Arc<PushSettings>, GatewayError> {
    let name = req.match_info().get("app").unwrap_or_default();
    let settings = pushes.app(name).ok_or_else(GatewayError::no_endpoint)?;
    req.extensions_mut().insert(SeenSession {
        session: None,
        app: Some(settings.app.clone()),
    });
    Ok(settings.clone())
}

fn query_of(req: &HttpRequest) -> Result<PushQuery, GatewayError> {
    web::Query::from_query(req.query_string())
        .map(web::Query::into_inner)
        .map_err(|_| GatewayError::from(PushRefusal::Invalid("The query cannot be read.")))
}

async fn read(
    req: &HttpRequest,
    payload: web::Payload,
    body_max: usize,
) -> Result<web::Bytes, GatewayError> {
    match timeout(READ_WITHIN, payload.to_bytes_limited(body_max)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(RequestHead::of(req).connection.blamed(GatewayError::new(
            ErrorCode::BodyBroken,
            "The body broke off.",
        ))),
        Ok(Err(_)) => Err(too_long().closing()),
        Err(_) => Err(GatewayError::new(
            ErrorCode::RequestTimeout,
            format!(
                "A message comes within {} seconds: the platform does not wait longer.",
                READ_WITHIN.as_secs()
            ),
        )
        .closing()),
    }
}

fn too_long() -> GatewayError {
    GatewayError::new(
        ErrorCode::BodyTooLarge,
        format!("A message has at most {MESSAGE_MAX} bytes."),
    )
}

pub(super) fn answer(media_type: &'static str, body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}

impl From<PushRefusal> for GatewayError {
    fn from(refusal: PushRefusal) -> Self {
        let code = match refusal {
            PushRefusal::Signature => ErrorCode::PushSignatureInvalid,
            PushRefusal::Invalid(_) => ErrorCode::PushInvalid,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<Undelivered> for GatewayError {
    fn from(_: Undelivered) -> Self {
        Self::new(
            ErrorCode::PushUndelivered,
            "The message was neither delivered nor kept. Send it again.",
        )
    }
}
