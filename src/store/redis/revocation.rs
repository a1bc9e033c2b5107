//! Every gateway is to hear what has ended.

use super::announcement::{self, Announcement};
use super::sessions::RedisSessionStore;
use super::subscription::publish;
use crate::session::{SessionId, StoreError};

impl RedisSessionStore {
    /// Redis has ended these sessions: no worker of this process serves them from now on, and the
    /// other gateways are told, before the caller is answered. Those that cannot be told hear of it
    /// from Redis itself, or read again within `max_stale`.
    pub(super) async fn revoked(&self, ids: &[SessionId]) {
        let Some(push) = self.push.as_ref().filter(|_| !ids.is_empty()) else {
            return;
        };
        push.revoked(ids);
        if !push.announces() {
            return;
        }
        let (channel, said) = (
            announcement::revocations(self.keys.prefix()),
            Announcement::Revoked(ids.to_vec()),
        );
        let published = async {
            let answer = tokio::time::timeout(
                self.connector.answer_timeout(),
                publish(&self.connector, &channel, &said),
            )
            .await;
            match answer {
                Ok(answer) => answer.map_err(StoreError::from),
                Err(_) => Err(StoreError::new("no answer to PUBLISH in time")),
            }
        };
        if let Err(error) = self.meter.watch("publish", published).await {
            let level = if push.is_told_by_redis() {
                log::Level::Debug
            } else {
                log::Level::Warn
            };
            log::log!(
                level,
                "revocation stored, but not published: other gateways may serve the session for max_stale: {error}"
            );
        }
    }
}
