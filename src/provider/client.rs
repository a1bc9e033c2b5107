//! One HTTP call to a platform, bounded in time and size. A URL may hold the app's secret, so
//! nothing here ever shows one: errors name the host and the cause.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Response, Url, redirect};

use super::base_url::BaseUrl;
use super::proxy::{Proxies, ProxyUrl};
use crate::peer::{self, PeerTrouble};

/// How much of an answer is read. The longest that the platforms send have some hundred bytes.
pub const BODY_MAX: usize = 64 * 1024;
/// How long a connection may take to open, TLS included: then the next address gets its chance
/// within the total.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
/// Idle connections go before the platform's side or a firewall between cuts them: a login on a
/// connection that has just been cut fails, and cannot be repeated, since the code may have been
/// taken.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// What a proxy answers that wants a login.
const PROXY_LOGIN: u16 = 407;

/// The HTTP client for calls to platforms; clones share its connections.
#[derive(Clone)]
pub struct PlatformClient {
    pub(super) client: Client,
    proxies: Arc<Proxies>,
}

/// The client could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the client for platform calls cannot start: {0}; are CA certificates installed (package ca-certificates)?"
)]
pub struct ClientError(String);

/// A call, before it has a base URL. The engine asks for a new one for each try, so that what a
/// platform signs together with the time is fresh. With a body it is a POST.
pub struct Call<'a> {
    path: &'static str,
    query: Vec<Pair<'a>>,
    headers: Vec<Pair<'a>>,
    body: Body<'a>,
}

/// A name and a value.
pub type Pair<'a> = (&'static str, Cow<'a, str>);

enum Body<'a> {
    Empty,
    Form(Vec<Pair<'a>>),
    Json(serde_json::Value),
}

/// A complete answer within the limits.
#[derive(Clone)]
pub struct PlatformAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`BODY_MAX`] bytes. It may hold a session_key.
    pub body: Vec<u8>,
}

/// What stands between us and an answer, for advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// The proxy on the way does not let us through, or is not there.
    Proxy,
    /// The connection ended before the answer.
    Broken,
    Peer(PeerTrouble),
}

/// Why there is no answer, told apart by whether the platform can have acted on the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection: the platform has not seen the call, so it may be made again.
    #[error("no connection to {host}: {cause}")]
    NotSent {
        host: String,
        /// What the operating system or TLS said.
        cause: String,
        fault: CallFault,
    },
    /// Sent, but no whole answer in time.
    #[error("{host} has not answered within {} ms", .after.as_millis())]
    Silent {
        host: String,
        /// How long we waited.
        after: Duration,
    },
    /// Sent, and the connection broke before the answer was whole.
    #[error("the connection to {host} broke: {cause}")]
    Broken {
        host: String,
        /// What HTTP said.
        cause: String,
        fault: CallFault,
    },
    /// The answer is longer than [`BODY_MAX`]; the rest was not read.
    #[error("the answer of {host} is longer than {BODY_MAX} bytes")]
    TooLarge { host: String },
}

impl<'a> Call<'a> {
    const fn new(path: &'static str, body: Body<'a>) -> Self {
        Self {
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body,
        }
    }

    pub const fn get(path: &'static str) -> Self {
        Self::new(path, Body::Empty)
    }

    pub const fn post_json(path: &'static str, body: serde_json::Value) -> Self {
        Self::new(path, Body::Json(body))
    }

    pub const fn post_form(path: &'static str) -> Self {
        Self::new(path, Body::Form(Vec::new()))
    }

    /// A parameter of the query; its value is encoded.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// A parameter of the query that signs what the query holds so far.
    #[must_use]
    pub fn signed(self, name: &'static str, sign: impl FnOnce(&[Pair<'a>]) -> String) -> Self {
        let signature = sign(&self.query);
        self.query(name, signature)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A field of the form; its value is encoded.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        if let Body::Form(fields) = &mut self.body {
            fields.push((name, value.into()));
        }
        self
    }

    /// The request of this call under a base.
    fn build(&self, client: &Client, base: &BaseUrl) -> RequestBuilder {
        let url = base.join(self.path, pairs(&self.query));
        let request = match &self.body {
            Body::Empty => client.get(url),
            Body::Form(fields) => client
                .post(url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(encoded(url, fields)),
            Body::Json(value) => client.post(url).json(value),
        };
        self.headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, &**value)
        })
    }
}

fn pairs<'a>(pairs: &'a [Pair<'_>]) -> impl Iterator<Item = (&'a str, &'a str)> {
    pairs.iter().map(|(name, value)| (*name, &**value))
}

/// The fields as a form's body, which has the form of a query.
fn encoded(mut url: Url, fields: &[Pair<'_>]) -> String {
    url.query_pairs_mut().clear().extend_pairs(pairs(fields));
    url.query().unwrap_or_default().to_owned()
}

impl PlatformClient {
    /// The client: no redirects (a redirect would carry the secret elsewhere), these proxies and
    /// none from the environment (a proxy may see it), HTTP/1.1, the system's CA certificates. The
    /// process must have installed a default rustls provider before.
    pub fn new(proxies: Proxies) -> Result<Self, ClientError> {
        let proxies = Arc::new(proxies);
        let chosen = proxies.clone();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .proxy(reqwest::Proxy::custom(move |url| {
                chosen.via(url).map(ProxyUrl::url)
            }))
            .http1_only()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .user_agent(concat!("hufu/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError(peer::plainly(&root_cause(&error.without_url()))))?;
        Ok(Self { client, proxies })
    }

    /// The proxy that calls under this base go through.
    pub fn way(&self, base: &BaseUrl) -> Option<&ProxyUrl> {
        self.proxies.via(base.url())
    }

    /// Makes a call, at most `limit` long; of the answer at most [`BODY_MAX`] bytes are read.
    pub async fn send(
        &self,
        base: &BaseUrl,
        call: &Call<'_>,
        limit: Duration,
    ) -> Result<PlatformAnswer, CallError> {
        let exchange = async {
            let way = OpenCall {
                base,
                proxy: self.way(base),
            };
            let response = call
                .build(&self.client, base)
                .send()
                .await
                .map_err(|error| way.failed(error))?;
            way.read(response).await
        };
        tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| {
                Err(CallError::Silent {
                    host: base.host(),
                    after: limit,
                })
            })
    }
}

/// A call on its way: to whom, and through which proxy.
pub(super) struct OpenCall<'a> {
    pub(super) base: &'a BaseUrl,
    pub(super) proxy: Option<&'a ProxyUrl>,
}

impl OpenCall<'_> {
    /// Reads the body up to the limit. What is dropped half read closes its connection, so the
    /// platform cannot go on sending.
    async fn read(&self, mut response: Response) -> Result<PlatformAnswer, CallError> {
        let host = self.base.host();
        let too_large = || CallError::TooLarge { host: host.clone() };
        let status = response.status().as_u16();
        self.refuse_of_proxy(&response)?;
        if response
            .content_length()
            .is_some_and(|length| length > BODY_MAX as u64)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if body.len() + chunk.len() > BODY_MAX {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(PlatformAnswer { status, body })
    }

    /// An answer of the proxy's that wants a login is none of the platform's.
    pub(super) fn refuse_of_proxy(&self, response: &Response) -> Result<(), CallError> {
        let wants = |_: &&ProxyUrl| response.status().as_u16() == PROXY_LOGIN;
        match self.proxy.filter(wants) {
            Some(proxy) => Err(CallError::NotSent {
                host: self.base.host(),
                cause: wants_login(proxy),
                fault: CallFault::Proxy,
            }),
            None => Ok(()),
        }
    }

    pub(super) fn failed(&self, error: reqwest::Error) -> CallError {
        let host = self.base.host();
        let is_unsent = error.is_connect();
        let error = error.without_url();
        let said = root_cause(&error);
        let by_proxy = self
            .proxy
            .filter(|_| is_unsent)
            .and_then(|proxy| self.fault_of_proxy(proxy, &error));
        if let Some(cause) = by_proxy {
            return CallError::NotSent {
                host,
                cause,
                fault: CallFault::Proxy,
            };
        }
        let plain = peer::plainly(&said);
        let cause = match self.proxy {
            Some(proxy) => format!("through the proxy {}: {plain}", proxy.host()),
            None => plain,
        };
        let trouble = peer::trouble(&said);
        if is_unsent {
            let fault = CallFault::Peer(trouble);
            return CallError::NotSent { host, cause, fault };
        }
        let fault = match trouble {
            PeerTrouble::Other => CallFault::Broken,
            trouble => CallFault::Peer(trouble),
        };
        CallError::Broken { host, cause, fault }
    }

    /// Where there is no connection by fault of the proxy, and not of the platform behind it: what
    /// the proxy did.
    fn fault_of_proxy(&self, proxy: &ProxyUrl, error: &reqwest::Error) -> Option<String> {
        let at = proxy.host();
        let says = |words: &str| causes(error).any(|cause| cause.to_string().contains(words));
        if says("proxy authorization required") {
            Some(wants_login(proxy))
        } else if says("tunnel error: unsuccessful") {
            Some(format!(
                "the proxy {at} has refused the way there: does it allow this host and port?"
            ))
        // A call to http:// has no other connection than that to the proxy.
        } else if says("tunnel error")
            || says("tcp connect error")
            || says("dns error")
            || self.base.url().scheme() == "http"
        {
            let cause = peer::plainly(&root_cause(error));
            Some(format!("the proxy {at} cannot be reached: {cause}"))
        } else {
            None
        }
    }
}

fn wants_login(proxy: &ProxyUrl) -> String {
    format!(
        "the proxy {} wants a login, or another one (407): see platforms.proxy",
        proxy.host()
    )
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| {
        (**error).source()
    })
}

/// The innermost cause: the outer layers only say that something failed, and might one day show the
/// URL.
fn root_cause(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(call: &Call<'_>) -> (String, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = PlatformClient::new(Proxies::default()).unwrap().client;
        let base = BaseUrl::parse("http://h/wx").unwrap();
        let request = call.build(&client, &base).build().unwrap();
        let header = |name: &str| {
            let value = request.headers().get(name)?.to_str().ok()?;
            Some(format!("\n{name}: {value}"))
        };
        let headers: String = ["content-type", "access-token"]
            .into_iter()
            .filter_map(header)
            .collect();
        let body = request.body().and_then(|body| body.as_bytes());
        (
            format!("{} {}{headers}", request.method(), request.url()),
            String::from_utf8_lossy(body.unwrap_or_default()).into_owned(),
        )
    }

    #[test]
    fn a_call_is_written_in_the_form_that_it_names() {
        let get = Call::get("/a")
            .query("code", "a&b")
            .signed("sign", |query| format!("{}+", query[0].1));
        assert_eq!(
            built(&get),
            (
                "GET http://h/wx/a?code=a%26b&sign=a%26b%2B".to_owned(),
                String::new()
            )
        );
        let json =
            Call::post_json("/b", serde_json::json!({ "code": "\"" })).header("access-token", "t");
        assert_eq!(
            built(&json),
            (
                "POST http://h/wx/b\ncontent-type: application/json\naccess-token: t".to_owned(),
                r#"{"code":"\""}"#.to_owned()
            )
        );
        let form = Call::post_form("/c")
            .query("v", "1")
            .field("code", "a b&c")
            .field("x", "汉");
        assert_eq!(
            built(&form),
            (
                "POST http://h/wx/c?v=1\ncontent-type: application/x-www-form-urlencoded"
                    .to_owned(),
                "code=a+b%26c&x=%E6%B1%89".to_owned()
            )
        );
    }
}
