//! Tokens of the platforms.

use std::time::Duration;

use async_trait::async_trait;

use super::entries::{Entries, StoredValue};
use super::store::MemoryStore;
use crate::clock::UnixMillis;
use crate::crypto::random;
use crate::identity::{NewToken, PlatformTokens, StoredToken, TokenLease, TokenName};
use crate::secret::Secret;
use crate::session::{StoreError, Written};

impl MemoryStore {
    fn stored_token(
        &self,
        entries: &Entries,
        name: &TokenName,
        now: UnixMillis,
    ) -> Option<StoredToken> {
        let key = self.keys.token(name);
        let expiry = entries.by_key.get(&key)?.expiry;
        self.sealer
            .stored_token(&key, entries.bytes(&key)?, now, expiry.since(now))
    }

    /// Keeps a token that was fetched under the lease, unless that is over.
    pub(super) fn keep_fetched(
        &self,
        entries: &mut Entries,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
        now: UnixMillis,
    ) -> Written {
        let lease = self.keys.token_lease(name);
        let written = entries.settle(&lease, ticket, Some((ticket, token.rest)), now);
        if written == Written::Done {
            self.put_token(entries, name, token.text, token.fetched_at, token.ends());
        }
        written
    }

    pub(super) fn put_token(
        &self,
        entries: &mut Entries,
        name: &TokenName,
        text: &Secret<String>,
        fetched_at: UnixMillis,
        ends: UnixMillis,
    ) {
        let key = self.keys.token(name);
        let sealed = self.sealer.seal_token(&key, fetched_at, text);
        entries.put(key, ends, StoredValue::Bytes(sealed));
    }
}

#[async_trait]
impl PlatformTokens for MemoryStore {
    async fn find(&self, name: &TokenName) -> Result<Option<StoredToken>, StoreError> {
        self.run("find_token", |entries, now| {
            Ok(self.stored_token(entries, name, now))
        })
    }

    async fn lease(
        &self,
        name: &TokenName,
        replaced: Option<&Secret<String>>,
        lease: Duration,
    ) -> Result<TokenLease, StoreError> {
        self.run("lease_token", |entries, now| {
            let stored = self.stored_token(entries, name, now);
            let is_stored = stored.is_some();
            if let Some(token) = stored.filter(|token| Some(&token.text) != replaced) {
                return Ok(TokenLease::Found(token));
            }
            let key = self.keys.token_lease(name);
            let held = entries.by_key.get(&key);
            Ok(match held.map(|entry| (&entry.value, entry.expiry)) {
                Some((StoredValue::Pending(_), _)) => TokenLease::Pending,
                Some((_, rests_until)) if is_stored => TokenLease::Recent {
                    wait: rests_until.since(now),
                },
                _ => {
                    let ticket = random::bytes();
                    entries.put(key, now.plus(lease), StoredValue::Pending(ticket));
                    TokenLease::Leader { now, ticket }
                }
            })
        })
    }

    async fn keep(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
    ) -> Result<Written, StoreError> {
        self.run("keep_token", |entries, now| {
            Ok(self.keep_fetched(entries, name, ticket, token, now))
        })
    }

    async fn release(&self, name: &TokenName, ticket: &[u8; 16]) -> Result<Written, StoreError> {
        self.run("release_token", |entries, now| {
            Ok(entries.settle(&self.keys.token_lease(name), ticket, None, now))
        })
    }
}
