//! `GET /auth/healthz`: the process answers. Says nothing of Redis: a balancer that took the
//! gateways out whenever Redis stumbles would turn a stumble into an outage.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpResponse, web};

use crate::http::Drain;

/// 200 `ok`; while the process drains 503 `draining`: a balancer that cannot ask the admin listener
/// has no other way to notice before the port is closed.
pub async fn healthz(drain: web::Data<Drain>) -> HttpResponse {
    let (mut answer, text) = if drain.is_on() {
        (HttpResponse::ServiceUnavailable(), "draining")
    } else {
        (HttpResponse::Ok(), "ok")
    };
    answer
        .insert_header(ContentType::plaintext())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text)
}
