//! One HTTP call to a platform, bounded in time and size. A URL of WeChat's holds the app's secret,
//! so nothing here ever shows a URL: errors name the host and the cause.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, Url, redirect};

use super::proxy::{Proxies, ProxyUrl};
use crate::peer;

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
    client: Client,
    proxies: Arc<Proxies>,
}

impl fmt::Debug for PlatformClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlatformClient")
    }
}

/// The client could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the client for platform calls cannot start: {0}; are CA certificates installed (package ca-certificates)?"
)]
pub struct ClientError(String);

/// Where a platform's API lives, such as `https://api.weixin.qq.com`.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no base URL. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBaseUrl {
    /// It does not parse, or has no host.
    #[error("it is not a URL such as https://api.weixin.qq.com")]
    NotAUrl,
    /// Another scheme.
    #[error("it must begin with https:// (or http:// for a sandbox)")]
    Scheme,
    /// A query, a fragment or a user name.
    #[error("it must end after the host or a path: no query, no fragment, no user name")]
    Extra,
}

/// A complete answer within the limits.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`BODY_MAX`] bytes. It may hold a session_key.
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer, told apart by whether the platform can have acted on the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection: the platform has not seen the call, so it may be made again.
    #[error("no connection to {host}: {cause}")]
    NotSent {
        /// Which host.
        host: String,
        /// What the operating system or TLS said.
        cause: String,
    },
    /// Sent, but no whole answer in time.
    #[error("{host} has not answered within {} ms", .after.as_millis())]
    Silent {
        /// Which host.
        host: String,
        /// How long we waited.
        after: Duration,
    },
    /// Sent, and the connection broke before the answer was whole.
    #[error("the connection to {host} broke: {cause}")]
    Broken {
        /// Which host.
        host: String,
        /// What HTTP said.
        cause: String,
    },
    /// The answer is longer than [`BODY_MAX`]; the rest was not read.
    #[error("the answer of {host} is longer than {BODY_MAX} bytes")]
    TooLarge {
        /// Which host.
        host: String,
    },
}

impl BaseUrl {
    /// Checks and takes a base URL.
    pub fn parse(text: &str) -> Result<Self, BadBaseUrl> {
        let url = Url::parse(text).map_err(|_| BadBaseUrl::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadBaseUrl::Scheme);
        }
        if url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(BadBaseUrl::Extra);
        }
        Ok(Self(url))
    }

    /// Host and port, for messages.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The URL of an API under this base; every value of the query is encoded.
    fn join(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(query);
        url
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.host())
    }
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
            .map_err(|error| ClientError(root_cause(&error.without_url())))?;
        Ok(Self { client, proxies })
    }

    /// The proxy that calls under this base go through.
    #[must_use]
    pub fn way(&self, base: &BaseUrl) -> Option<&ProxyUrl> {
        self.proxies.via(&base.0)
    }

    /// `GET {base}{path}?{query}`, at most `limit` long, at most [`BODY_MAX`] bytes.
    pub async fn get(
        &self,
        base: &BaseUrl,
        path: &str,
        query: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Answer, CallError> {
        let call = async {
            let way = Way {
                base,
                proxy: self.way(base),
            };
            let response = self
                .client
                .get(base.join(path, query))
                .send()
                .await
                .map_err(|error| way.failed(error))?;
            way.read(response).await
        };
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            Err(CallError::Silent {
                host: base.host(),
                after: limit,
            })
        })
    }
}

/// A call on its way: to whom, and through which proxy.
struct Way<'a> {
    base: &'a BaseUrl,
    proxy: Option<&'a ProxyUrl>,
}

impl Way<'_> {
    /// Reads the body up to the limit. What is dropped half read closes its connection, so the
    /// platform cannot go on sending.
    async fn read(&self, mut response: Response) -> Result<Answer, CallError> {
        let host = self.base.host();
        let too_large = || CallError::TooLarge { host: host.clone() };
        let status = response.status().as_u16();
        if let Some(proxy) = self.proxy.filter(|_| status == PROXY_LOGIN) {
            return Err(CallError::NotSent {
                host,
                cause: wants_login(proxy),
            });
        }
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
        Ok(Answer { status, body })
    }

    fn failed(&self, error: reqwest::Error) -> CallError {
        let (host, unsent) = (self.base.host(), error.is_connect());
        let error = error.without_url();
        let cause = match self.proxy {
            Some(proxy) if unsent => self.not_through(proxy, &error),
            Some(proxy) => format!("through the proxy {}: {}", proxy.host(), root_cause(&error)),
            None => root_cause(&error),
        };
        if unsent {
            CallError::NotSent { host, cause }
        } else {
            CallError::Broken { host, cause }
        }
    }

    /// Whose fault it is that there is no connection: the proxy's, or that of the platform behind
    /// it.
    fn not_through(&self, proxy: &ProxyUrl, error: &reqwest::Error) -> String {
        let (at, cause) = (proxy.host(), root_cause(error));
        let says = |words: &str| causes(error).any(|cause| cause.to_string().contains(words));
        if says("proxy authorization required") {
            return wants_login(proxy);
        }
        if says("tunnel error: unsuccessful") {
            return format!(
                "the proxy {at} has refused the way there: does it allow this host and port?"
            );
        }
        // A call to http:// has no other connection than that to the proxy.
        if says("tunnel error")
            || says("tcp connect error")
            || says("dns error")
            || self.base.0.scheme() == "http"
        {
            return format!("the proxy {at} cannot be reached: {cause}");
        }
        format!("through the proxy {at}: {cause}")
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
        .map(|cause| peer::plainly(&cause.to_string()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_hold_no_more_than_a_base() {
        assert_eq!(
            BaseUrl::parse("https://api.weixin.qq.com").unwrap().host(),
            "api.weixin.qq.com"
        );
        assert_eq!(
            BaseUrl::parse("http://127.0.0.1:9000/wx/").unwrap().host(),
            "127.0.0.1:9000"
        );
        assert_eq!(
            BaseUrl::parse("api.weixin.qq.com"),
            Err(BadBaseUrl::NotAUrl)
        );
        assert_eq!(
            BaseUrl::parse("ftp://api.weixin.qq.com"),
            Err(BadBaseUrl::Scheme)
        );
        for extra in ["https://h/?a=b", "https://h/#f", "https://u:p@h/"] {
            assert_eq!(BaseUrl::parse(extra), Err(BadBaseUrl::Extra), "{extra}");
        }
    }

    #[test]
    fn queries_are_encoded_and_paths_joined() {
        let base = BaseUrl::parse("http://h/wx/").unwrap();
        assert_eq!(
            base.join("/sns/x", &[("js_code", "a&b=c d+é#")]).as_str(),
            "http://h/wx/sns/x?js_code=a%26b%3Dc+d%2B%C3%A9%23"
        );
    }

    #[test]
    fn debug_shows_neither_url_nor_body() {
        let shown = format!(
            "{:?} {:?}",
            BaseUrl::parse("https://h/path").unwrap(),
            Answer {
                status: 200,
                body: b"session_key".to_vec()
            }
        );
        assert_eq!(shown, "BaseUrl(h) Answer(200, 11 bytes)");
    }
}
