//! A backend that calls WeChat through the gateway, with a secret of its own.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::app::Gateway;

/// What the backend is called in the configuration.
pub(super) const NAME: &str = "backend";
/// What it sends instead of the AppSecret: of the demo, and no secret.
pub(super) const SECRET: &str = "the-demo-backend-s-own-32-characters";
/// The one API that it may call.
pub(super) const PATH: &str = "/wxa/msg_sec_check";
/// What it asks WeChat to check.
pub(super) const BODY: &str = r#"{"content":"hello"}"#;

/// The backend. Cheap to clone.
#[derive(Clone)]
pub(super) struct Backend {
    client: reqwest::Client,
    url: String,
}

impl Backend {
    pub(super) fn new(gateway: &Gateway) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .context("cannot make a client for the backend of the demo")?;
        Ok(Self {
            client,
            url: url(gateway)?,
        })
    }
}

/// Where the backend calls the platform.
pub(super) fn url(gateway: &Gateway) -> Result<String> {
    let at = gateway
        .platform_api
        .as_ref()
        .context("the demo's gateway has no listener for backends")?;
    Ok(format!("http://{at}{PATH}"))
}

/// What the backend has sent, without its secret, and what came back.
pub(super) async fn call(backend: web::Data<Backend>) -> HttpResponse {
    match answered(&backend).await {
        Ok(answer) => HttpResponse::Ok().json(json!({
            "request": { "method": "POST", "path": PATH, "body": BODY },
            "answer": answer,
        })),
        Err(error) => HttpResponse::BadGateway().body(format!("{error}\n")),
    }
}

async fn answered(backend: &Backend) -> reqwest::Result<Value> {
    let request = backend.client.post(&backend.url).bearer_auth(SECRET);
    let request = request
        .header("Content-Type", "application/json")
        .body(BODY);
    request.send().await?.json().await
}
