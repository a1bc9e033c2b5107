//! `POST /auth/login`: a code in, a token out.

use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::endpoints::token_answer::TokenAnswer;
use crate::http::answer::json;
use crate::http::json_body::{Example, Object};
use crate::http::request_log::{SeenSession, note_session};
use crate::http::{GatewayError, Inbound, RequestHead};
use crate::identity::{Client, LoginAnswer, LoginFlow, NamedApp};
use crate::provider::registry::appid_of_page;
use crate::session::SessionId;

/// What the client sends. Further fields are ignored.
#[derive(Deserialize)]
pub struct LoginRequest {
    code: String,
    app: Option<String>,
    authorizer_appid: Option<String>,
}

impl Example for LoginRequest {
    const EXAMPLE: &'static str = "{\"code\": \"…\"}";
}

/// Exchanges the code. An `Authorization` that comes with it is ignored: interceptors attach the
/// dead token.
pub async fn login(
    req: HttpRequest,
    body: web::Json<Object<LoginRequest>>,
    flow: web::Data<LoginFlow>,
) -> Result<HttpResponse, GatewayError> {
    let Object(body) = &*body;
    let named = NamedApp {
        name: body.app.as_deref(),
        authorizer: body.authorizer_appid.as_deref(),
    };
    let answer = flow
        .login(named, &body.code, &client(&req))
        .await
        .inspect_err(|_| {
            req.extensions_mut().insert(SeenSession {
                session: None,
                app: flow.app_name(body.app.as_deref()),
            });
        })?;
    remember(&req, &answer);
    Ok(json(&TokenAnswer::new(
        &answer.token,
        &answer.session_id,
        answer.expires_in,
        answer.absolute_expires_in,
    )))
}

/// For the access line.
fn remember(req: &HttpRequest, answer: &LoginAnswer) {
    if let Some(id) = SessionId::parse(&answer.session_id) {
        note_session(req, id, &Arc::from(answer.app.as_str()));
    }
}

fn client(req: &HttpRequest) -> Client {
    let extensions = req.extensions();
    let head = RequestHead::of(req);
    let inbound = extensions.get::<Inbound>();
    Client {
        address: inbound.map(|inbound| inbound.client),
        limited_by: inbound.and_then(|inbound| inbound.limited_by),
        request_id: inbound
            .map(|inbound| inbound.id.to_string())
            .unwrap_or_default(),
        device: head
            .headers()
            .single("user-agent")
            .map(device_name)
            .unwrap_or_default(),
        referer_appid: head
            .headers()
            .single("referer")
            .and_then(appid_of_page)
            .map(str::to_owned),
    }
}

/// What a user would call the device: the model of an Android phone, else the first word in the
/// parentheses, else the product.
fn device_name(user_agent: &str) -> String {
    let Some((product, rest)) = user_agent.split_once('(') else {
        return user_agent
            .split(['/', ' '])
            .next()
            .unwrap_or_default()
            .to_owned();
    };
    let parts: Vec<&str> = rest
        .split(')')
        .next()
        .unwrap_or_default()
        .split(';')
        .map(str::trim)
        .collect();
    let model = parts
        .iter()
        .position(|part| part.starts_with("Android"))
        .and_then(|at| parts.get(at + 1));
    let name = model
        .or_else(|| parts.first())
        .map_or(product, |part| part.split(" Build/").next().unwrap_or(part));
    name.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_the_names_that_users_know() {
        for (user_agent, name) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 MicroMessenger/8.0.40",
                "iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; M2102K1C Build/TKQ1.220829.002; wv) MicroMessenger/8.0.40",
                "M2102K1C",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
                "Windows NT 10.0",
            ),
            ("curl/8.5.0", "curl"),
            ("", ""),
        ] {
            assert_eq!(device_name(user_agent), name);
        }
    }
}
