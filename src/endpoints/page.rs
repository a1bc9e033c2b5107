//! Web pages that are nobody's business: a browser sends the cookies of the gateway's host with the
//! requests of every page of the world, so what changes something is not done for a foreign one on
//! a cookie's word.

use actix_web::{HttpMessage, HttpRequest, web};

use crate::http::authenticate::Authenticator;
use crate::http::forwarded_origin::is_https;
use crate::http::head::Value;
use crate::http::{Cors, ErrorCode, GatewayError, Headers, Inbound, RequestHead};

/// Refuses what a foreign page asks of one of the gateway's own endpoints, where nothing but a
/// cookie carries the token. What is no browser says nothing of pages; a token elsewhere is one
/// that the page knows.
pub fn may_change(req: &HttpRequest, auth: &Authenticator) -> Result<(), GatewayError> {
    let head = RequestHead::of(req);
    if !auth.is_by_cookie(&head)? {
        return Ok(());
    }
    let headers = head.headers();
    let https = req
        .extensions()
        .get::<Inbound>()
        .is_some_and(|inbound| is_https(inbound, headers));
    let known = match req.app_data::<web::Data<Cors>>() {
        _ if !headers.contains("origin") => !is_of_other_site(headers),
        Some(cors) => cors.knows_page(headers, https),
        None => false,
    };
    if known {
        return Ok(());
    }
    let detail = "Pages of this origin may not do this with a cookie alone; the operator names them in cors.origins.";
    Err(GatewayError::new(ErrorCode::OriginForbidden, detail))
}

/// Whether a browser says that another site's page asks. They send `Origin` too, but for some old
/// ones.
fn is_of_other_site(headers: Headers<'_>) -> bool {
    headers
        .get_all("sec-fetch-site")
        .map(Value::text)
        .any(|site| !matches!(site, Some("same-origin" | "none")))
}
