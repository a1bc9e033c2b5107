//! `GET /healthz` and `GET /startupz`: the process lives; the process has started. Neither looks at
//! Redis: a restart would not fix it.

use actix_web::HttpResponse;

/// 200 `ok`.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// 200 `started`: the listener opens only after start-up is complete.
pub(super) async fn startupz() -> HttpResponse {
    HttpResponse::Ok().body("started\n")
}
