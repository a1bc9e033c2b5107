//! What becomes of a message: the backend gets it once, and the platform an answer in time. Nothing
//! is acknowledged that the backend has not taken or the store does not keep.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::backend::{BackendError, DELIVERY_MAX, Delivery, PushBackend};
use super::envelope::{Envelope, PushRefusal, PushedMessage};
use super::messages::{MessageId, PushClaim, PushMessages};
use super::settings::PushSettings;
use super::times::{FIRST_RETRY, REPEATED_WITHIN, STORED_FOR};
use crate::backoff;
use crate::clock::{Clock, monotonic_now};
use crate::detached::detached;
use crate::metrics::{AppOutcome, Metrics};
use crate::session::StoreError;

/// Platforms wait for five seconds: so long a backend has, and the rest is for the store.
const ANSWER_WITHIN: Duration = Duration::from_millis(4500);
/// A reservation outlasts the wait for the backend by so much. Platforms come again after five
/// seconds: then that of a gateway that has died must soon be over.
const LEASE_MARGIN: Duration = Duration::from_millis(1500);
/// The first and the longest wait for a message that somebody else delivers.
const FOLLOW: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// Receives the messages of all apps. Cheap to clone.
#[derive(Clone)]
pub struct PushReceiver(Rc<Shared>);

struct Shared {
    apps: Vec<Arc<PushSettings>>,
    store: Arc<dyn PushMessages>,
    backend: Rc<dyn PushBackend>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What the platform gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushAnswer {
    pub media_type: &'static str,
    pub body: Vec<u8>,
}

/// The message was neither delivered nor kept: the platform is to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message was neither delivered nor kept")]
pub struct Undelivered;

/// A message, and where it belongs.
struct Received {
    settings: Arc<PushSettings>,
    id: MessageId,
    message: PushedMessage,
    deadline: Instant,
}

/// What the store says of a message.
enum Found {
    Lead([u8; 16]),
    Answer(Vec<u8>),
    /// Somebody else is at it for longer than the platform waits.
    Busy,
    StoreDown(StoreError),
}

type Outcome = Result<Vec<u8>, BackendError>;

impl PushReceiver {
    #[must_use]
    pub fn new(
        apps: Vec<Arc<PushSettings>>,
        store: Arc<dyn PushMessages>,
        backend: Rc<dyn PushBackend>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self(Rc::new(Shared {
            apps,
            store,
            backend,
            clock,
            metrics,
        }))
    }

    /// An app that takes messages.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&Arc<PushSettings>> {
        self.0.apps.iter().find(|settings| *settings.app == *name)
    }

    /// Counts a message that is refused, and tells operators what they can mend.
    pub fn refused(&self, settings: &PushSettings, refusal: PushRefusal) {
        self.0.count(settings, "refused");
        // Whoever signs it has the app's Token, so its own settings do not fit.
        if let PushRefusal::Invalid(why) = refusal {
            log::warn!(app = &*settings.app; "a pushed message is signed and refused: {why}");
        }
    }

    /// Counts what came of a message that no backend gets.
    pub fn count(&self, settings: &PushSettings, outcome: &'static str) {
        self.0.count(settings, outcome);
    }

    /// Delivers or keeps a message. It goes on to its end when the platform leaves meanwhile.
    pub async fn receive(
        &self,
        settings: &Arc<PushSettings>,
        message: PushedMessage,
    ) -> Result<PushAnswer, Undelivered> {
        let received = Received {
            settings: settings.clone(),
            id: self.0.store.id(
                settings.owner(),
                message.content.authorizer.as_deref(),
                &message.key,
            ),
            message,
            deadline: monotonic_now() + ANSWER_WITHIN,
        };
        let shared = self.0.clone();
        let handled = detached(async move { shared.handle(received).await });
        handled.await.unwrap_or(Err(Undelivered))
    }
}

impl Shared {
    async fn handle(self: Rc<Self>, received: Received) -> Result<PushAnswer, Undelivered> {
        let received = Rc::new(received);
        let (outcome, answer) = match self.find(&received).await {
            Found::Answer(answer) => ("repeated", Ok(answer)),
            Found::Busy => ("busy", Err(Undelivered)),
            Found::Lead(ticket) => self.lead(&received, &ticket).await,
            Found::StoreDown(error) => self.alone(&received, &error).await,
        };
        self.count(&received.settings, outcome);
        let message = &received.message;
        let now = self.clock.unix_now();
        let envelope = Envelope(&received.settings);
        let format = message.content.format;
        let (media_type, body) = envelope.answer(format, message.is_sealed, answer?, now);
        Ok(PushAnswer { media_type, body })
    }

    /// Reserves the message; waits while somebody else delivers it.
    async fn find(&self, received: &Received) -> Found {
        let owner = received.settings.owner();
        let lease = ANSWER_WITHIN + LEASE_MARGIN;
        for attempt in 1.. {
            match self.store.claim(owner, &received.id, lease).await {
                Ok(PushClaim::Leader { ticket }) => return Found::Lead(ticket),
                Ok(PushClaim::Kept) => return Found::Answer(Vec::new()),
                Ok(PushClaim::Delivered(answer)) => return Found::Answer(answer),
                Ok(PushClaim::Pending) => {}
                Err(error) => return Found::StoreDown(error),
            }
            if monotonic_now() >= received.deadline {
                break;
            }
            sleep(backoff::jittered(FOLLOW.0, FOLLOW.1, attempt)).await;
        }
        Found::Busy
    }

    async fn lead(
        self: &Rc<Self>,
        received: &Rc<Received>,
        ticket: &[u8; 16],
    ) -> (&'static str, Result<Vec<u8>, Undelivered>) {
        let app = &*received.settings.app;
        let mut delivery = self.deliver(received);
        let in_time = timeout(received.time_left(), &mut delivery).await;
        let is_under_way = in_time.is_err();
        let due_in = match in_time {
            Ok(outcome) => match taken(outcome) {
                Ok(answer) => {
                    self.settle(received, &answer).await;
                    return ("delivered", Ok(answer));
                }
                Err(why) => {
                    log::warn!(app; "a pushed message was not delivered, and is kept to be delivered later: {why}");
                    FIRST_RETRY
                }
            },
            Err(_) => {
                log::warn!(app; "the platform does not wait as long as the backend takes, so a pushed message is acknowledged, and kept until the backend has it");
                // Nobody else delivers it as long as this one may still come to an end.
                DELIVERY_MAX + LEASE_MARGIN
            }
        };
        let kept = self.keep(received, due_in).await;
        let is_kept = kept.is_ok();
        if let Err(error) = kept {
            log::error!(app; "a pushed message can be neither delivered nor kept, so the platform is to send it again: {error}");
        }
        if is_under_way {
            // It may have come to its end while the message was being kept.
            let (shared, received, ticket) = (self.clone(), received.clone(), *ticket);
            spawn_local(async move {
                shared
                    .end(&received, taken(delivery.await), is_kept, &ticket)
                    .await;
            });
        } else if !is_kept {
            self.release(received, ticket).await;
        }
        if is_kept {
            ("kept", Ok(Vec::new()))
        } else {
            ("undelivered", Err(Undelivered))
        }
    }

    /// Without the store: a message that comes again reaches the backend again.
    async fn alone(
        self: &Rc<Self>,
        received: &Rc<Received>,
        down: &StoreError,
    ) -> (&'static str, Result<Vec<u8>, Undelivered>) {
        let app = &*received.settings.app;
        let why = match timeout(received.time_left(), self.deliver(received)).await {
            Ok(outcome) => match taken(outcome) {
                Ok(answer) => return ("delivered", Ok(answer)),
                Err(why) => why.reason,
            },
            Err(_) => "no answer in time".to_owned(),
        };
        log::error!(app; "a pushed message can be neither delivered nor kept, so the platform is to send it again: {why}; {down}");
        ("undelivered", Err(Undelivered))
    }

    /// Delivers in a task of its own, which nobody cuts off.
    fn deliver(self: &Rc<Self>, received: &Rc<Received>) -> JoinHandle<Outcome> {
        let (backend, received) = (self.backend.clone(), received.clone());
        spawn_local(async move {
            backend
                .deliver(Delivery {
                    settings: &received.settings,
                    content: &received.message.content,
                })
                .await
        })
    }

    /// The end of a delivery that took longer than the platform waited.
    async fn end(&self, received: &Received, outcome: Outcome, is_kept: bool, ticket: &[u8; 16]) {
        let app = &*received.settings.app;
        match outcome {
            Ok(answer) => self.settle(received, &answer).await,
            Err(why) if is_kept => {
                log::warn!(app; "a pushed message was not delivered, and is delivered later: {why}");
                let owner = received.settings.owner();
                let postponed = self.store.postpone(owner, &received.id, FIRST_RETRY);
                if let Err(error) = postponed.await {
                    log::debug!(app; "a kept message is due later than it could be: {error}");
                }
            }
            Err(_) => self.release(received, ticket).await,
        }
    }

    async fn keep(&self, received: &Received, due_in: Duration) -> Result<(), StoreError> {
        let message = &received.message.content;
        let owner = received.settings.owner();
        let kept = self
            .store
            .keep(owner, &received.id, message, due_in, STORED_FOR);
        kept.await
    }

    /// The backend has the message, whether or not that can be noted.
    async fn settle(&self, received: &Received, answer: &[u8]) {
        let owner = received.settings.owner();
        let noted = self
            .store
            .delivered(owner, &received.id, answer, REPEATED_WITHIN);
        if let Err(error) = noted.await {
            log::warn!(app = &*received.settings.app; "a pushed message was delivered, but the store does not know it: if it comes again, it is delivered again: {error}");
        }
    }

    async fn release(&self, received: &Received, ticket: &[u8; 16]) {
        let owner = received.settings.owner();
        if let Err(error) = self.store.release(owner, &received.id, ticket).await {
            log::debug!("a reservation lapses by itself: {error}");
        }
    }

    fn count(&self, settings: &PushSettings, outcome: &'static str) {
        self.metrics
            .platform
            .pushes
            .get_or_create(&AppOutcome::new(&settings.app, outcome))
            .inc();
    }
}

impl Received {
    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(monotonic_now())
    }
}

/// What came of a task that delivers.
fn taken(outcome: Result<Outcome, tokio::task::JoinError>) -> Outcome {
    outcome.unwrap_or_else(|_| {
        Err(BackendError {
            reason: "the delivery broke off".to_owned(),
        })
    })
}
