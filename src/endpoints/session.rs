//! `GET /auth/session`: what the gateway knows of the caller's own session.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::session::Claims;

#[derive(Serialize)]
struct SessionAnswer<'a> {
    session_id: String,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer_appid: Option<&'a str>,
    provider: &'static str,
    created_at: String,
    expires_in: u64,
    absolute_expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Map<String, Value>>,
}

/// The names of the claims that clients see of their own sessions.
pub struct VisibleClaims(pub Vec<String>);

impl VisibleClaims {
    /// `None`: the configuration shows none.
    fn of(&self, claims: &Claims) -> Option<Map<String, Value>> {
        let known = |name: &String| Some((name.clone(), claims.get(name)?.to_json()));
        let names = Some(&self.0).filter(|names| !names.is_empty())?;
        Some(names.iter().filter_map(known).collect())
    }
}

/// 200 with the session; never the openid or the session_key, which the client has no business
/// with.
pub async fn session(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
    visible: web::Data<VisibleClaims>,
) -> Result<HttpResponse, GatewayError> {
    let live = auth.session(&req).await?;
    Ok(json(&SessionAnswer {
        session_id: live.id.to_string(),
        app: &live.session.user.app,
        authorizer_appid: live.session.user.authorizer.as_deref(),
        provider: live.session.user.provider.as_str(),
        created_at: live.session.created.rfc3339(),
        expires_in: live.expires_in.as_secs(),
        absolute_expires_in: live.absolute_expires_in.as_secs(),
        claims: visible.of(&live.session.claims),
    }))
}
