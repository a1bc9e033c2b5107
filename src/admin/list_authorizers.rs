//! `GET /admin/api/apps/{app}/authorizers`: the apps that an app acts for.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::apps::{CurrentApps, named_app};
use super::component_error::for_operators;
use crate::broker::TokenBroker;
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::identity::SealState;

#[derive(Serialize)]
struct AuthorizersAnswer {
    authorizers: Vec<AuthorizerView>,
}

#[derive(Serialize)]
struct AuthorizerView {
    appid: String,
    /// `None`: it cannot be read.
    since: Option<String>,
    sealed_with: &'static str,
}

/// 200 with all of them, by their appids; without their tokens.
pub(super) async fn list_authorizers(
    req: HttpRequest,
    apps: web::Data<CurrentApps>,
    broker: web::Data<TokenBroker>,
) -> Result<HttpResponse, GatewayError> {
    let app = named_app(&req, &apps)?;
    let kept = broker.authorizers(&app).await.map_err(for_operators)?;
    let authorizers = kept.into_iter().map(|kept| AuthorizerView {
        since: (kept.seal != SealState::Unreadable).then(|| kept.since.rfc3339()),
        appid: kept.appid,
        sealed_with: match kept.seal {
            SealState::Current => "first_key",
            SealState::Old => "old_key",
            SealState::Unreadable => "unknown",
        },
    });
    let authorizers = authorizers.collect();
    Ok(json(&AuthorizersAnswer { authorizers }))
}
