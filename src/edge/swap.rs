//! The application of a worker, which another takes the place of when the configuration has been read again. A request is answered by the
//! one or by the other from its beginning to its end, and pays nothing for it.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_http::Request;
use actix_service::{Service, ServiceFactory};
use actix_web::dev::AppConfig;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What applications are made from.
#[derive(Debug)]
pub struct Edition<T> {
    /// The thing itself.
    pub content: T,
    taken: mpsc::UnboundedSender<()>,
}

/// The applications of all workers: `start` is called once in each worker, and what it gives makes an application of each edition.
pub struct Swapping<F, T> {
    /// The beginning of a worker.
    pub start: F,
    /// The editions.
    pub editions: watch::Receiver<Arc<Edition<T>>>,
}

impl<F: Clone, T> Clone for Swapping<F, T> {
    fn clone(&self) -> Self {
        Self { start: self.start.clone(), editions: self.editions.clone() }
    }
}

/// The application of one worker.
pub struct Swapped<S> {
    current: Rc<RefCell<S>>,
    task: JoinHandle<()>,
}

impl<T> Edition<T> {
    /// An edition, and what hears of each worker that has taken it.
    #[must_use]
    pub fn new(content: T) -> (Arc<Self>, mpsc::UnboundedReceiver<()>) {
        let (taken, hears) = mpsc::unbounded_channel();
        (Arc::new(Self { content, taken }), hears)
    }

    fn take(&self) {
        // Nobody needs to wait for it.
        let _ = self.taken.send(());
    }
}

impl<F, M, T, S> ServiceFactory<Request> for Swapping<F, T>
where
    F: Fn() -> M,
    M: FnMut(&T) -> S + 'static,
    T: 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::InitError: Debug,
{
    type Response = S::Response;
    type Error = S::Error;
    type Config = ();
    type Service = Swapped<S::Service>;
    type InitError = S::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (mut make, mut editions) = ((self.start)(), self.editions.clone());
        Box::pin(async move {
            let first = editions.borrow_and_update().clone();
            let current = Rc::new(RefCell::new(make(&first.content).new_service(AppConfig::default()).await?));
            first.take();
            let place = current.clone();
            let task = actix_web::rt::spawn(async move {
                while editions.changed().await.is_ok() {
                    let edition = editions.borrow_and_update().clone();
                    match make(&edition.content).new_service(AppConfig::default()).await {
                        // Requests under way keep what they need of the old one.
                        Ok(next) => drop(place.replace(next)),
                        Err(error) => log::error!("a worker goes on with the configuration of before: {error:?}"),
                    }
                    edition.take();
                }
            });
            Ok(Swapped { current, task })
        })
    }
}

impl<S: Service<Request>> Service<Request> for Swapped<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.current.borrow().poll_ready(cx)
    }

    fn call(&self, request: Request) -> Self::Future {
        self.current.borrow().call(request)
    }
}

impl<S> Drop for Swapped<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
