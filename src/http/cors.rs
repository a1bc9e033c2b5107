//! Cross-origin rules for H5 builds and web-views. Mini programs need none: `wx.request` has no
//! origin.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};

use crate::http::head::{Headers, RequestHead, Value};
use crate::http::origin::Origin;
use crate::http::response::AnswerHead;
use crate::session::TokenCarrier;

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
/// Without it a browser sends no cookies across origins, and shows its page no answer to a request
/// that had some.
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const EXPOSED: &str = "X-Hufu-Error, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy";

/// Which web pages may call the gateway from a browser.
#[derive(Debug, Clone, Default)]
pub struct CorsSettings {
    /// Origins as browsers send them, such as `https://h5.example.com`; none: no CORS headers.
    pub origins: Vec<String>,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: Duration,
}

/// The origins whose pages may call the gateway and read its answers.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<Origin>,
    /// Where the platforms' own clients run: they need no CORS headers.
    clients: Vec<Origin>,
    credentials: bool,
    max_age: Duration,
}

impl Cors {
    /// Where a token may stand in a cookie, the pages may send it. `clients`: the origins of the
    /// platforms' own clients.
    pub fn new<'a>(
        settings: &CorsSettings,
        carriers: &[TokenCarrier],
        clients: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let credentials = carriers
            .iter()
            .any(|carrier| matches!(carrier, TokenCarrier::Cookie(_)));
        Self {
            origins: settings
                .origins
                .iter()
                .filter_map(|origin| Origin::parse(origin))
                .collect(),
            clients: clients.into_iter().filter_map(Origin::parse).collect(),
            credentials,
            max_age: settings.max_age,
        }
    }

    /// The answer to a preflight of an allowed origin; `None`: the request is none, and goes its
    /// usual way.
    pub fn preflight(&self, request: &RequestHead) -> Option<HttpResponse> {
        let headers = request.headers();
        let is_preflight = request.method() == "OPTIONS"
            && headers.contains("origin")
            && headers.contains("access-control-request-method");
        let origin = self.allowed(headers).filter(|_| is_preflight)?;
        let mut response = HttpResponse::NoContent();
        response.insert_header((ALLOW_ORIGIN, origin));
        if self.credentials {
            response.insert_header((ALLOW_CREDENTIALS, "true"));
        }
        response.insert_header(("access-control-allow-methods", METHODS));
        response.insert_header(("access-control-max-age", self.max_age.as_secs()));
        if let Some(asked) = headers
            .get("access-control-request-headers")
            .and_then(Value::text)
        {
            response.insert_header(("access-control-allow-headers", asked));
        }
        for name in [
            "Origin",
            "Access-Control-Request-Method",
            "Access-Control-Request-Headers",
        ] {
            response.append_header(("vary", name));
        }
        Some(response.finish())
    }

    /// Lets an allowed origin's page read an answer of the gateway's own.
    pub fn decorate_own(&self, request: Headers<'_>, response: &mut HttpResponse<impl Sized>) {
        let headers = response.headers_mut();
        if !headers.contains_key(ALLOW_ORIGIN) {
            for (name, value) in self.fields(request) {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.append(HeaderName::from_static(name), value);
                }
            }
        }
    }

    /// Lets an allowed origin's page read an answer. Headers that an upstream set itself stay as
    /// they are.
    pub fn decorate(&self, request: Headers<'_>, answer: &mut AnswerHead) {
        if !self.origins.is_empty() && !answer.contains(ALLOW_ORIGIN) {
            // A second "true" beside an upstream's own would be "true, true", which browsers do not
            // take for a yes.
            let credentials_said = answer.contains(ALLOW_CREDENTIALS);
            let missing = self
                .fields(request)
                .filter(|(name, _)| !(credentials_said && *name == ALLOW_CREDENTIALS));
            missing.for_each(|(name, value)| answer.push(name, value.as_bytes()));
        }
    }

    fn fields<'a>(&self, request: Headers<'a>) -> impl Iterator<Item = (&'static str, &'a str)> {
        let vary = (!self.origins.is_empty()).then_some(("vary", "Origin"));
        let allowed = self.allowed(request).map(|origin| {
            [
                (ALLOW_ORIGIN, origin),
                ("access-control-expose-headers", EXPOSED),
            ]
        });
        let credentials = allowed
            .filter(|_| self.credentials)
            .map(|_| (ALLOW_CREDENTIALS, "true"));
        vary.into_iter()
            .chain(allowed.into_iter().flatten())
            .chain(credentials)
    }

    /// Whether no origins are configured.
    pub const fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Whether an origin is among the configured ones.
    pub fn names(&self, origin: &str) -> bool {
        !self.is_empty()
            && Origin::parse(origin).is_some_and(|origin| self.origins.contains(&origin))
    }

    /// Whether the page that a browser names in `Origin` is a configured one, of this host, or
    /// a platform's. `https`: whether the client is known to have come by it.
    pub fn knows_page(&self, headers: Headers<'_>, https: bool) -> bool {
        let Some(origin) = headers.single("origin") else {
            return false;
        };
        let page = Origin::parse(origin);
        // A page that came without encryption may be anybody's. Where https ends before the gateway
        // and nobody says so, both have to do.
        let own = page.as_ref().filter(|page| page.is_https() || !https);
        let of_this_host = own.is_some_and(|page| {
            headers
                .single("host")
                .is_some_and(|host| page.is_of_host(host))
        });
        let of_client = page.is_some_and(|page| self.clients.contains(&page));
        of_this_host || of_client || self.names(origin)
    }

    fn allowed<'a>(&self, headers: Headers<'a>) -> Option<&'a str> {
        headers
            .get("origin")?
            .text()
            .filter(|origin| self.names(origin))
    }
}
