//! A server: actix's accept loop and workers, and a conversation on each connection.

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

use crate::edge::acceptor::{Accepted, Acceptor};
use crate::edge::client::Client;
use crate::edge::conversation::{Ending, Handler, converse};
use crate::edge::crowd::Crowd;
use crate::edge::lanes::{Direct, Lanes};
use crate::edge::linger::lingering;
use crate::edge::listener::Listener;
use crate::edge::refused::RefusalDesk;
use crate::edge::settings::{GateSettings, ServerSettings};
use crate::edge::stream::Stream;
use crate::edge::swap::Swapping;
use crate::http::{Connection, Drain};
use crate::metrics::Metrics;
use crate::telemetry::Throttle;

/// How long those may still take who are told that their time is over. The server looks once a
/// second who is left.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What makes a connection ready for HTTP, and what it then keeps to.
#[derive(Clone)]
pub struct Door {
    /// What a connection goes through before its first request.
    pub acceptor: Acceptor,
    /// What clients are allowed.
    pub gate: GateSettings,
    /// Where refusals are counted and logged.
    pub desk: RefusalDesk,
    /// Where connections are counted, if they are.
    pub metrics: Option<Arc<Metrics>>,
    /// Whether the process is on its way out.
    pub drain: Drain,
}

/// A server for this listener.
pub fn serve<F, M, T, D, I, S, B>(
    listener: Listener,
    server: ServerSettings,
    door: Door,
    app: Swapping<F, T>,
) -> io::Result<Server>
where
    F: Fn() -> M + Send + Clone + 'static,
    M: FnMut(&T) -> Lanes<D, I> + 'static,
    T: Send + Sync + 'static,
    D: Direct + 'static,
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
    let worker = move || {
        let (door, app, signal, crowd) = (door.clone(), app.clone(), signal.clone(), crowd.clone());
        async move {
            let handler = app
                .begin()
                .await
                .map_err(|error| log::error!("a worker cannot start: {error:?}"))?;
            let ending = heard(signal, door.drain.clone());
            Ok::<_, ()>(Rc::new(Worker {
                door,
                handler: Rc::new(handler),
                ending,
                room: server.connections,
                crowd,
            }))
        }
    };
    let builder = match listener {
        Listener::Tcp(listener) => builder.listen("public", listener, move || {
            serving(worker.clone(), Worker::serve_tcp)
        })?,
        Listener::Unix(listener) => builder.listen_uds("public", listener, move || {
            serving(worker.clone(), Worker::serve_unix)
        })?,
    };
    Ok(builder.run())
}

/// Makes a worker, which serves every socket that it is given.
fn serving<H, W, S, A>(
    worker: impl Fn() -> W + 'static,
    serve: fn(Rc<Worker<H>>, S) -> A,
) -> impl ServiceFactory<S, Config = (), Response = (), Error = (), InitError = ()>
where
    H: 'static,
    W: Future<Output = Result<Rc<Worker<H>>, ()>> + 'static,
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

/// The end of the server, as one worker's connections hear of it.
fn heard(signal: GracefulShutdownSignal, drain: Drain) -> Rc<Ending> {
    let ending = Rc::new(Ending::default());
    let told = ending.clone();
    actix_web::rt::spawn(async move {
        signal.notified().await;
        told.begin();
        drain.cutting().await;
        told.cut();
    });
    ending
}

/// What the connections of a worker share.
struct Worker<H> {
    door: Door,
    handler: Rc<H>,
    ending: Rc<Ending>,
    /// Connections of clients at most, in all workers.
    room: Option<usize>,
    /// Those of them that linger, in all workers.
    crowd: Arc<Crowd>,
}

impl<H: Handler> Worker<H> {
    async fn serve_tcp(self: Rc<Self>, socket: TcpStream) -> Result<(), ()> {
        // Boxed, since it is larger than a connection that rests.
        let accepted = Box::pin(self.door.acceptor.accept(socket))
            .await
            .map_err(drop)?;
        self.serve(accepted).await;
        Ok(())
    }

    async fn serve_unix(self: Rc<Self>, socket: UnixStream) -> Result<(), ()> {
        self.serve(Accepted {
            stream: Stream::Unix(socket),
            client: None,
            nameless: false,
        })
        .await;
        Ok(())
    }

    async fn serve(self: Rc<Self>, accepted: Accepted) {
        let Accepted {
            stream,
            client,
            nameless,
        } = accepted;
        let connection = Connection::new(matches!(stream, Stream::Tls(_)));
        if nameless {
            connection.came_nameless();
        }
        let counted = self
            .door
            .metrics
            .as_ref()
            .map(|metrics| metrics.connection_opened());
        self.look_at_room();
        let client = Client::new(
            stream,
            client.map(|client| client.ip()),
            connection,
            self.door.gate,
            self.crowd.clone(),
        )
        .counted(counted);
        converse(
            client,
            self.handler.clone(),
            self.door.desk.clone(),
            self.ending.clone(),
        )
        .await;
    }

    /// Says when there is no room for more clients: those who wait to be accepted show nowhere
    /// else.
    fn look_at_room(&self) {
        static TOLD: Throttle = Throttle::new(Duration::from_secs(10));
        let Some((room, metrics)) = self.room.zip(self.door.metrics.as_ref()) else {
            return;
        };
        if usize::try_from(metrics.connections_open.get()).is_ok_and(|open| open >= room)
            && TOLD.admit().is_some()
        {
            log::warn!(
                "{room} connections of clients are open, as many as the limit of open files has room for; more wait until one ends: raise the \
                 limit (LimitNOFILE, ulimits), or let idle ones end sooner (server.keep_alive)"
            );
        }
    }
}
