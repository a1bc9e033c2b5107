//! Tokens of the platforms.

use std::time::Duration;

use async_trait::async_trait;

use super::invalidation::server_clock::store_time;
use super::login_codes::done;
use super::sessions::RedisStore;
use crate::clock::{UnixMillis, millis};
use crate::crypto::random;
use crate::identity::{NewToken, PlatformTokens, StoredToken, TokenLease, TokenName};
use crate::secret::Secret;
use crate::session::{StoreError, Written};

/// What `scripts/lease_token.lua` has answered.
struct Answer {
    now: UnixMillis,
    state: u8,
    span: Duration,
    token: Vec<u8>,
}

/// The states that it answers with.
const LEASED: u8 = 0;
const FOUND: u8 = 2;
const RECENT: u8 = 3;
const NONE: u8 = 4;

impl RedisStore {
    /// Asks the script, and once more where the token that it finds does not open: then for another
    /// one in its place. A lease of nothing reserves nothing.
    async fn look_for_token(
        &self,
        name: &TokenName,
        replaced: Option<&Secret<String>>,
        lease: Duration,
    ) -> Result<Option<TokenLease>, StoreError> {
        let key = self.keys.token(name);
        let mark = replaced.map(|text| self.sealer.token_mark(&key, text));
        let mark: &[u8] = mark.as_ref().map_or(&[], |mark| mark);
        let ticket: [u8; 16] = random::bytes();
        let asked = self.ask_for_token(name, &ticket, lease, mark);
        let mut answer = asked.await?;
        if answer.state == FOUND {
            let (now, expires_in) = (answer.now, answer.span);
            let token = self
                .sealer
                .stored_token(&key, &answer.token, now, expires_in);
            if let Some(token) = token {
                return Ok(Some(TokenLease::Found(token)));
            }
            let unreadable = answer.token.get(7..15).unwrap_or_default();
            answer = self.ask_for_token(name, &ticket, lease, unreadable).await?;
        }
        Ok(match answer.state {
            LEASED => Some(TokenLease::Leader {
                now: answer.now,
                ticket,
            }),
            RECENT => Some(TokenLease::Recent { wait: answer.span }),
            NONE => None,
            // Also a token that somebody has stored at this moment: whoever waits finds it.
            _ => Some(TokenLease::Pending),
        })
    }

    async fn ask_for_token(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        lease: Duration,
        mark: &[u8],
    ) -> Result<Answer, StoreError> {
        let mut script = self.scripts.lease_token.key(self.keys.token(name));
        script.key(self.keys.token_lease(name));
        script.arg(ticket).arg(millis(lease)).arg(mark);
        let (seconds, micros, state, span, token): (u64, u64, u8, u64, Vec<u8>) =
            self.run(&script).await?;
        Ok(Answer {
            now: store_time((seconds, micros)),
            state,
            span: Duration::from_millis(span),
            token,
        })
    }
}

#[async_trait]
impl PlatformTokens for RedisStore {
    async fn find(&self, name: &TokenName) -> Result<Option<StoredToken>, StoreError> {
        let look = self.look_for_token(name, None, Duration::ZERO);
        match self.meter.watch("find_token", look).await? {
            Some(TokenLease::Found(token)) => Ok(Some(token)),
            _ => Ok(None),
        }
    }

    async fn lease(
        &self,
        name: &TokenName,
        replaced: Option<&Secret<String>>,
        lease: Duration,
    ) -> Result<TokenLease, StoreError> {
        let lease = lease.max(Duration::from_millis(1));
        let look = self.look_for_token(name, replaced, lease);
        let found = self.meter.watch("lease_token", look).await?;
        Ok(found.unwrap_or(TokenLease::Pending))
    }

    async fn keep(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
    ) -> Result<Written, StoreError> {
        let keep = async {
            let key = self.keys.token(name);
            let sealed = self.sealer.seal_token(&key, token.fetched_at, token.text);
            let mut script = self.scripts.keep_token.key(key);
            script.key(self.keys.token_lease(name));
            script.arg(ticket).arg(sealed);
            script.arg(token.ends().0);
            // Redis refuses an expiry of nothing.
            script.arg(millis(token.rest).max(1));
            Ok(done(self.run(&script).await?))
        };
        self.meter.watch("keep_token", keep).await
    }

    async fn release(&self, name: &TokenName, ticket: &[u8; 16]) -> Result<Written, StoreError> {
        let release = async {
            let mut script = self.scripts.release_token.key(self.keys.token_lease(name));
            script.arg(ticket);
            Ok(done(self.run(&script).await?))
        };
        self.meter.watch("release_token", release).await
    }
}
