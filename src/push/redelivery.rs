//! Messages that were acknowledged and that the backend has not taken yet. Every gateway looks for
//! those that are due; the store gives each to one of them at a time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::backend::{BackendError, DELIVERY_MAX, Delivery, PushBackend};
use super::messages::{MessageId, PushMessages};
use super::settings::PushSettings;
use super::times::{FIRST_RETRY, KEPT_FOR, LAST_RETRY, REPEATED_WITHIN};
use crate::backoff;
use crate::clock::UnixMillis;
use crate::metrics::{AppOutcome, Metrics};
use crate::session::StoreError;

/// How often it is looked for messages that are due.
const LOOK: Duration = Duration::from_secs(2);
/// The same after the store has failed, at most.
const LOOK_LATER: Duration = Duration::from_secs(30);
/// How many are delivered at once.
const BATCH: usize = 16;
/// How long a message is another gateway's that has taken it.
const LEASE: Duration = Duration::from_secs(DELIVERY_MAX.as_secs() + 5);

/// Delivers the kept messages of one app: those that came for its name, and for its authorizers.
pub struct Redelivery {
    pub settings: Arc<PushSettings>,
    pub store: Arc<dyn PushMessages>,
    pub backend: Rc<dyn PushBackend>,
    pub metrics: Arc<Metrics>,
}

impl Redelivery {
    /// Looks for messages again and again. Once it is over it takes no more, and those under way
    /// come to their end.
    pub async fn run(self, is_over: impl Fn() -> bool) {
        let mut failures = 0;
        while !is_over() {
            let wait = match self.round().await {
                Ok(BATCH) => Duration::ZERO,
                Ok(_) => {
                    failures = 0;
                    backoff::jittered(LOOK, LOOK, 1)
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        log::warn!(app = &*self.settings.app; "cannot look for kept messages: {error}");
                    }
                    backoff::jittered(LOOK, LOOK_LATER, failures)
                }
            };
            sleep(wait).await;
        }
    }

    /// Delivers what is due now; how many that were.
    pub async fn round(&self) -> Result<usize, StoreError> {
        let owner = self.settings.owner();
        let due = self.store.take_due(owner, LEASE, BATCH).await?;
        self.metrics
            .platform
            .pushes_kept(&self.settings.app, due.kept);
        let deliveries = due.messages.iter().map(|id| self.deliver(id, due.now));
        let outcomes = join_all(deliveries).await;
        let failures: Vec<String> = outcomes.into_iter().flatten().collect();
        if let Some(why) = failures.first() {
            log::warn!(app = &*self.settings.app; "{} kept messages were not delivered and will be tried again, such as: {why}", failures.len());
        }
        Ok(due.messages.len())
    }

    /// Why a message was not delivered.
    async fn deliver(&self, id: &MessageId, now: UnixMillis) -> Option<String> {
        match self.try_deliver(id, now).await {
            Ok(outcome) => outcome.err().map(|why| why.reason),
            // It is taken up again after the lease.
            Err(error) => Some(error.to_string()),
        }
    }

    async fn try_deliver(
        &self,
        id: &MessageId,
        now: UnixMillis,
    ) -> Result<Result<(), BackendError>, StoreError> {
        let settings = &self.settings;
        let app = &*settings.app;
        let owner = settings.owner();
        let Some(message) = self.store.kept(owner, id).await? else {
            self.store.unlist(owner, id).await?;
            return Ok(Ok(()));
        };
        let age = now.since(message.since);
        if age >= KEPT_FOR {
            log::error!(app; "a pushed message is dropped: the backend has not taken it for 24 h");
            self.count("dropped");
            self.store.drop_kept(owner, id).await?;
            return Ok(Ok(()));
        }
        let delivery = Delivery {
            settings,
            content: &message.content,
        };
        match self.backend.deliver(delivery).await {
            Ok(answer) => {
                log::info!(app; "a kept message was delivered after {} s", age.as_secs());
                self.count("delivered");
                self.store
                    .delivered(owner, id, &answer, REPEATED_WITHIN)
                    .await?;
                Ok(Ok(()))
            }
            Err(why) => {
                self.count("failed");
                let due_in = next_try(age);
                self.store.postpone(owner, id, due_in).await?;
                Ok(Err(why))
            }
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics
            .platform
            .push_redeliveries
            .get_or_create(&AppOutcome::new(&self.settings.app, outcome))
            .inc();
    }
}

/// As long again as the message is old: each wait is twice the one before. With jitter, so that
/// many that failed together do not come back together.
fn next_try(age: Duration) -> Duration {
    let whole = age.clamp(FIRST_RETRY, LAST_RETRY);
    backoff::jittered(whole, whole, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rarer() {
        for (age, longest) in [(0, 2), (3, 3), (60, 60), (1000, 300), (86_000, 300)] {
            let wait = next_try(Duration::from_secs(age));
            let longest = Duration::from_secs(longest);
            assert!(wait >= longest / 2 && wait <= longest, "{age}: {wait:?}");
        }
    }
}
