//! Serves a connection: reads a request, writes its answer, and goes on with the next one.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::BoxedPayloadStream;
use actix_web::body::MessageBody;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::edge::h1::client::{Arrived, ClientConnection};
use crate::edge::h1::rejector::Rejector;
use crate::edge::h1::writing::{After, Writing};
use crate::http::scheduling::yield_to_ready_tasks;
use crate::http::{Answer, RequestHead};

/// What answers the requests of a worker.
pub trait Handler {
    type Body: MessageBody + Unpin + 'static;
    type Answering: Future<Output = Answer<Self::Body>> + Unpin;

    fn answer(&self, head: Rc<RequestHead>, payload: Payload) -> Self::Answering;
}

/// Tells the connections of one worker that the server stops.
#[derive(Debug, Default)]
pub struct ShutdownSignal {
    has_begun: Cell<bool>,
    is_cutting: Cell<bool>,
    notify: Notify,
}

impl ShutdownSignal {
    /// Closes idle connections from now on.
    pub fn begin(&self) {
        self.has_begun.set(true);
        self.notify.notify_waiters();
    }

    /// Cuts the answers that are still being written.
    pub fn cut(&self) {
        self.is_cutting.set(true);
        self.notify.notify_waiters();
    }

    /// Pending, and wakes the task when the signal changes.
    fn register<'a, T>(
        &'a self,
        next: &mut Pin<&mut Notified<'a>>,
        cx: &mut Context<'_>,
    ) -> Poll<T> {
        while next.as_mut().poll(cx).is_ready() {
            next.set(self.notify.notified());
        }
        Poll::Pending
    }
}

/// Serves a connection from its first request to its last.
pub async fn serve_connection<H: Handler>(
    client: ClientConnection,
    handler: Rc<H>,
    rejector: Rejector,
    shutdown: Rc<ShutdownSignal>,
) {
    let client = Rc::new(RefCell::new(client));
    let mut notified = pin!(shutdown.notify.notified());
    notified.as_mut().enable();
    // What the client may still be sending must not take its answer away from it.
    let unread = loop {
        let (head, bytes) = match next_request(&client, &shutdown, &mut notified).await {
            Arrived::Request(head, bytes) => (head, bytes),
            Arrived::Refused(refusal, bytes) => {
                let connection = client.borrow().connection.clone();
                let (writing, _) =
                    Writing::new(&client, None, rejector.answer(refusal, &bytes, connection));
                // Whether it goes out or not: the connection ends.
                let _ = written(writing, &shutdown, &mut notified).await;
                break true;
            }
            Arrived::Over if shutdown.is_cutting.get() => return,
            Arrived::Over => break client.borrow().is_in_body(),
        };
        let connection = client.borrow().connection.clone();
        let request = Rc::new(RequestHead::new(bytes, head.parts, connection));
        let Some(answer) = call_handler(&client, &*handler, &request).await else {
            return;
        };
        // Whatever else is ready to be read is read before anything is written.
        yield_to_ready_tasks().await;
        let (writing, after) = Writing::new(&client, Some(&request), answer);
        // A stream may be open for hours, and needs no head.
        drop(request);
        match (written(writing, &shutdown, &mut notified).await, after) {
            (Ok(()), After::Next) => client.borrow_mut().rest(),
            (Ok(()), After::Close) => break client.borrow().is_in_body(),
            (Err(_), _) => return,
        }
    };
    // A client that gets its answer only now must see it.
    let late = shutdown.is_cutting.get();
    poll_fn(|cx| match client.borrow_mut().poll_close(cx, unread) {
        Poll::Pending if shutdown.is_cutting.get() && !late => Poll::Ready(()),
        Poll::Pending => shutdown.register(&mut notified, cx),
        closed => closed,
    })
    .await;
}

/// Waits for a request, or until the connection is to end.
async fn next_request<'a>(
    client: &RefCell<ClientConnection>,
    shutdown: &'a ShutdownSignal,
    notified: &mut Pin<&mut Notified<'a>>,
) -> Arrived {
    poll_fn(|cx| {
        let next = client.borrow_mut().poll_request(cx);
        match next {
            Poll::Pending
                if shutdown.is_cutting.get()
                    || (shutdown.has_begun.get() && client.borrow().is_idle()) =>
            {
                Poll::Ready(Arrived::Over)
            }
            Poll::Pending => shutdown.register(notified, cx),
            next => next,
        }
    })
    .await
}

/// The answer to a request; `None`: the client has left, and what was done for it has been given
/// up.
async fn call_handler<H: Handler>(
    client: &Rc<RefCell<ClientConnection>>,
    handler: &H,
    request: &Rc<RequestHead>,
) -> Option<Answer<H::Body>> {
    let payload = match client.borrow().is_in_body() {
        true => Payload::Stream {
            payload: Box::pin(ClientBody(client.clone())) as BoxedPayloadStream,
        },
        false => Payload::None,
    };
    let mut answer = handler.answer(request.clone(), payload);
    poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => client.borrow_mut().poll_left(cx).map(|()| None),
    })
    .await
}

async fn written<'a, B: MessageBody + Unpin>(
    mut writing: Writing<'_, B>,
    shutdown: &'a ShutdownSignal,
    notified: &mut Pin<&mut Notified<'a>>,
) -> io::Result<()> {
    poll_fn(|cx| match writing.poll(cx) {
        // A client that still sends, and has all of its answer but the end, gets the end too.
        Poll::Pending if shutdown.is_cutting.get() && writing.let_go() => writing.poll(cx),
        Poll::Pending if shutdown.is_cutting.get() => {
            Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
        }
        Poll::Pending => shutdown.register(notified, cx),
        written => written,
    })
    .await
}

/// A request's body, or what comes through a WebSocket: it is read when somebody asks for it.
struct ClientBody(Rc<RefCell<ClientConnection>>);

impl Stream for ClientBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_body(cx)
    }
}
