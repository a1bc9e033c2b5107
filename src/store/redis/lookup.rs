//! Looking a session up: in the near cache, else in Redis; and where it went if its token was
//! rotated away.

use std::ops::ControlFlow;
use std::time::Duration;

use redis::{FromRedisValue, ParsingError, Value, from_redis_value};

use super::invalidation::server_clock::store_time;
use super::sessions::RedisStore;
use crate::clock::{UnixMillis, monotonic_now};
use crate::redis_client::{ObservedRead, Request};
use crate::session::{Lookup, SessionId, SessionStore as _, StoreError};
use crate::store::near_cache::{CacheAnswer, JoinedRead, ReadOutcome, WorkerCache};
use crate::store::sealed::{Stored, stamp_of};
use crate::store::successor::RotationChain;

impl RedisStore {
    /// The session from the near cache, where there is one, or from Redis.
    pub(super) async fn find_session(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        let Some(tracker) = &self.tracker else {
            return self.read_counted(id, None).await;
        };
        if let Some(lookup) = self.known(id) {
            return Ok(lookup);
        }
        let error = match self.read_together(&tracker.cache, id).await {
            Ok(lookup) => return Ok(lookup),
            Err(error) => error,
        };
        // Only now: finding out that Redis cannot be reached takes time, in which the grace may
        // have ended.
        match tracker.cache.look(id) {
            CacheAnswer::Known(lookup) => Ok(lookup),
            CacheAnswer::Ask(Some(last_known)) => {
                log::debug!("served a session from the near cache without confirmation: {error}");
                tracker.cache.count("unconfirmed");
                Ok(Lookup::Found(last_known))
            }
            CacheAnswer::Ask(None) => Err(error),
        }
    }

    /// Reads the session from Redis, or waits for the read that is under way: however many ask at
    /// once, Redis is asked once.
    async fn read_together(&self, cache: &WorkerCache, id: &SessionId) -> ReadOutcome {
        let joined = cache.join(*id);
        let mut shared = match joined.read.try_lock() {
            Ok(shared) => shared,
            // The reader is bound by the same time; only a call whose reader has left can wait for
            // longer.
            Err(_) => match Box::pin(tokio::time::timeout(
                self.connector.operation_timeout(),
                joined.read.lock(),
            ))
            .await
            {
                Ok(shared) => shared,
                Err(_) => {
                    return Err(StoreError::new(
                        "another read of the same session took too long",
                    ));
                }
            },
        };
        if let Some(outcome) = &*shared {
            cache.count("joined");
            return outcome.clone();
        }
        let outcome = self.read_counted(id, Some(&joined)).await;
        joined.finish(&outcome);
        shared.insert(outcome).clone()
    }

    pub(super) fn forget(&self, id: &SessionId) {
        if let Some(tracker) = &self.tracker {
            tracker.cache.invalidated(id);
        }
    }

    /// The session behind a name, where it went if its token was rotated away.
    pub(super) async fn read_session(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.read_tracked(id, None).await
    }

    pub(super) async fn read_counted(
        &self,
        id: &SessionId,
        reading: Option<&JoinedRead<'_>>,
    ) -> Result<Lookup, StoreError> {
        let started = monotonic_now();
        let outcome = self.read_tracked(id, reading).await;
        self.meter.count_load(started, &outcome);
        outcome
    }

    async fn read_tracked(
        &self,
        id: &SessionId,
        reading: Option<&JoinedRead<'_>>,
    ) -> Result<Lookup, StoreError> {
        match self.read_one(RotationChain::new(*id), reading).await? {
            ControlFlow::Break(lookup) => Ok(lookup),
            // Every request takes the way above, and pays for no timer; only what follows is
            // several calls in a row.
            ControlFlow::Continue(chain) => Box::pin(self.in_time(self.read_on(chain))).await,
        }
    }

    async fn read_on(&self, mut chain: RotationChain) -> Result<Lookup, StoreError> {
        loop {
            match self.read_one(chain, None).await? {
                ControlFlow::Break(lookup) => return Ok(lookup),
                ControlFlow::Continue(further) => chain = further,
            }
        }
    }

    /// Looks where the chain has come to: the chain goes on, or this is what is there.
    async fn read_one(
        &self,
        mut chain: RotationChain,
        reading: Option<&JoinedRead<'_>>,
    ) -> Result<ControlFlow<Lookup, RotationChain>, StoreError> {
        let key = self.keys.session(&chain.id);
        let ReadAnswer {
            stored,
            lives,
            time,
        } = self
            .connector
            .call(&Request::Read {
                key: &key,
                reading: reading.map(|reading| reading as &dyn ObservedRead),
            })
            .await?;
        let Some(now) = time.or_else(|| reading?.time()) else {
            return Err(StoreError::new("redis did not return its time"));
        };
        // The key may expire between GET and PTTL (-2). One without an expiry (-1) is none of ours:
        // somebody restored it.
        let (Some(stored), Ok(lives)) = (stored, u64::try_from(lives)) else {
            return Ok(ControlFlow::Break(if lives == -1 {
                Lookup::Unreadable("it has no expiry, but the gateway always sets one")
            } else {
                Lookup::Gone
            }));
        };
        Ok(match self.sealer.open_stored(&key, &stored) {
            Ok(Stored::Session(session)) => {
                self.naming_check.see(&self.keys, &chain.id, &session.user);
                let lives = Duration::from_millis(lives);
                ControlFlow::Break(chain.arrive(session, stamp_of(&stored), lives, now))
            }
            Ok(Stored::Successor(successor)) if chain.follow(&successor) => {
                ControlFlow::Continue(chain)
            }
            Ok(Stored::Successor(_)) => ControlFlow::Break(Lookup::Gone),
            Err(why) => ControlFlow::Break(Lookup::Unreadable(why.0)),
        })
    }
}

/// What a [`Request::Read`] is answered.
pub(super) struct ReadAnswer {
    pub(super) stored: Option<Vec<u8>>,
    /// Milliseconds, or what `PTTL` says instead.
    lives: i64,
    /// `None`: it was not asked for.
    pub(super) time: Option<UnixMillis>,
}

impl FromRedisValue for ReadAnswer {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let asked = matches!(&value, Value::Array(answers) if answers.len() > 2);
        let (stored, lives, time) = if asked {
            let (stored, lives, time) = from_redis_value(value)?;
            (stored, lives, Some(store_time(time)))
        } else {
            let (stored, lives) = from_redis_value(value)?;
            (stored, lives, None)
        };
        Ok(Self {
            stored,
            lives,
            time,
        })
    }
}
