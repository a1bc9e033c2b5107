//! Where SDKs fetch an access token: with an app's id and the client's own secret they get a token of
//! the gateway's, or the real one, where the operator says so.

use actix_web::dev::Payload;
use actix_web::web::Query;
use serde::{Deserialize, Serialize};

use super::client_apps::ClientApp;
use super::clients::{Client, Clients};
use super::credentials::{Credentials, wrong_secret};
use super::gateway_token::{self, TokenKey};
use super::request_body::small_json;
use super::settings::CallableApp;
use crate::clock::{UnixMillis, monotonic_now};
use crate::http::{ErrorCode, GatewayError, RequestHead};
use crate::identity::AppTokenSource;
use crate::provider::server_api::ServerApi;
use crate::secret::Secret;

/// What an SDK sends; it sends more, such as `force_refresh`, which changes nothing.
#[derive(Deserialize)]
#[serde(from = "SentRequest")]
pub(super) struct TokenRequest {
    grant_type: String,
    appid: String,
    secret: Secret<String>,
}

/// As it comes.
#[derive(Deserialize, Default)]
#[serde(default)]
struct SentRequest {
    grant_type: String,
    appid: String,
    secret: String,
}

/// As the platform answers.
#[derive(Serialize)]
pub(super) struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

impl From<SentRequest> for TokenRequest {
    fn from(sent: SentRequest) -> Self {
        Self {
            grant_type: sent.grant_type,
            appid: sent.appid,
            secret: Secret::new(sent.secret),
        }
    }
}

impl TokenRequest {
    /// What a request to one of the two endpoints asks for; `None`: its path is another one.
    pub(super) async fn read(
        head: &RequestHead,
        payload: &mut Payload,
        api: &ServerApi,
    ) -> Option<Result<Self, GatewayError>> {
        match (head.path(), head.method()) {
            (path, "GET") if path == api.token_by_query => Some(of_query(head)),
            (path, "POST") if path == api.token_by_body => Some(of_body(head, payload).await),
            (path, _) if path == api.token_by_query => Some(Err(not_allowed("GET"))),
            (path, _) if path == api.token_by_body => Some(Err(not_allowed("POST"))),
            _ => None,
        }
    }

    /// The client whose secret it is, and the app, which must be one of the client's.
    pub(super) fn caller<'c>(
        &self,
        credentials: &Credentials<'_>,
        clients: &'c Clients,
        api: &ServerApi,
    ) -> Result<(&'c std::sync::Arc<Client>, &'c TokenKey, ClientApp), GatewayError> {
        if self.grant_type != api.grant_type {
            return Err(invalid(format!("grant_type must be {}.", api.grant_type)));
        }
        let (client, key) = clients
            .with_secret(self.secret.expose())
            .ok_or_else(wrong_secret)?;
        // Whether there is such an app is nobody's business.
        let app = client.apps.with_id(&self.appid).ok_or_else(|| {
            GatewayError::new(
                ErrorCode::ClientSecretInvalid,
                "the client of this secret has no app of this appid",
            )
        })?;
        credentials.leads_to(&app)?;
        Ok((client, key, app))
    }
}

/// The answer for a caller.
pub(super) async fn answer(
    client: &Client,
    key: &TokenKey,
    app: &ClientApp,
    tokens: &dyn AppTokenSource,
    now: UnixMillis,
) -> Result<TokenAnswer, GatewayError> {
    let named = CallableApp::of(&app.app);
    let mut real = client.settings.real_token.iter();
    if !real.any(|real| real.includes(&named)) {
        let token = key.issue(&client.settings.name, &named.to_string(), now);
        return Ok(TokenAnswer {
            access_token: token.expose().clone(),
            expires_in: gateway_token::expires_in(),
        });
    }
    let token = tokens.token(&app.app).await?;
    log::info!(app = &*named.name, client = &*client.settings.name; "a client was given the access token of an app ({})", app.app.appid);
    let left = token.until.saturating_duration_since(monotonic_now());
    Ok(TokenAnswer {
        access_token: token.text.expose().clone(),
        expires_in: left.as_secs(),
    })
}

fn of_query(head: &RequestHead) -> Result<TokenRequest, GatewayError> {
    let pairs = Query::<Vec<(String, String)>>::from_query(head.query().unwrap_or_default())
        .map_err(|_| invalid("The query cannot be read."))?;
    let mut found = SentRequest::default();
    for (name, value) in pairs.into_inner() {
        let field = match name.as_str() {
            "grant_type" => &mut found.grant_type,
            "appid" => &mut found.appid,
            "secret" => &mut found.secret,
            _ => continue,
        };
        if !field.is_empty() {
            return Err(GatewayError::new(
                ErrorCode::TokenAmbiguous,
                "A parameter stands in the query twice.",
            ));
        }
        *field = value;
    }
    Ok(found.into())
}

async fn of_body(head: &RequestHead, payload: &mut Payload) -> Result<TokenRequest, GatewayError> {
    let body = small_json(head, payload).await?;
    serde_json::from_slice(&body)
        .map_err(|_| invalid("The body must be JSON with grant_type, appid and secret."))
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> GatewayError {
    GatewayError::new(ErrorCode::RequestInvalid, detail)
}

fn not_allowed(method: &str) -> GatewayError {
    GatewayError::new(
        ErrorCode::MethodNotAllowed,
        format!("This endpoint takes {method}."),
    )
    .allow(method)
}
