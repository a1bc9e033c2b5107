//! Messages that platforms push.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::entries::{Entries, StoredValue};
use super::store::MemoryStore;
use crate::clock::UnixMillis;
use crate::crypto::random;
use crate::push::{
    DueMessages, KeptMessage, MessageContent, MessageId, MessageKey, PushClaim, PushMessages,
    PushOwner,
};
use crate::session::StoreError;
use crate::store::pushed;
use crate::store::sealed::Unreadable;

impl Entries {
    fn due(&self, key: &str) -> BTreeMap<MessageId, UnixMillis> {
        match self.value(key) {
            Some(StoredValue::Due(messages)) => messages.clone(),
            _ => BTreeMap::new(),
        }
    }

    fn change_due(
        &mut self,
        key: &str,
        expiry: UnixMillis,
        change: impl FnOnce(&mut BTreeMap<MessageId, UnixMillis>),
    ) {
        let mut messages = self.due(key);
        change(&mut messages);
        if messages.is_empty() {
            self.remove(key);
        } else {
            self.put(key.to_owned(), expiry, StoredValue::Due(messages));
        }
    }

    /// The same, and the list ends when it would have ended.
    fn edit_due(&mut self, key: &str, change: impl FnOnce(&mut BTreeMap<MessageId, UnixMillis>)) {
        if let Some(expiry) = self.by_key.get(key).map(|entry| entry.expiry) {
            self.change_due(key, expiry, change);
        }
    }

    fn kept(&self, key: &str) -> Option<&[u8]> {
        let stored = self.bytes(key)?;
        (stored.first() == Some(&pushed::KEPT)).then_some(stored)
    }
}

impl MemoryStore {
    fn postpone_or_drop(
        &self,
        operation: &'static str,
        owner: PushOwner<'_>,
        id: &MessageId,
        due_in: Option<Duration>,
    ) -> Result<(), StoreError> {
        self.run(operation, |entries, now| {
            let key = self.keys.pushed(owner, id);
            let is_kept = entries.kept(&key).is_some();
            match due_in.filter(|_| is_kept) {
                Some(span) => entries.edit_due(&self.keys.due(owner), |due| {
                    due.insert(*id, now.plus(span));
                }),
                None => {
                    if is_kept {
                        entries.remove(&key);
                    }
                    entries.edit_due(&self.keys.due(owner), |due| {
                        due.remove(id);
                    });
                }
            }
            Ok(())
        })
    }
}

#[async_trait]
impl PushMessages for MemoryStore {
    fn id(&self, owner: PushOwner<'_>, authorizer: Option<&str>, key: &MessageKey) -> MessageId {
        self.keys.message_id(owner, authorizer, key)
    }

    async fn claim(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        lease: Duration,
    ) -> Result<PushClaim, StoreError> {
        self.run("claim_push", |entries, now| {
            let key = self.keys.pushed(owner, id);
            Ok(match entries.value(&key) {
                None => {
                    let ticket = random::bytes();
                    entries.put(key, now.plus(lease), StoredValue::Pending(ticket));
                    PushClaim::Leader { ticket }
                }
                Some(StoredValue::Bytes(stored)) if stored.first() == Some(&pushed::KEPT) => {
                    PushClaim::Kept
                }
                Some(StoredValue::Bytes(stored)) => {
                    PushClaim::Delivered(pushed::open_answer(&self.sealer, &key, stored))
                }
                Some(_) => PushClaim::Pending,
            })
        })
    }

    async fn release(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        ticket: &[u8; 16],
    ) -> Result<(), StoreError> {
        self.run("release_push", |entries, now| {
            let _ = entries.settle(&self.keys.pushed(owner, id), ticket, None, now);
            Ok(())
        })
    }

    async fn keep(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        content: &MessageContent,
        due_in: Duration,
        span: Duration,
    ) -> Result<(), StoreError> {
        self.run("keep_push", |entries, now| {
            let key = self.keys.pushed(owner, id);
            if entries.bytes(&key).is_some() {
                return Ok(());
            }
            let message = KeptMessage {
                since: now,
                content: content.clone(),
            };
            let sealed = pushed::seal_kept(&self.sealer, &key, &message);
            entries.put(key, now.plus(span), StoredValue::Bytes(sealed));
            entries.change_due(&self.keys.due(owner), now.plus(span), |due| {
                due.insert(*id, now.plus(due_in));
            });
            Ok(())
        })
    }

    async fn delivered(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        answer: &[u8],
        span: Duration,
    ) -> Result<(), StoreError> {
        self.run("settle_push", |entries, now| {
            let key = self.keys.pushed(owner, id);
            let stored = entries.bytes(&key).and_then(<[u8]>::first);
            if stored != Some(&pushed::SETTLED) {
                let sealed = pushed::seal_answer(&self.sealer, &key, answer);
                entries.put(key, now.plus(span), StoredValue::Bytes(sealed));
            }
            entries.edit_due(&self.keys.due(owner), |due| {
                due.remove(id);
            });
            Ok(())
        })
    }

    async fn take_due(
        &self,
        owner: PushOwner<'_>,
        lease: Duration,
        most: usize,
    ) -> Result<DueMessages, StoreError> {
        self.run("take_pushes", |entries, now| {
            let key = self.keys.due(owner);
            let all = entries.due(&key);
            let due = all.iter().filter(|(_, due)| **due <= now);
            let messages: Vec<MessageId> = due.map(|(id, _)| *id).take(most).collect();
            entries.edit_due(&key, |due| {
                due.extend(messages.iter().map(|id| (*id, now.plus(lease))));
            });
            Ok(DueMessages {
                now,
                messages,
                kept: all.len() as u64,
            })
        })
    }

    async fn kept(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
    ) -> Result<Option<KeptMessage>, StoreError> {
        self.run("kept_push", |entries, _| {
            let key = self.keys.pushed(owner, id);
            let Some(stored) = entries.kept(&key) else {
                return Ok(None);
            };
            match pushed::open_kept(&self.sealer, &key, stored) {
                Ok(message) => Ok(Some(message)),
                Err(Unreadable(why)) => Err(pushed::unreadable(why)),
            }
        })
    }

    async fn unlist(&self, owner: PushOwner<'_>, id: &MessageId) -> Result<(), StoreError> {
        self.run("unlist_push", |entries, _| {
            if entries.kept(&self.keys.pushed(owner, id)).is_none() {
                entries.edit_due(&self.keys.due(owner), |due| {
                    due.remove(id);
                });
            }
            Ok(())
        })
    }

    async fn postpone(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        due_in: Duration,
    ) -> Result<(), StoreError> {
        self.postpone_or_drop("postpone_push", owner, id, Some(due_in))
    }

    async fn drop_kept(&self, owner: PushOwner<'_>, id: &MessageId) -> Result<(), StoreError> {
        self.postpone_or_drop("drop_push", owner, id, None)
    }
}
