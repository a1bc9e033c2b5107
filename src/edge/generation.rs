//! Each worker's application, made again for every generation of the configuration. One generation
//! answers a request from its beginning to its end. A reload costs requests nothing.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::Request;
use actix_service::{IntoServiceFactory, ServiceFactory};
use actix_web::dev::{AppConfig, Payload};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::edge::dispatcher::Dispatcher;
use crate::edge::h1::connection::Handler;
use crate::http::RequestHead;

/// What one load of the configuration made; the workers make their applications from it.
#[derive(Debug)]
pub struct ConfigGeneration<T> {
    pub content: T,
    taken: mpsc::UnboundedSender<()>,
}

/// Makes the applications of all workers: `start` runs once in each worker and returns a function
/// that makes an application from each generation.
pub struct ReloadableApp<F, T> {
    pub start: F,
    pub generations: watch::Receiver<Arc<ConfigGeneration<T>>>,
}

/// The application that one worker currently answers with.
#[derive(Debug)]
pub struct CurrentApp<L> {
    current: Rc<RefCell<Rc<L>>>,
    task: JoinHandle<()>,
}

impl<T> ConfigGeneration<T> {
    /// A generation, and a receiver that gets one message from each worker that has taken it over.
    pub fn new(content: T) -> (Arc<Self>, mpsc::UnboundedReceiver<()>) {
        let (taken, hears) = mpsc::unbounded_channel();
        (Arc::new(Self { content, taken }), hears)
    }

    fn take(&self) {
        // Nobody needs to wait for it.
        let _ = self.taken.send(());
    }
}

impl<F, T> ReloadableApp<F, T> {
    /// Starts a worker with the current generation.
    pub async fn begin<M, D, I, S>(
        &self,
    ) -> Result<CurrentApp<Dispatcher<D, Rc<S::Service>>>, S::InitError>
    where
        F: Fn() -> M,
        M: FnMut(&T) -> Dispatcher<D, I> + 'static,
        T: 'static,
        D: 'static,
        I: IntoServiceFactory<S, Request> + 'static,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::InitError: Debug,
    {
        let mut make = (self.start)();
        let mut generations = self.generations.clone();
        let first = generations.borrow_and_update().clone();
        let current = Rc::new(RefCell::new(Rc::new(ready(make(&first.content)).await?)));
        first.take();
        let place = current.clone();
        let task = actix_web::rt::spawn(async move {
            while generations.changed().await.is_ok() {
                let generation = generations.borrow_and_update().clone();
                match ready(make(&generation.content)).await {
                    // Requests under way keep what they need of the old one.
                    Ok(next) => drop(place.replace(Rc::new(next))),
                    Err(error) => {
                        log::error!("a worker keeps the previous configuration: {error:?}");
                    }
                }
                generation.take();
            }
        });
        Ok(CurrentApp { current, task })
    }
}

/// Sets the application up.
async fn ready<D, I, S>(
    dispatcher: Dispatcher<D, I>,
) -> Result<Dispatcher<D, Rc<S::Service>>, S::InitError>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig>,
{
    let application = Rc::new(
        dispatcher
            .application
            .into_factory()
            .new_service(AppConfig::default())
            .await?,
    );
    Ok(Dispatcher {
        fast_path: dispatcher.fast_path,
        application,
    })
}

impl<L: Handler> Handler for CurrentApp<L> {
    type Body = L::Body;
    type Answering = L::Answering;

    fn answer(&self, head: Rc<RequestHead>, payload: Payload) -> L::Answering {
        self.current.borrow().answer(head, payload)
    }
}

impl<L> Drop for CurrentApp<L> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
