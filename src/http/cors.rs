//! Cross-origin rules for H5 builds and web-views. Mini programs need none: `wx.request` has no origin.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use actix_web::{HttpRequest, HttpResponse};

/// A preflight may be remembered for this long, in seconds; browsers cap it at two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
const EXPOSED: HeaderValue = HeaderValue::from_static("X-Hufu-Error, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy");

/// The origins whose pages may call the gateway and read its answers.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<String>,
}

impl Cors {
    /// These origins, such as `https://h5.example.com`; none: no CORS headers at all.
    #[must_use]
    pub const fn new(origins: Vec<String>) -> Self {
        Self { origins }
    }

    /// The answer to a preflight; `None`: the request is none, or there are no origins and it goes its usual way.
    #[must_use]
    pub fn preflight(&self, req: &HttpRequest) -> Option<HttpResponse> {
        let headers = req.headers();
        let is_preflight = *req.method() == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if self.origins.is_empty() || !is_preflight {
            return None;
        }
        let mut response = HttpResponse::NoContent().finish();
        let out = response.headers_mut();
        if let Some(origin) = self.allowed(headers) {
            out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            out.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            out.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                out.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
        for name in ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"] {
            out.append(VARY, HeaderValue::from_static(name));
        }
        Some(response)
    }

    /// Lets an allowed origin's page read an answer. Headers that an upstream set itself stay as they are.
    pub fn decorate(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.origins.is_empty() || response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        response.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed(request) {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    /// Whether no origins are configured.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Whether an origin is among the configured ones.
    #[must_use]
    pub fn names(&self, origin: &str) -> bool {
        self.origins.iter().any(|own| own == origin)
    }

    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        origin.to_str().is_ok_and(|origin| self.names(origin)).then_some(origin)
    }
}
