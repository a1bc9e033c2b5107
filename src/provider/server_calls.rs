//! Passes a server's call on to an app's platform as it came, and its answer back as it comes. How
//! long it may take, the caller says.

use std::fmt;
use std::io;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response};
use tokio::sync::mpsc;

use super::base_url::BaseUrl;
use super::bases::Bases;
use super::client::{CallError, CallFault, OpenCall, PlatformClient};
use super::registry::platform;
use super::settings::{AppSettings, SettingsError};
use crate::peer::PeerTrouble;
use crate::secret::Secret;

/// An app's platform, for calls that it does not make itself.
pub struct ServerCalls {
    bases: Bases,
    /// Where the platform itself is, whatever stands in for it.
    own: Vec<BaseUrl>,
    client: PlatformClient,
}

/// What is passed on.
#[derive(Debug)]
pub struct ServerCall<'a> {
    pub method: &'a str,
    /// A plain path.
    pub path: &'a str,
    /// It holds the access token.
    pub query: Secret<String>,
    /// Those that may pass; names in lower case.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// A piece of a body on its way; `None`: it is complete. A body whose pieces end without this one is
/// broken, and stays so.
pub type BodyPiece = Option<Bytes>;

#[derive(Debug)]
pub enum ServerCallBody {
    Whole(Bytes),
    Stream {
        /// As announced.
        length: Option<u64>,
        pieces: mpsc::Receiver<BodyPiece>,
    },
}

/// An answer whose head has come.
pub struct ServerAnswer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// How long the whole body is, where the platform says so. The response itself only tells what
    /// is left of it.
    pub length: Option<u64>,
    host: String,
    /// Its URL holds the access token.
    response: Response,
}

impl fmt::Debug for ServerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAnswer")
            .field("status", &self.status)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl ServerCalls {
    pub fn new(settings: &AppSettings, client: PlatformClient) -> Result<Self, SettingsError> {
        Ok(Self {
            bases: Bases::new(settings.checked_bases()?),
            own: platform(settings.provider)
                .base_urls
                .iter()
                .filter_map(|base| BaseUrl::parse(base).ok())
                .collect(),
            client,
        })
    }

    /// Whether this host is the platform's, given with its port where it has one.
    #[must_use]
    pub fn goes_to(&self, host: &str) -> bool {
        let host = host.strip_suffix(":80").unwrap_or(host);
        let mut all = self.own.iter().chain(self.bases.all());
        all.any(|base| base.host().eq_ignore_ascii_case(host))
    }

    /// Makes the call, with a whole body at the first address that can be connected to. One that
    /// comes as it is sent can go to a single address; the next call begins with another one where
    /// that cannot be reached.
    pub async fn send(
        &self,
        call: &ServerCall<'_>,
        body: ServerCallBody,
    ) -> Result<ServerAnswer, CallError> {
        let whole = match &body {
            ServerCallBody::Whole(whole) => Some(whole.clone()),
            ServerCallBody::Stream { .. } => None,
        };
        let mut next_body = Some(body);
        let mut last = None;
        for (at, base) in self.bases.in_order() {
            let Some(body) = next_body.take() else {
                break;
            };
            next_body = whole.clone().map(ServerCallBody::Whole);
            match self.send_to(base, call, body).await {
                Err(error @ CallError::NotSent { .. }) => {
                    self.bases.leave(at);
                    last = Some(error);
                }
                sent => {
                    self.bases.prefer(at);
                    return sent;
                }
            }
        }
        Err(last.unwrap_or_else(|| CallError::NotSent {
            host: String::new(),
            cause: "there is no address".to_owned(),
            fault: CallFault::Peer(PeerTrouble::Other),
        }))
    }

    async fn send_to(
        &self,
        base: &BaseUrl,
        call: &ServerCall<'_>,
        body: ServerCallBody,
    ) -> Result<ServerAnswer, CallError> {
        let way = OpenCall {
            base,
            proxy: self.client.way(base),
        };
        let method = Method::from_bytes(call.method.as_bytes()).unwrap_or(Method::GET);
        let url = base.with_query(call.path, call.query.expose());
        let mut request = self.client.client.request(method, url);
        for (name, value) in call.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                request = request.header(name, value);
            }
        }
        let request = match body {
            ServerCallBody::Whole(bytes) if bytes.is_empty() && call.method == "GET" => request,
            // An empty one has a length too, where a body is expected.
            ServerCallBody::Whole(bytes) if bytes.is_empty() => request.header(CONTENT_LENGTH, 0),
            ServerCallBody::Whole(bytes) => request.body(bytes),
            ServerCallBody::Stream { length, pieces } => {
                let request = match length {
                    Some(length) => request.header(CONTENT_LENGTH, length),
                    None => request,
                };
                request.body(streamed(pieces))
            }
        };
        let response = request.send().await.map_err(|error| way.failed(error))?;
        way.refuse_of_proxy(&response)?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        Ok(ServerAnswer {
            status: response.status().as_u16(),
            headers,
            length: response.content_length(),
            host: base.host(),
            response,
        })
    }
}

fn streamed(pieces: mpsc::Receiver<BodyPiece>) -> Body {
    let pieces = stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Some(bytes)) => Some((Ok(bytes), Some(pieces))),
            Some(None) => None,
            None => Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None)),
        }
    });
    Body::wrap_stream(pieces)
}

impl ServerAnswer {
    /// The next piece of the body; `None`: it is complete.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, CallError> {
        let piece = self.response.chunk().await;
        piece.map_err(|_| CallError::Broken {
            host: self.host.clone(),
            cause: "it broke off within its answer".to_owned(),
            fault: CallFault::Broken,
        })
    }
}
