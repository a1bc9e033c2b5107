//! One call to the admin API.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use serde_json::Value;

use crate::cli::UsageError;
use crate::secret::Secret;

const CONNECT: Duration = Duration::from_secs(3);
/// Longer than the gateway waits for its store.
const ANSWER: Duration = Duration::from_secs(10);

/// A token to send, and where it was found, in the words of an error.
pub(in crate::cli) struct FoundToken {
    pub(in crate::cli) secret: Secret<String>,
    pub(in crate::cli) place: String,
}

/// A gateway's admin API.
pub(in crate::cli) struct AdminClient {
    client: Client,
    base: Url,
    token: FoundToken,
}

impl AdminClient {
    pub(in crate::cli) fn new(admin: &str, token: FoundToken) -> Result<Self> {
        // A second client in the process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = listener_url(admin)?;
        let text = token.secret.expose();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(UsageError(
                "the token is empty, or has characters that a header cannot carry".to_owned(),
            )
            .into());
        }
        // The token goes to the gateway that was named, and not to where a proxy variable or a
        // redirect points.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER);
        Ok(Self {
            client: client.build().context("cannot set up an HTTP client")?,
            base,
            token,
        })
    }

    /// The body that it answers with, or null where there is none.
    pub(in crate::cli) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let mut url = self.base.clone();
        url.set_path(&format!("/admin/api{path}"));
        let mut request = self
            .client
            .request(method, url)
            .query(query)
            .bearer_auth(self.token.secret.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        // The error of the client would show the URL, and with it the user.
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let answer = sent.with_context(|| {
            format!(
                "the gateway's admin listener at {} does not answer",
                self.base
            )
        })?;
        let status = answer.status();
        let own_error = answer.headers().contains_key("x-hufu-error");
        let body = answer
            .bytes()
            .await
            .map_err(reqwest::Error::without_url)
            .context("the gateway's answer broke off")?;
        let body = if body.is_empty() {
            Some(Value::Null)
        } else {
            serde_json::from_slice(&body).ok()
        };
        match body {
            Some(body) if status.is_success() => Ok(body),
            Some(body) if own_error => Err(self.refused(status, &body)),
            _ => bail!(
                "{} is not the admin listener of a gateway with an admin API (HTTP {status})",
                self.base
            ),
        }
    }

    /// What the gateway said, in the words of this command, and whose fault it is.
    fn refused(&self, status: StatusCode, body: &Value) -> anyhow::Error {
        let code = body["code"].as_str().unwrap_or_default();
        let detail = body["detail"].as_str().unwrap_or_default();
        let wait = body["retry_after"]
            .as_u64()
            .map(|seconds| format!(" Try again in {seconds} s."))
            .unwrap_or_default();
        let detail = match code {
            "admin_token_invalid" => {
                format!(
                    "{} is none of this gateway's admin tokens",
                    self.token.place
                )
            }
            "app_required" => {
                "the gateway serves several apps: name one with --app NAME".to_owned()
            }
            "store_unavailable" => format!("{detail} See also `hufu doctor`."),
            _ => format!("{detail}{wait}"),
        };
        let said = format!("{}: {detail} ({code})", self.base);
        if status == StatusCode::BAD_REQUEST {
            UsageError(said).into()
        } else {
            anyhow::Error::msg(said)
        }
    }
}

/// The address of a listener, and nothing else.
fn listener_url(text: &str) -> Result<Url, UsageError> {
    let is_bare = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(text).ok().filter(is_bare).ok_or_else(|| {
        UsageError(format!(
            "--admin {text:?} is not the address of an admin listener, such as http://127.0.0.1:8081"
        ))
    })
}
