//! A server: actix's accept loop and workers, which serve each connection.

use std::fmt::Debug;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Request;
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactory, fn_factory, fn_service};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use tokio::net::{TcpStream, UnixStream};

use crate::edge::acceptor::Acceptor;
use crate::edge::crowd::Crowd;
use crate::edge::dispatcher::{Dispatcher, FastPath};
use crate::edge::generation::ReloadableApp;
use crate::edge::h1::client::ClientConnection;
use crate::edge::h1::connection::{Handler, ShutdownSignal, serve_connection};
use crate::edge::h1::linger::lingering;
use crate::edge::h1::rejector::Rejector;
use crate::edge::listener::Listener;
use crate::edge::settings::{ConnectionSettings, ServeSettings};
use crate::edge::stream::Stream;
use crate::http::{ConnectionInfo, Drain};
use crate::metrics::Metrics;
use crate::telemetry::Throttle;

/// How long those may still take who are told that their time is over. The server looks once a
/// second who is left.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What the connections of a listener need.
#[derive(Clone)]
pub struct ListenerContext {
    /// Makes a connection ready for HTTP.
    pub acceptor: Acceptor,
    /// Limits and deadlines of each connection.
    pub limits: ConnectionSettings,
    /// Answers refused requests.
    pub rejector: Rejector,
    /// Where connections are counted, if they are.
    pub metrics: Option<Arc<Metrics>>,
    /// Whether the process is on its way out.
    pub drain: Drain,
}

/// A server for this listener.
pub fn serve<F, M, T, D, I, S, B>(
    listener: Listener,
    server: ServeSettings,
    context: ListenerContext,
    app: ReloadableApp<F, T>,
) -> io::Result<Server>
where
    F: Fn() -> M + Send + Sync + 'static,
    M: FnMut(&T) -> Dispatcher<D, I> + 'static,
    T: Send + Sync + 'static,
    D: FastPath + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>> + 'static,
    S::Error: Into<actix_web::Error>,
    S::InitError: Debug,
    B: MessageBody + Unpin + 'static,
{
    let mut builder = ServerBuilder::new()
        .workers(server.workers)
        .disable_signals()
        .shutdown_timeout((server.drain_deadline + LAST_WORDS).as_secs());
    if let Some(connections) = server.connections {
        builder = builder.max_concurrent_connections(connections.div_ceil(server.workers));
    }
    let signal = builder.graceful_shutdown_signal();
    let crowd = lingering(server.connections);
    let app = Arc::new(app);
    let worker = move || {
        let context = context.clone();
        let app = app.clone();
        let signal = signal.clone();
        let crowd = crowd.clone();
        async move {
            let handler = app
                .begin()
                .await
                .map_err(|error| log::error!("a worker cannot start: {error:?}"))?;
            let shutdown = shutdown_signal(signal, context.drain.clone());
            Ok::<_, ()>(Rc::new(ListenerWorker {
                context,
                handler: Rc::new(handler),
                shutdown,
                room: server.connections,
                crowd,
            }))
        }
    };
    let builder = match listener {
        Listener::Tcp(listener) => builder.listen("public", listener, move || {
            serving(worker.clone(), ListenerWorker::serve_tcp)
        })?,
        Listener::Unix(listener) => builder.listen_uds("public", listener, move || {
            serving(worker.clone(), ListenerWorker::serve_unix)
        })?,
    };
    Ok(builder.run())
}

/// Makes a worker, which serves every socket that it is given.
fn serving<H, W, S, A>(
    worker: impl Fn() -> W + 'static,
    serve: fn(Rc<ListenerWorker<H>>, S) -> A,
) -> impl ServiceFactory<S, Config = (), Response = (), Error = (), InitError = ()>
where
    H: 'static,
    W: Future<Output = Result<Rc<ListenerWorker<H>>, ()>> + 'static,
    S: 'static,
    A: Future<Output = Result<(), ()>> + 'static,
{
    fn_factory(move || {
        let worker = worker();
        async move {
            let worker = worker.await?;
            Ok(fn_service(move |socket| serve(worker.clone(), socket)))
        }
    })
}

/// Passes the server's shutdown on to one worker's connections.
fn shutdown_signal(signal: GracefulShutdownSignal, drain: Drain) -> Rc<ShutdownSignal> {
    let shutdown = Rc::new(ShutdownSignal::default());
    let sent = shutdown.clone();
    actix_web::rt::spawn(async move {
        signal.notified().await;
        sent.begin();
        drain.cutting().await;
        sent.cut();
    });
    shutdown
}

/// What the connections of a worker share.
struct ListenerWorker<H> {
    context: ListenerContext,
    handler: Rc<H>,
    shutdown: Rc<ShutdownSignal>,
    /// Connections of clients at most, in all workers.
    room: Option<usize>,
    /// Those of them that linger, in all workers.
    crowd: Arc<Crowd>,
}

impl<H: Handler> ListenerWorker<H> {
    async fn serve_tcp(self: Rc<Self>, socket: TcpStream) -> Result<(), ()> {
        // Boxed, since it is larger than a connection that rests.
        let (stream, connection) = Box::pin(self.context.acceptor.accept(socket))
            .await
            .map_err(drop)?;
        self.serve(stream, connection).await;
        Ok(())
    }

    async fn serve_unix(self: Rc<Self>, socket: UnixStream) -> Result<(), ()> {
        self.serve(Stream::Unix(socket), ConnectionInfo::default())
            .await;
        Ok(())
    }

    async fn serve(self: Rc<Self>, stream: Stream, connection: ConnectionInfo) {
        let counted = self
            .context
            .metrics
            .as_ref()
            .map(|metrics| metrics.listener.connection_opened());
        self.look_at_room();
        let client = ClientConnection::new(
            stream,
            connection,
            self.context.limits,
            self.crowd.clone(),
            counted,
        );
        serve_connection(
            client,
            self.handler.clone(),
            self.context.rejector.clone(),
            self.shutdown.clone(),
        )
        .await;
    }

    /// Says when there is no room for more clients: those who wait to be accepted show nowhere
    /// else.
    fn look_at_room(&self) {
        static THROTTLE: Throttle = Throttle::new(Duration::from_secs(10));
        let Some((room, metrics)) = self.room.zip(self.context.metrics.as_ref()) else {
            return;
        };
        if usize::try_from(metrics.listener.connections_open.get()).is_ok_and(|open| open >= room)
            && THROTTLE.admit().is_some()
        {
            log::warn!(
                "{room} client connections are open, the most that the limit of open files allows; new ones wait: raise the limit (LimitNOFILE, ulimits) or lower server.keep_alive"
            );
        }
    }
}
