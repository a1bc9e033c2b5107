//! What every request behind the gate goes through: refusals are answered here, and the gate is told how far an answer is.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::{ConnectionType, Payload, Request, Response, StatusCode};
use actix_service::{Service, ServiceFactory, apply_fn_factory};
use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::future::{Either, ready};

use crate::edge::refused::{REFUSED, RefusalDesk};
use crate::http::completion::Reported;
use crate::http::connection::Connection;

/// A body whose end the gate hears of: the application's, or a refusal's.
pub type Told<B> = ToldBody<EitherBody<B, Reported<BoxBody>>>;

/// Puts the door before an application.
pub fn before<S, B>(
    app: S,
    desk: RefusalDesk,
) -> impl ServiceFactory<Request, Config = S::Config, Response = Response<Told<B>>, Error = S::Error, InitError = S::InitError>
where
    S: ServiceFactory<Request>,
    S::Response: Into<Response<B>>,
    B: MessageBody,
{
    apply_fn_factory(app, move |mut request: Request, app: &S::Service| {
        let connection = request.conn_data::<Connection>().cloned().unwrap_or_default();
        let upgrades = request.head().connection_type() == ConnectionType::Upgrade;
        let waits = request.head().expect() && announce_reading(&mut request, &connection);
        let answer = match refusal(&request, &connection, &desk) {
            Some(refusal) => Either::Right(ready(refusal)),
            None => Either::Left(app.call(request)),
        };
        async move {
            let response = match answer {
                Either::Right(refusal) => refusal.await.map_body(|_, body| EitherBody::right(body)),
                Either::Left(answer) => match answer.await {
                    Ok(response) => response.into().map_body(|_, body| EitherBody::left(body)),
                    Err(error) => {
                        connection.answer_made();
                        return Err(error);
                    }
                },
            };
            let unread = waits && !connection.wants_body();
            Ok(told(response, connection, upgrades, unread))
        }
    })
}

fn refusal(request: &Request, connection: &Connection, desk: &RefusalDesk) -> Option<Response<Reported<BoxBody>>> {
    if !REFUSED.is(request.method()) {
        return None;
    }
    let client = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    connection.take_refused().map(|refused| desk.answer(&refused, client.to_canonical()))
}

/// The gate learns what the answer says about the connection, and later when the answer's last byte has been made.
fn told<B>(mut response: Response<B>, connection: Connection, upgrades: bool, unread: bool) -> Response<ToldBody<B>> {
    // The server would take up any upgrade that a client asks for. And a client that was not asked for its body may not send it: its next
    // request would be taken for the body.
    if unread || (upgrades && response.status() != StatusCode::SWITCHING_PROTOCOLS) {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    if response.head().connection_type() == ConnectionType::Close {
        connection.close();
    }
    response.map_body(|_, body| ToldBody { body, connection })
}

/// Lets the gate know when the body is read for the first time: only then "100 Continue" goes out. False: there is no body.
fn announce_reading(request: &mut Request, connection: &Connection) -> bool {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return false;
    }
    *request.payload() = Payload::Stream { payload: Box::pin(Announced { payload, connection: Some(connection.clone()) }) };
    true
}

/// A body whose client waits for "100 Continue".
struct Announced {
    payload: Payload,
    connection: Option<Connection>,
}

impl Stream for Announced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(connection) = self.connection.take() {
            connection.want_body();
        }
        Pin::new(&mut self.payload).poll_next(cx)
    }
}

/// Tells the gate when it is dropped: then the server has made the whole answer.
pub struct ToldBody<B> {
    body: B,
    connection: Connection,
}

impl<B> Drop for ToldBody<B> {
    fn drop(&mut self) {
        self.connection.answer_made();
    }
}

impl<B: MessageBody + Unpin> MessageBody for ToldBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
