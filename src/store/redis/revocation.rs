//! Telling every gateway which sessions have ended.

use super::affected::AffectedSessions;
use super::invalidation::announcement::{self, Announcement};
use super::invalidation::publish;
use super::sessions::RedisStore;
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
