//! The request that takes the place of a refused one, and its answer.

use std::net::IpAddr;
use std::sync::Arc;

use actix_http::{Method, Response};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::header::HeaderValue;

use crate::clock::monotonic_now;
use crate::edge::refusal::Refusal;
use crate::http::completion::{Completion, CountedRoute, Reported, Reports};
use crate::http::connection::RefusedHead;
use crate::http::extract::{Inbound, X_REQUEST_ID};
use crate::metrics::OpenConnection;

/// Most bytes of a refused request's method and path in the access line.
const SHOWN: (usize, usize) = (20, 512);

/// The gate's own request.
pub struct OwnRequest {
    /// Its method: longer than any that comes in.
    method: &'static str,
    /// Its bytes.
    pub head: &'static [u8],
}

/// Stands for a request that the gate has refused.
pub const REFUSED: OwnRequest =
    OwnRequest { method: "REFUSED-BY-THE-GATE-ITSELF", head: b"REFUSED-BY-THE-GATE-ITSELF / HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n" };

impl OwnRequest {
    /// Whether a request is this one.
    #[must_use]
    pub fn is(&self, method: &Method) -> bool {
        method.as_str() == self.method
    }
}

/// What can be made out of the bytes of a head that is refused.
#[must_use]
pub fn refused_head(refusal: Refusal, bytes: &[u8]) -> RefusedHead {
    let line = bytes.trim_ascii_start().split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().filter(|m| !m.is_empty() && m.len() <= SHOWN.0 && m.iter().all(u8::is_ascii_uppercase)).unwrap_or(b"-");
    let target = words.next().unwrap_or_default();
    let path = target.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    RefusedHead { error: refusal.error(), method: shown(method), path: shown(&path[..path.len().min(SHOWN.1)]), at: monotonic_now() }
}

/// Where refusals are counted and logged.
#[derive(Debug, Clone)]
pub struct RefusalDesk {
    reports: Arc<Reports>,
    route: Arc<CountedRoute>,
}

impl RefusalDesk {
    /// Refusals are counted under `route`.
    #[must_use]
    pub const fn new(reports: Arc<Reports>, route: Arc<CountedRoute>) -> Self {
        Self { reports, route }
    }

    /// Counts a client's connection for as long as the value lives.
    #[must_use]
    pub fn connection_opened(&self) -> OpenConnection {
        self.reports.metrics.connection_opened()
    }

    /// The answer to a refused request.
    #[must_use]
    pub fn answer(&self, refused: &RefusedHead, client: IpAddr) -> Response<Reported<BoxBody>> {
        let inbound = Inbound::unread(client, refused.at);
        let mut completion = Completion::new(self.reports.clone(), inbound, &refused.method, &refused.path, self.route.clone());
        completion.error = Some(refused.error.code);
        completion.status = refused.error.code.status().as_u16();
        self.reports.metrics.refused_request(refused.error.code.word());
        let mut response: HttpResponse = refused.error.response(&completion.inbound.id);
        if let Ok(id) = HeaderValue::from_str(&completion.inbound.id) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        Response::from(response).map_body(|_, body| Reported::new(body, completion))
    }
}
