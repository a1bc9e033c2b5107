//! What a platform has given a component and gives nobody again: until the process ends.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::entries::{Entries, StoredValue};
use super::store::MemoryStore;
use crate::clock::UnixMillis;
use crate::crypto::random;
use crate::identity::{
    CLOCK_AHEAD, ComponentStore, FoundRefreshToken, GrantedToken, KeptAuthorizer, NewRefreshToken,
    NewToken, RefreshTokenMark, TICKET_LIFE, TokenName, WITHDRAWAL_KEPT,
};
use crate::secret::Secret;
use crate::session::{SessionStore, StoreError, Written};
use crate::store::generation;

impl MemoryStore {
    fn put_refresh_token(
        &self,
        entries: &mut Entries,
        name: &TokenName,
        at: UnixMillis,
        text: &Secret<String>,
    ) {
        let sealed = self.sealer.seal_refresh_token(&self.keys, name, at, text);
        entries.update_hash(&self.keys.authorizers(&name.appid), |hash| {
            hash.insert(field(name), sealed);
        });
    }

    fn sealed_authorizers(&self, entries: &Entries, component: &str) -> BTreeMap<String, Vec<u8>> {
        entries.hash(&self.keys.authorizers(component))
    }

    fn sealed_refresh_token(&self, entries: &Entries, name: &TokenName) -> Option<Vec<u8>> {
        let mut hash = self.sealed_authorizers(entries, &name.appid);
        hash.remove(&field(name))
    }

    fn last_withdrawal(&self, entries: &Entries, name: &TokenName) -> Option<Vec<u8>> {
        let remembered = entries.bytes(&self.keys.withdrawal(name));
        remembered.map(<[u8]>::to_vec)
    }
}

fn field(name: &TokenName) -> String {
    name.authorizer.as_deref().unwrap_or_default().to_owned()
}

/// When a value was written, as its header says.
fn written_at(value: &[u8]) -> UnixMillis {
    let header = value.first_chunk::<{ generation::HEADER }>();
    header.map_or(UnixMillis(0), generation::reserved_at)
}

#[async_trait]
impl ComponentStore for MemoryStore {
    async fn time(&self) -> Result<UnixMillis, StoreError> {
        SessionStore::now(self).await
    }

    async fn ticket(&self, component: &str) -> Result<Option<Secret<String>>, StoreError> {
        self.run("find_ticket", |entries, _| {
            let key = self.keys.ticket(component);
            let opened = entries
                .bytes(&key)
                .and_then(|stored| self.sealer.open_token(&key, stored).ok());
            Ok(opened.map(|(ticket, _)| ticket))
        })
    }

    async fn keep_ticket(
        &self,
        component: &str,
        ticket: &Secret<String>,
        made: UnixMillis,
    ) -> Result<Written, StoreError> {
        self.run("keep_ticket", |entries, now| {
            let key = self.keys.ticket(component);
            let left = made.plus(TICKET_LIFE).since(now).min(TICKET_LIFE);
            let is_older = entries
                .bytes(&key)
                .map(written_at)
                // One that claims to be from the future would keep all others out.
                .is_some_and(|held| held > made && held <= now.plus(CLOCK_AHEAD));
            if left.is_zero() || is_older {
                return Ok(Written::Stale);
            }
            let sealed = self.sealer.seal_token(&key, made, ticket);
            entries.put(key, now.plus(left), StoredValue::Bytes(sealed));
            Ok(Written::Done)
        })
    }

    async fn authorizers(&self, component: &str) -> Result<Vec<KeptAuthorizer>, StoreError> {
        self.run("authorizers", |entries, _| {
            let stored = self.sealed_authorizers(entries, component);
            Ok(self.sealer.kept_authorizers(&self.keys, component, stored))
        })
    }

    async fn refresh_token(&self, name: &TokenName) -> Result<FoundRefreshToken, StoreError> {
        self.run("find_refresh_token", |entries, _| {
            let mark = RefreshTokenMark {
                stored: self.sealed_refresh_token(entries, name),
                withdrawal: self.last_withdrawal(entries, name),
            };
            Ok(self.sealer.found_refresh_token(&self.keys, name, mark))
        })
    }

    async fn authorize(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        access: Option<&GrantedToken>,
    ) -> Result<(), StoreError> {
        self.run("authorize", |entries, now| {
            self.put_refresh_token(entries, name, at, refresh_token);
            if let Some(access) = access {
                let ends = now.plus(access.expires_in);
                self.put_token(entries, name, &access.token, at, ends);
            }
            Ok(())
        })
    }

    async fn keep_recovered(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        read: &RefreshTokenMark,
    ) -> Result<Written, StoreError> {
        self.run("authorize", |entries, _| {
            let withdrawal = self.last_withdrawal(entries, name);
            let is_withdrawn = withdrawal.is_some() && withdrawal != read.withdrawal;
            if is_withdrawn || self.sealed_refresh_token(entries, name) != read.stored {
                return Ok(Written::Stale);
            }
            self.put_refresh_token(entries, name, at, refresh_token);
            Ok(Written::Done)
        })
    }

    async fn keep_refreshed(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
        refresh_token: &NewRefreshToken<'_>,
    ) -> Result<Written, StoreError> {
        self.run("keep_refreshed", |entries, now| {
            let used = self
                .sealer
                .refresh_token_mark(&self.keys, name, refresh_token.used);
            let kept = self.sealed_refresh_token(entries, name);
            if kept.as_deref().and_then(|kept| kept.get(7..15)) != Some(&used[..]) {
                return Ok(Written::Gone);
            }
            self.put_refresh_token(entries, name, token.fetched_at, refresh_token.text);
            Ok(self.keep_fetched(entries, name, ticket, token, now))
        })
    }

    async fn withdraw(&self, name: &TokenName, at: UnixMillis) -> Result<Written, StoreError> {
        self.run("withdraw", |entries, now| {
            let kept = self.sealed_refresh_token(entries, name);
            if kept.is_some_and(|kept| written_at(&kept) > at) {
                return Ok(Written::Stale);
            }
            entries.update_hash(&self.keys.authorizers(&name.appid), |hash| {
                hash.remove(&field(name));
            });
            entries.remove(&self.keys.token(name));
            for key in self.keys.of_tickets(name) {
                entries.remove(&key);
            }
            entries.put(
                self.keys.withdrawal(name),
                now.plus(WITHDRAWAL_KEPT),
                StoredValue::Bytes(random::bytes::<16>().to_vec()),
            );
            Ok(Written::Done)
        })
    }

    async fn reseal(&self, _: &str) -> Result<usize, StoreError> {
        // Nothing here is older than the process, whose first key never changes.
        Ok(0)
    }
}
