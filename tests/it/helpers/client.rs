//! Ordinary requests, each of which is answered whole.

use std::fmt::Display;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde_json::Value;

use super::servers::tls_provider;

/// Keeps its connections, as an application does.
#[derive(Clone)]
pub(crate) struct Client(reqwest::Client);

/// A client with connections of its own. It trusts nobody: reading whom the system trusts takes so
/// long that fifty clients at once would keep a gateway waiting for what they have to say.
pub(crate) fn http() -> Client {
    tls_provider();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    Client(client.build().unwrap())
}

impl Client {
    /// With settings of the library.
    pub(crate) const fn new(client: reqwest::Client) -> Self {
        Self(client)
    }

    pub(crate) fn request(&self, method: &str, url: impl AsRef<str>) -> Request {
        let method: Method = method.parse().unwrap();
        Request(self.0.request(method, url.as_ref()))
    }

    pub(crate) fn get(&self, url: impl AsRef<str>) -> Request {
        self.request("GET", url)
    }

    pub(crate) fn post(&self, url: impl AsRef<str>) -> Request {
        self.request("POST", url)
    }

    pub(crate) fn put(&self, url: impl AsRef<str>) -> Request {
        self.request("PUT", url)
    }
}

/// A request, which is sent when it is awaited.
pub(crate) struct Request(RequestBuilder);

impl Request {
    pub(crate) fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self(self.0.header(name, value.as_ref()))
    }

    pub(crate) fn bearer_auth(self, token: impl Display) -> Self {
        Self(self.0.bearer_auth(token))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub(crate) fn query(self, query: &(impl Serialize + ?Sized)) -> Self {
        Self(self.0.query(query))
    }

    /// The whole answer.
    pub(crate) async fn send(self) -> HttpAnswer {
        self.try_send().await.unwrap()
    }

    /// The same where there may be none, or a part of one.
    pub(crate) async fn try_send(self) -> reqwest::Result<HttpAnswer> {
        let answer = self.0.send().await?;
        Ok(HttpAnswer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await?.to_vec(),
        })
    }

    /// An answer whose body the test reads piece by piece, where there is one.
    pub(crate) async fn try_stream(self) -> reqwest::Result<Response> {
        self.0.send().await
    }

    /// The same where there is one.
    pub(crate) async fn stream(self) -> Response {
        self.try_stream().await.unwrap()
    }
}

impl IntoFuture for Request {
    type Output = HttpAnswer;
    type IntoFuture = Pin<Box<dyn Future<Output = HttpAnswer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl HttpAnswer {
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// Whether it is a 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header that is there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.get(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    /// The value of a header.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap())
    }

    /// The gateway's error code.
    pub(crate) fn code(&self) -> Option<&str> {
        self.get("x-hufu-error")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body
    }
}
