//! The echo upstream: tells what arrived. For a first try, the demo and the tests; large bodies
//! take constant memory.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;

use super::routes::serve_with;
use crate::crypto::hash::{self, RunningSha256};

/// How much of a body is told back.
const TOLD: usize = 4 * 1024;
/// The longest that `/slow` waits.
const SLOW_MAX_MS: u64 = 600_000;
/// Between two events of `/sse`.
const SSE_PAUSE: Duration = Duration::from_millis(20);
/// The pieces of `/bytes`.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// What arrived.
#[derive(Serialize)]
struct Echo {
    method: String,
    path: String,
    query: String,
    /// Sorted by name, the values of one name in the order in which they came: the server library
    /// keeps neither the order of different names nor their case.
    headers: Vec<(String, String)>,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// What is known of a body once it has been read.
struct Body {
    bytes: u64,
    sha256: String,
    head: Vec<u8>,
}

/// Puts the echo's routes into an actix-web application.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.route("/status/{code}", web::to(status))
        .route("/bytes/{n}", web::to(bytes))
        .route("/sink", web::to(sink))
        .route("/slow/{ms}", web::to(slow))
        .route("/sse", web::to(events))
        .default_service(web::to(echo));
}

/// Serves the echo on one worker, without touching signals. Call it within a runtime and await or
/// spawn the server.
pub fn serve(listener: TcpListener) -> io::Result<Server> {
    serve_with(listener, configure)
}

async fn echo(
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let body = read(payload).await?;
    let mut headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(HttpResponse::Ok().json(Echo {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.query_string().to_owned(),
        headers,
        body_bytes: body.bytes,
        body: if body.bytes <= TOLD as u64 {
            String::from_utf8(body.head).ok()
        } else {
            None
        },
    }))
}

async fn status(code: web::Path<String>) -> HttpResponse {
    let code = code
        .parse()
        .ok()
        .filter(|code| (200..=599).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok());
    match code {
        Some(code) if code == StatusCode::NO_CONTENT || code == StatusCode::NOT_MODIFIED => {
            HttpResponse::build(code).finish()
        }
        Some(code) => HttpResponse::build(code).json(json!({ "status": code.as_u16() })),
        None => bad("the status must be a number from 200 to 599"),
    }
}

async fn bytes(n: web::Path<String>) -> HttpResponse {
    let Ok(n) = n.parse::<u64>() else {
        return bad("the length must be a number");
    };
    let pieces = stream::iter(pieces(n)).map(Ok::<_, Infallible>);
    HttpResponse::Ok().no_chunking(n).streaming(pieces)
}

async fn sink(payload: web::Payload) -> Result<HttpResponse, actix_web::Error> {
    let body = read(payload).await?;
    Ok(HttpResponse::Ok().json(json!({ "bytes": body.bytes, "sha256": body.sha256 })))
}

async fn slow(
    ms: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    match ms.parse() {
        Ok(ms @ 0..=SLOW_MAX_MS) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            echo(request, payload).await
        }
        _ => Ok(bad(
            "the wait must be a number of milliseconds, at most 600000",
        )),
    }
}

/// Three events, then the end. The pause makes them leave one by one.
async fn events() -> HttpResponse {
    let events = stream::iter(1..=3).then(|n| async move {
        tokio::time::sleep(SSE_PAUSE).await;
        Ok::<_, Infallible>(web::Bytes::from(format!("id: {n}\ndata: event {n}\n\n")))
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .streaming(events)
}

async fn read(mut payload: web::Payload) -> Result<Body, actix_web::Error> {
    let mut bytes = 0;
    let mut sha256 = RunningSha256::default();
    let mut head = Vec::new();
    while let Some(piece) = payload.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        sha256.update(&piece);
        head.extend_from_slice(&piece[..piece.len().min(TOLD - head.len())]);
    }
    Ok(Body {
        bytes,
        sha256: hash::to_hex(&sha256.finish()),
        head,
    })
}

/// `n` bytes in pieces of one static block: no piece is allocated.
fn pieces(n: u64) -> impl Iterator<Item = web::Bytes> {
    let whole = n / PIECE.len() as u64;
    let rest = usize::try_from(n % PIECE.len() as u64).unwrap_or_default();
    (0..whole)
        .map(|_| web::Bytes::from_static(&PIECE))
        .chain((rest > 0).then(|| web::Bytes::from_static(&PIECE[..rest])))
}

fn bad(wrong: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({ "error": wrong }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up() {
        for n in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
            assert_eq!(pieces(n).map(|piece| piece.len() as u64).sum::<u64>(), n);
        }
    }
}
