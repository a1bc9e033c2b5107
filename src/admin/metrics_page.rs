//! `GET /metrics`: the page that Prometheus reads.

use actix_web::http::header::{Accept, CONTENT_TYPE, Header as _, VARY};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::{ErrorCode, GatewayError};
use crate::metrics::{Exposition, Metrics};

/// 200 with the page in the form that is asked for.
pub(super) async fn metrics(
    req: HttpRequest,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, GatewayError> {
    let form = Accept::parse(&req).map_or(Exposition::Text, |accept| chosen(&accept));
    let page = metrics
        .encode(form)
        .map_err(|_| GatewayError::new(ErrorCode::Internal, "The metrics cannot be written."))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, form.content_type()))
        .insert_header((VARY, "Accept"))
        .body(page))
}

/// The form that a request prefers. Who asks for neither, or for any, gets what everything reads:
/// that is what Prometheus's own libraries do.
fn chosen(accept: &Accept) -> Exposition {
    let weight = |form: Exposition| {
        accept
            .iter()
            .filter(|range| names(&range.item, form))
            .map(|range| range.quality)
            .max()
    };
    match (weight(Exposition::OpenMetrics), weight(Exposition::Text)) {
        (Some(open), text)
            if open > actix_web::http::header::q(0.0) && text.is_none_or(|text| open >= text) =>
        {
            Exposition::OpenMetrics
        }
        _ => Exposition::Text,
    }
}

/// Whether a media range names a form and the version in which it is written here.
fn names(range: &actix_web::mime::Mime, form: Exposition) -> bool {
    let (kind, version) = match form {
        Exposition::OpenMetrics => ("application/openmetrics-text", "1.0.0"),
        Exposition::Text => ("text/plain", "0.0.4"),
    };
    range.essence_str() == kind
        && range
            .get_param("version")
            .is_none_or(|requested| requested == version)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_form_is_what_the_request_prefers() {
        use Exposition::{OpenMetrics, Text};
        let of_prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
                             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, form) in [
            (of_prometheus, OpenMetrics),
            ("application/openmetrics-text", OpenMetrics),
            (
                "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5",
                OpenMetrics,
            ),
            (
                "Application/OpenMetrics-Text;Version=\"1.0.0\"",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5",
                Text,
            ),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.3", Text),
            ("application/openmetrics-text;q=0", Text),
            ("text/plain;version=0.0.4", Text),
            ("*/*", Text),
            ("application/*", Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Text),
            ("", Text),
            ("nonsense", Text),
            ("application/openmetrics-text;q=7", Text),
        ] {
            let request = TestRequest::default()
                .insert_header((ACCEPT, accept))
                .to_http_request();
            assert_eq!(
                Accept::parse(&request).map_or(Text, |accept| chosen(&accept)),
                form,
                "{accept}"
            );
        }
    }
}
