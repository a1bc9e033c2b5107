//! Messages that platforms push.

use std::time::Duration;

use async_trait::async_trait;
use redis::cmd;

use super::invalidation::server_clock::store_time;
use super::sessions::RedisStore;
use crate::clock::millis;
use crate::crypto::random;
use crate::push::{
    DueMessages, KeptMessage, MessageContent, MessageId, MessageKey, PushClaim, PushMessages,
    PushOwner,
};
use crate::redis_client::Request;
use crate::session::StoreError;
use crate::store::pushed;
use crate::store::sealed::Unreadable;

/// The states that `scripts/claim_push.lua` answers with.
const LEADER: u8 = 0;
const DELIVERED: u8 = 2;
const KEPT: u8 = 3;

impl RedisStore {
    async fn claim_push(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        lease: Duration,
    ) -> Result<PushClaim, StoreError> {
        let key = self.keys.pushed(owner, id);
        let ticket: [u8; 16] = random::bytes();
        let mut script = self.scripts.claim_push.key(key.clone());
        // Redis refuses an expiry of nothing.
        script.arg(&ticket).arg(millis(lease).max(1));
        let (state, answer): (u8, Vec<u8>) = self.connector.call(&Request::Script(&script)).await?;
        Ok(match state {
            LEADER => PushClaim::Leader { ticket },
            DELIVERED => PushClaim::Delivered(pushed::open_answer(&self.sealer, &key, &answer)),
            KEPT => PushClaim::Kept,
            _ => PushClaim::Pending,
        })
    }

    /// As a revocation, it waits for replicas if the operator wants that.
    async fn keep_push(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        content: &MessageContent,
        due_in: Duration,
        span: Duration,
    ) -> Result<(), StoreError> {
        let time = self.connector.call(&Request::Command(&cmd("TIME"))).await?;
        let message = KeptMessage {
            since: store_time(time),
            content: content.clone(),
        };
        let key = self.keys.pushed(owner, id);
        let sealed = pushed::seal_kept(&self.sealer, &key, &message);
        let mut script = self.scripts.keep_push.key(key);
        script.key(self.keys.due(owner));
        script
            .arg(sealed)
            .arg(millis(due_in))
            .arg(millis(span).max(1));
        script.arg(id);
        let kept = self
            .revocations
            .run(&self.connector, &script, |kept: &bool| *kept);
        kept.await.map(|_| ())
    }

    async fn settle_push(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        answer: &[u8],
        span: Duration,
    ) -> Result<(), StoreError> {
        let key = self.keys.pushed(owner, id);
        let sealed = pushed::seal_answer(&self.sealer, &key, answer);
        let mut script = self.scripts.settle_push.key(key);
        script.key(self.keys.due(owner));
        script.arg(sealed).arg(millis(span).max(1)).arg(id);
        Ok(self.connector.call(&Request::Script(&script)).await?)
    }

    async fn take_pushes(
        &self,
        owner: PushOwner<'_>,
        lease: Duration,
        most: usize,
    ) -> Result<DueMessages, StoreError> {
        let mut script = self.scripts.take_pushes.key(self.keys.due(owner));
        script.arg(millis(lease)).arg(most);
        let (seconds, micros, kept, names): (u64, u64, u64, Vec<Vec<u8>>) =
            self.connector.call(&Request::Script(&script)).await?;
        let messages = names.into_iter().filter_map(|name| name.try_into().ok());
        Ok(DueMessages {
            now: store_time((seconds, micros)),
            messages: messages.collect(),
            kept,
        })
    }

    async fn kept_push(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
    ) -> Result<Option<KeptMessage>, StoreError> {
        let key = self.keys.pushed(owner, id);
        let mut get = cmd("GET");
        get.arg(&key);
        let stored: Option<Vec<u8>> = self.connector.call(&Request::Command(&get)).await?;
        let Some(stored) = stored.filter(|stored| stored.first() == Some(&pushed::KEPT)) else {
            return Ok(None);
        };
        match pushed::open_kept(&self.sealer, &key, &stored) {
            Ok(message) => Ok(Some(message)),
            Err(Unreadable(why)) => Err(pushed::unreadable(why)),
        }
    }

    /// `None`: the message is dropped.
    async fn postpone_push(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        due_in: Option<Duration>,
    ) -> Result<(), StoreError> {
        let key = self.keys.pushed(owner, id);
        let mut script = self.scripts.postpone_push.key(key);
        script.key(self.keys.due(owner)).arg(id);
        match due_in {
            Some(span) => script.arg(millis(span)),
            None => script.arg(""),
        };
        Ok(self.connector.call(&Request::Script(&script)).await?)
    }
}

#[async_trait]
impl PushMessages for RedisStore {
    fn id(&self, owner: PushOwner<'_>, authorizer: Option<&str>, key: &MessageKey) -> MessageId {
        self.keys.message_id(owner, authorizer, key)
    }

    async fn claim(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        lease: Duration,
    ) -> Result<PushClaim, StoreError> {
        let claim = self.claim_push(owner, id, lease);
        self.meter.watch("claim_push", claim).await
    }

    async fn release(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        ticket: &[u8; 16],
    ) -> Result<(), StoreError> {
        let release = async {
            let key = self.keys.pushed(owner, id);
            let mut script = self.scripts.release_token.key(key);
            script.arg(ticket);
            let _released: bool = self.connector.call(&Request::Script(&script)).await?;
            Ok(())
        };
        self.meter.watch("release_push", release).await
    }

    async fn keep(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        message: &MessageContent,
        due_in: Duration,
        span: Duration,
    ) -> Result<(), StoreError> {
        let keep = self.in_time(self.keep_push(owner, id, message, due_in, span));
        self.meter.watch("keep_push", keep).await
    }

    async fn delivered(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        answer: &[u8],
        span: Duration,
    ) -> Result<(), StoreError> {
        let settle = self.settle_push(owner, id, answer, span);
        self.meter.watch("settle_push", settle).await
    }

    async fn take_due(
        &self,
        owner: PushOwner<'_>,
        lease: Duration,
        most: usize,
    ) -> Result<DueMessages, StoreError> {
        let take = self.take_pushes(owner, lease, most);
        self.meter.watch("take_pushes", take).await
    }

    async fn kept(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
    ) -> Result<Option<KeptMessage>, StoreError> {
        let kept = self.kept_push(owner, id);
        self.meter.watch("kept_push", kept).await
    }

    async fn unlist(&self, owner: PushOwner<'_>, id: &MessageId) -> Result<(), StoreError> {
        let unlist = async {
            let mut script = self.scripts.unlist_push.key(self.keys.pushed(owner, id));
            script.key(self.keys.due(owner)).arg(id);
            Ok(self.connector.call(&Request::Script(&script)).await?)
        };
        self.meter.watch("unlist_push", unlist).await
    }

    async fn postpone(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        due_in: Duration,
    ) -> Result<(), StoreError> {
        let postpone = self.postpone_push(owner, id, Some(due_in));
        self.meter.watch("postpone_push", postpone).await
    }

    async fn drop_kept(&self, owner: PushOwner<'_>, id: &MessageId) -> Result<(), StoreError> {
        let drop = self.postpone_push(owner, id, None);
        self.meter.watch("drop_push", drop).await
    }
}
