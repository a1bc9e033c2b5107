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

use super::endpoints;
use super::faults::Fault;
use super::platform::Platform;

/// Idle connections live longer than clients keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Puts the simulator's routes into an actix-web application:
/// `App::new().configure(sandbox::configure(platform))`.
pub fn configure(platform: Arc<Platform>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |cfg| {
        cfg.app_data(web::Data::from(platform));
        for endpoint in endpoints() {
            let resource = web::resource(endpoint.path).route(endpoint.route());
            if endpoint.api.is_some() {
                cfg.service(resource.wrap(from_fn(troubled)));
            } else {
                cfg.service(resource.default_service(web::to(wrong_method)));
            }
        }
        cfg.default_service(web::to(unknown));
    }
}

/// Serves the simulator on one worker, without touching signals. Call it within a runtime and await
/// or spawn the server; its handle stops it.
pub fn serve(listener: TcpListener, platform: Arc<Platform>) -> io::Result<Server> {
    serve_with(listener, move |cfg| configure(platform.clone())(cfg))
}

/// Serves these routes on one worker.
pub(super) fn serve_with(
    listener: TcpListener,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let server = HttpServer::new(move || App::new().configure(configure.clone()));
    Ok(server
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .keep_alive(KEEP_ALIVE)
        // A pool of connections opens some ahead of time. A 408 on one that is not used yet would
        // fail the request that is sent on it in this moment.
        .client_request_timeout(Duration::ZERO)
        .listen(listener)?
        .run())
}

/// Counts the call of an API and lets the ordered trouble happen before, or instead of, the real
/// answer.
async fn troubled(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let api = endpoints()
        .find(|endpoint| endpoint.path == request.path())
        .and_then(|endpoint| endpoint.api);
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
    let allowed = endpoints()
        .find(|endpoint| endpoint.path == request.path())
        .map_or("", |endpoint| endpoint.method);
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, allowed))
        .json(json!({ "error": "not with this method", "endpoints": listed() }))
}

fn listed() -> Vec<String> {
    endpoints()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect()
}
