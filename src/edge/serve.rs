//! A server behind the gate: actix's accept loop and workers, each connection through the gate to the application.

use std::io;
use std::net::{SocketAddr, TcpListener};

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use futures_util::future::ready;

use crate::edge::door;
use crate::edge::gate::Gate;
use crate::edge::refused::RefusalDesk;
use crate::edge::settings::{GateSettings, ServerSettings};

/// A server for this listener. `app` is called once in each worker.
pub fn serve<A, I, S, B>(listener: TcpListener, server: ServerSettings, gate: GateSettings, desk: RefusalDesk, app: A) -> io::Result<Server>
where
    A: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error>,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>>,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + Unpin + 'static,
{
    let builder = ServerBuilder::new().workers(server.workers).disable_signals().shutdown_timeout(server.drain_deadline.as_secs());
    let draining = builder.graceful_shutdown_signal();
    let builder = builder.listen("gate", listener, move || {
        let draining = draining.clone();
        let app = app().into_factory().map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .keep_alive(if gate.keep_alive.is_zero() { KeepAlive::Disabled } else { KeepAlive::Os })
            .client_request_timeout(std::time::Duration::ZERO)
            .on_connect_ext(|gate: &Gate<TcpStream>, data: &mut Extensions| {
                data.insert(gate.connection().clone());
            })
            .finish(door::before(map_config(app, |()| AppConfig::default()), desk.clone()));
        let desk = desk.clone();
        fn_service(move |socket: TcpStream| {
            let counted = desk.connection_opened();
            let _ = socket.set_nodelay(true);
            let peer = socket.peer_addr().ok();
            ready(Ok::<_, DispatchError>((Gate::new(socket, gate, counted), Protocol::Http1, peer)))
        })
        .and_then(http)
    })?;
    Ok(builder.run())
}

/// Opens a listener with room for `backlog` connections that wait to be accepted.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)?.into_std()
}
