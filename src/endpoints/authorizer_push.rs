//! `/auth/push/{app}/{authorizer}`: what a platform posts to an app for which one of the
//! configuration acts. It is signed and sealed as the events of that one are.
//!
//! Whether the gateway has tokens of the authorizer does not matter: only the platform can seal, and
//! it posts messages of apps, too, of which no authorization was ever pushed, such as those with
//! which it tries out a component before it is released.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::component_event::{ComponentEvents, is_own_event};
use crate::endpoints::push::{answer, app_of, echo, opened};
use crate::http::error::{ErrorCode, GatewayError};
use crate::identity::{App, is_appid};
use crate::push::{PushReceiver, PushRefusal, PushSettings};

/// An event of the component's own gives what only the gateway may have.
const OWN_EVENT: PushRefusal = PushRefusal::Invalid(
    "This is an event of the component's own, at the URL of its authorizers' messages. Enter the URL without the authorizer for authorisation events.",
);

/// `GET`: the check of the console.
pub async fn check(
    req: HttpRequest,
    pushes: web::Data<PushReceiver>,
    components: web::Data<ComponentEvents>,
) -> Result<HttpResponse, GatewayError> {
    let (settings, _) = component_of(&req, &pushes, &components)?;
    echo(&req, &settings)
}

/// `POST`: a message to the authorizer, for the backend.
pub async fn receive(
    req: HttpRequest,
    payload: web::Payload,
    pushes: web::Data<PushReceiver>,
    components: web::Data<ComponentEvents>,
) -> Result<HttpResponse, GatewayError> {
    let (settings, app) = component_of(&req, &pushes, &components)?;
    let authorizer = authorizer_of(&req, app)?;
    let mut message = opened(&req, payload, &pushes, &settings).await?;
    if is_own_event(app, &message) {
        pushes.refused(&settings, OWN_EVENT);
        return Err(OWN_EVENT.into());
    }
    message.content.authorizer = Some(authorizer);
    let answered = pushes.receive(&settings, message).await?;
    Ok(answer(answered.media_type, answered.body))
}

/// An app that acts for others and has a backend for their messages. No other has such an endpoint.
fn component_of<'a>(
    req: &HttpRequest,
    pushes: &PushReceiver,
    components: &'a ComponentEvents,
) -> Result<(Arc<PushSettings>, &'a App), GatewayError> {
    let settings = app_of(req, pushes)?;
    match components.app(&settings) {
        Some(app) if settings.backend.is_some() => Ok((settings, app)),
        _ => Err(GatewayError::no_endpoint()),
    }
}

fn authorizer_of(req: &HttpRequest, app: &App) -> Result<Arc<str>, GatewayError> {
    let text = req.match_info().get("authorizer").unwrap_or_default();
    if !is_appid(text) || *app.appid == *text {
        return Err(GatewayError::new(
            ErrorCode::AuthorizerInvalid,
            "The last segment of the path must be the appid of an authorizer; write $APPID$ there in the console.",
        ));
    }
    Ok(text.into())
}
