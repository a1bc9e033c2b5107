//! What a worker answers with, which another takes the place of when the configuration has been
//! read again. A request is answered by the one or by the other from its beginning to its end, and
//! pays nothing for it.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::Request;
use actix_service::{IntoServiceFactory, ServiceFactory};
use actix_web::dev::{AppConfig, Payload};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::edge::conversation::Handler;
use crate::edge::lanes::Lanes;
use crate::http::RequestHead;

/// What applications are made from.
#[derive(Debug)]
pub struct Edition<T> {
    /// The thing itself.
    pub content: T,
    taken: mpsc::UnboundedSender<()>,
}

/// The applications of all workers: `start` is called once in each worker, and what it gives makes
/// an application of each edition.
pub struct Swapping<F, T> {
    /// The beginning of a worker.
    pub start: F,
    /// The editions.
    pub editions: watch::Receiver<Arc<Edition<T>>>,
}

impl<F: Clone, T> Clone for Swapping<F, T> {
    fn clone(&self) -> Self {
        Self {
            start: self.start.clone(),
            editions: self.editions.clone(),
        }
    }
}

/// What one worker answers with.
#[derive(Debug)]
pub struct Swapped<L> {
    current: Rc<RefCell<Rc<L>>>,
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

impl<F, T> Swapping<F, T> {
    /// Begins in a worker, with the edition of now.
    pub async fn begin<M, D, I, S>(self) -> Result<Swapped<Lanes<D, Rc<S::Service>>>, S::InitError>
    where
        F: Fn() -> M,
        M: FnMut(&T) -> Lanes<D, I> + 'static,
        T: 'static,
        D: 'static,
        I: IntoServiceFactory<S, Request> + 'static,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::InitError: Debug,
    {
        let (mut make, mut editions) = ((self.start)(), self.editions);
        let first = editions.borrow_and_update().clone();
        let current = Rc::new(RefCell::new(Rc::new(ready(make(&first.content)).await?)));
        first.take();
        let place = current.clone();
        let task = actix_web::rt::spawn(async move {
            while editions.changed().await.is_ok() {
                let edition = editions.borrow_and_update().clone();
                match ready(make(&edition.content)).await {
                    // Requests under way keep what they need of the old one.
                    Ok(next) => drop(place.replace(Rc::new(next))),
                    Err(error) => {
                        log::error!("a worker goes on with the configuration of before: {error:?}");
                    }
                }
                edition.take();
            }
        });
        Ok(Swapped { current, task })
    }
}

/// With the application set up.
async fn ready<D, I, S>(lanes: Lanes<D, I>) -> Result<Lanes<D, Rc<S::Service>>, S::InitError>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig>,
{
    let application = Rc::new(
        lanes
            .application
            .into_factory()
            .new_service(AppConfig::default())
            .await?,
    );
    Ok(Lanes {
        direct: lanes.direct,
        application,
    })
}

impl<L: Handler> Handler for Swapped<L> {
    type Body = L::Body;
    type Answering = L::Answering;

    fn answer(&self, head: Rc<RequestHead>, payload: Payload) -> L::Answering {
        self.current.borrow().answer(head, payload)
    }
}

impl<L> Drop for Swapped<L> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
