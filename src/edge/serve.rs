//! A server behind the gate: actix's accept loop and workers, each connection through the gate to the application.

use std::io;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service};
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use tokio::net::{TcpStream, UnixStream};

use crate::edge::acceptor::Acceptor;
use crate::edge::door;
use crate::edge::gate::Gate;
use crate::edge::listener::Listener;
use crate::edge::refused::RefusalDesk;
use crate::edge::settings::{GateSettings, ServerSettings};
use crate::edge::stream::Stream;
use crate::edge::swap::Swapping;
use crate::http::Connection;

/// A server for this listener.
pub fn serve<F, M, T, I, S, B>(
    listener: Listener,
    server: ServerSettings,
    acceptor: Acceptor,
    settings: GateSettings,
    desk: RefusalDesk,
    app: Swapping<F, T>,
) -> io::Result<Server>
where
    F: Fn() -> M + Send + Clone + 'static,
    M: FnMut(&T) -> I + 'static,
    T: Send + Sync + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error>,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>>,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + Unpin + 'static,
{
    let Swapping { start, editions } = app;
    let start = move || {
        let mut make = start();
        move |content: &T| make(content).into_factory()
    };
    let app = Swapping { start, editions };
    let builder = ServerBuilder::new().workers(server.workers).disable_signals().shutdown_timeout(server.drain_deadline.as_secs());
    let draining = builder.graceful_shutdown_signal();
    let counted = desk.clone();
    let gate = move |stream: Stream, nameless: bool| {
        let connection = if matches!(stream, Stream::Tls(_)) { Connection::secure() } else { Connection::default() };
        if nameless {
            connection.is_nobodys();
        }
        Gate::new(stream, connection, settings, counted.connection_opened())
    };
    let http = move || {
        let draining = draining.clone();
        let app = app.clone().map_err(|error| error.into().error_response());
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            // Every deadline is the gate's, which needs one timer for all of them. So is noticing that a client has left.
            .keep_alive(if settings.keep_alive.is_zero() { KeepAlive::Disabled } else { KeepAlive::Os })
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(Duration::ZERO)
            .h1_allow_half_closed(true)
            .on_connect_ext(|gate: &Gate<Stream>, data: &mut Extensions| {
                data.insert(gate.connection().clone());
            })
            .finish(door::before(app, desk.clone()))
    };
    let builder = match listener {
        Listener::Tcp(listener) => builder.listen("public", listener, move || {
            let (acceptor, gate) = (acceptor.clone(), gate.clone());
            fn_service(move |socket: TcpStream| {
                let (acceptor, gate) = (acceptor.clone(), gate.clone());
                async move {
                    let accepted = acceptor.accept(socket).await.map_err(DispatchError::Io)?;
                    Ok((gate(accepted.stream, accepted.nameless), Protocol::Http1, accepted.client))
                }
            })
            .and_then(http())
        })?,
        Listener::Unix(listener) => builder.listen_uds("public", listener, move || {
            let gate = gate.clone();
            fn_service(move |socket: UnixStream| {
                let gate = gate(Stream::Unix(socket), false);
                async move { Ok::<_, DispatchError>((gate, Protocol::Http1, None)) }
            })
            .and_then(http())
        })?,
    };
    Ok(builder.run())
}
