//! Which path leads where, and the server.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::header::ALLOW;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use super::faults::Fault;
use super::platform::Platform;
use super::{code2session, control, phone, session_key, token};

/// One endpoint of the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The method that it is meant for.
    pub method: &'static str,
    /// Its path.
    pub path: &'static str,
}

/// Every endpoint, in the order of docs/sandbox.md.
pub const ENDPOINTS: [Endpoint; 11] = [
    Endpoint {
        method: "GET",
        path: "/sns/jscode2session",
    },
    Endpoint {
        method: "GET",
        path: "/cgi-bin/token",
    },
    Endpoint {
        method: "POST",
        path: "/cgi-bin/stable_token",
    },
    Endpoint {
        method: "GET",
        path: "/wxa/checksession",
    },
    Endpoint {
        method: "GET",
        path: "/wxa/resetusersessionkey",
    },
    Endpoint {
        method: "POST",
        path: "/wxa/business/getuserphonenumber",
    },
    Endpoint {
        method: "POST",
        path: "/sandbox/code",
    },
    Endpoint {
        method: "POST",
        path: "/sandbox/open-data",
    },
    Endpoint {
        method: "POST",
        path: "/sandbox/rotate",
    },
    Endpoint {
        method: "POST",
        path: "/sandbox/faults",
    },
    Endpoint {
        method: "GET",
        path: "/sandbox/calls",
    },
];

/// Idle connections live as long as behind WeChat's nginx, longer than clients keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

impl Endpoint {
    /// The API's name in faults and calls: the last segment of its path. `None` on the control
    /// side.
    #[must_use]
    pub fn api(&self) -> Option<&'static str> {
        if self.path.starts_with("/sandbox/") {
            None
        } else {
            self.path.rsplit('/').next()
        }
    }
}

/// The names of the simulated APIs.
pub(super) fn apis() -> impl Iterator<Item = &'static str> {
    ENDPOINTS.iter().filter_map(Endpoint::api)
}

/// Puts the simulator's routes into an actix-web application:
/// `App::new().configure(sandbox::configure(platform))`.
pub fn configure(platform: Arc<Platform>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |cfg| {
        cfg.app_data(web::Data::from(platform))
            .service(
                web::resource("/sns/jscode2session")
                    .wrap(from_fn(troubled))
                    .to(code2session::mini_program),
            )
            .service(
                web::resource("/cgi-bin/token")
                    .wrap(from_fn(troubled))
                    .to(token::plain),
            )
            .service(
                web::resource("/cgi-bin/stable_token")
                    .wrap(from_fn(troubled))
                    .to(token::stable),
            )
            .service(
                web::resource("/wxa/checksession")
                    .wrap(from_fn(troubled))
                    .to(session_key::check),
            )
            .service(
                web::resource("/wxa/resetusersessionkey")
                    .wrap(from_fn(troubled))
                    .to(session_key::reset),
            )
            .service(
                web::resource("/wxa/business/getuserphonenumber")
                    .wrap(from_fn(troubled))
                    .to(phone::number),
            )
            .service(
                web::resource("/sandbox/code")
                    .post(control::code)
                    .default_service(web::to(wrong_method)),
            )
            .service(
                web::resource("/sandbox/open-data")
                    .post(control::open_data)
                    .default_service(web::to(wrong_method)),
            )
            .service(
                web::resource("/sandbox/rotate")
                    .post(control::rotate)
                    .default_service(web::to(wrong_method)),
            )
            .service(
                web::resource("/sandbox/faults")
                    .post(control::faults)
                    .default_service(web::to(wrong_method)),
            )
            .service(
                web::resource("/sandbox/calls")
                    .get(control::calls)
                    .default_service(web::to(wrong_method)),
            )
            .default_service(web::to(unknown));
    }
}

/// Serves the simulator on one worker, without touching signals. Call it within a runtime and await
/// or spawn the server; its handle stops it.
pub fn serve(listener: TcpListener, platform: Arc<Platform>) -> io::Result<Server> {
    let server = HttpServer::new(move || App::new().configure(configure(platform.clone())));
    Ok(server
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .keep_alive(KEEP_ALIVE)
        .listen(listener)?
        .run())
}

/// Counts the call of an API and lets the ordered trouble happen before, or instead of, the real
/// answer.
async fn troubled(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let api = ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.path == request.path())
        .and_then(Endpoint::api);
    let platform = request.app_data::<web::Data<Platform>>();
    let fault = api
        .zip(platform)
        .and_then(|(api, platform)| platform.called(api));
    let Some(Fault {
        answer,
        delay,
        reset,
        ..
    }) = fault
    else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if reset {
        return Ok(request.into_response(cut()));
    }
    match answer {
        Some((status, body)) => Ok(request.into_response(
            HttpResponse::build(status)
                .content_type("text/plain")
                .body(body),
        )),
        None => Ok(next.call(request).await?.map_into_boxed_body()),
    }
}

/// A body that fails before its first byte: the server drops the connection, and the head with it.
fn cut() -> HttpResponse {
    HttpResponse::Ok().streaming(futures_util::stream::once(async {
        Err::<web::Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    }))
}

async fn unknown() -> HttpResponse {
    HttpResponse::NotFound()
        .json(json!({ "error": "the sandbox has no such endpoint", "endpoints": listed() }))
}

async fn wrong_method(request: HttpRequest) -> HttpResponse {
    let allowed = ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.path == request.path())
        .map_or("", |endpoint| endpoint.method);
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, allowed))
        .json(json!({ "error": "not with this method", "endpoints": listed() }))
}

fn listed() -> Vec<String> {
    ENDPOINTS
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect()
}
