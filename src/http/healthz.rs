//! `GET /auth/healthz`: the process answers. Says nothing of Redis: a balancer that took the gateways out whenever Redis
//! stumbles would turn a stumble into an outage.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentType};

/// 200 `ok`.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::plaintext()).insert_header((CACHE_CONTROL, "no-store")).body("ok")
}
