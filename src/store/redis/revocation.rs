//! Telling every gateway which sessions have ended.

use redis::FromRedisValue;

use super::affected::AffectedSessions;
use super::invalidation::announcement::{self, Announcement};
use super::invalidation::publish;
use super::sessions::RedisStore;
use crate::redis_client::{Invocation, WritePlace};
use crate::session::{SessionId, StoreError};

impl RedisStore {
    /// Awaits a call, and announces what it may have ended, also if it fails: whoever repeats it may
    /// find nothing left to end, and so nothing to announce.
    pub(super) async fn announcing<T>(
        &self,
        affected: &AffectedSessions,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let outcome = call.await;
        self.announce_revocation(&affected.take()).await;
        outcome
    }

    /// Runs the script of a removal within [`Self::announcing`]; `ended` says by its answer whether
    /// it has ended anything. A script that was sent again, because its answer was lost, may have
    /// ended something the first time.
    pub(super) async fn run_removal<T: FromRedisValue>(
        &self,
        script: &Invocation<'_>,
        affected: &AffectedSessions,
        ended: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError> {
        let (answer, written) = self.revocations.start(&self.connector, script).await?;
        if ended(&answer) || written.was_repeated() {
            self.announce_and_wait(affected, written).await;
        }
        Ok(answer)
    }

    /// Waits for replicas, and announces meanwhile what has ended: one that is missing takes long.
    pub(super) async fn announce_and_wait(&self, affected: &AffectedSessions, written: WritePlace) {
        if !self.revocations.wait_for_replicas() {
            return;
        }
        let announce = async {
            self.announce_revocation(&affected.named()).await;
            // Not before: if the operation's time ends meanwhile, it is announced once more.
            affected.none();
        };
        tokio::join!(announce, self.revocations.wait(&self.connector, written));
    }

    /// Redis has ended these sessions, or may have: before the caller gets an answer, every worker of this
    /// process forgets them, and the revocation is published. Gateways that it does not reach learn of
    /// it from Redis itself, or read again within `max_stale`.
    pub(super) async fn announce_revocation(&self, ids: &[SessionId]) {
        let Some(invalidation) = self.invalidation.as_ref().filter(|_| !ids.is_empty()) else {
            return;
        };
        invalidation.drop_from_near_caches(ids);
        if !invalidation.announces() {
            return;
        }
        let channel = announcement::revocations(self.keys.prefix());
        let revoked = Announcement::Revoked(ids.to_vec());
        let published = async {
            let publish = publish(&self.connector, &channel, &revoked);
            match tokio::time::timeout(self.connector.answer_timeout(), publish).await {
                Ok(outcome) => Ok(outcome?),
                Err(_) => Err(StoreError::new("no answer to PUBLISH in time")),
            }
        };
        if let Err(error) = self.meter.watch("publish", published).await {
            let level = if invalidation.is_pushed_by_redis() {
                log::Level::Debug
            } else {
                log::Level::Warn
            };
            log::log!(
                level,
                "cannot publish a revocation: other gateways may serve the session for max_stale: {error}"
            );
        }
    }
}
