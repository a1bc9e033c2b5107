//! Looking a session up: in the near cache, else in Redis; and where it went if its token was
//! rotated away.

use std::ops::ControlFlow;
use std::time::Duration;

use redis::{FromRedisValue, ParsingError, Value, from_redis_value};

use super::server_clock::store_time;
use super::sessions::RedisSessionStore;
use super::worker_cache::{Answer, Landed, Reading, WorkerCache};
use crate::clock::UnixMillis;
use crate::redis_client::{ObservedRead, Request};
use crate::session::{Lookup, SessionId, StoreError};
use crate::store::forward::Trail;
use crate::store::sealed::Stored;

impl RedisSessionStore {
    /// What the near cache says for certain, where there is one.
    pub(super) fn known_session(&self, id: &SessionId) -> Option<Lookup> {
        match self.tracker.as_ref()?.cache.look(id) {
            Answer::Known(lookup) => Some(lookup),
            Answer::Ask(_) => None,
        }
    }

    /// The session from the near cache, where there is one, or from Redis.
    pub(super) async fn find_session(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        let Some(tracker) = &self.tracker else {
            return self.read_counted(id, None).await;
        };
        if let Some(lookup) = self.known_session(id) {
            return Ok(lookup);
        }
        let error = match self.read_together(&tracker.cache, id).await {
            Ok(lookup) => return Ok(lookup),
            Err(error) => error,
        };
        // Only now: finding out that Redis cannot be reached takes time, in which the grace may
        // have ended.
        match tracker.cache.look(id) {
            Answer::Known(lookup) => Ok(lookup),
            Answer::Ask(Some(last_known)) => {
                log::debug!("served a session from the near cache without confirmation: {error}");
                tracker.cache.count("unconfirmed");
                Ok(Lookup::Found(last_known))
            }
            Answer::Ask(None) => Err(error),
        }
    }

    /// Reads the session from Redis, or waits for the read that is under way: however many ask at
    /// once, Redis is asked once.
    async fn read_together(&self, cache: &WorkerCache, id: &SessionId) -> Landed {
        let seat = cache.join(*id);
        let mut landed = match seat.flight.try_lock() {
            Ok(landed) => landed,
            // Whoever reads is bound by the same time; only one who has waited for somebody that
            // left can wait for longer.
            Err(_) => match Box::pin(tokio::time::timeout(
                self.connector.operation_timeout(),
                seat.flight.lock(),
            ))
            .await
            {
                Ok(landed) => landed,
                Err(_) => {
                    return Err(StoreError::new(
                        "another read of the same session took too long",
                    ));
                }
            },
        };
        if let Some(landed) = &*landed {
            cache.count("joined");
            return landed.clone();
        }
        let reading = seat.reading();
        let outcome = self.read_counted(id, Some(&reading)).await;
        reading.finish(&outcome);
        landed.insert(outcome).clone()
    }

    pub(super) fn forget(&self, id: &SessionId) {
        if let Some(tracker) = &self.tracker {
            tracker.cache.changed(id);
        }
    }

    /// The session behind a name, where it went if its token was rotated away.
    pub(super) async fn read_session(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.read_tracked(id, None).await
    }

    async fn read_counted(
        &self,
        id: &SessionId,
        reading: Option<&Reading<'_>>,
    ) -> Result<Lookup, StoreError> {
        let timer = self.meter.load_begins();
        let outcome = self.read_tracked(id, reading).await;
        self.meter.load_ended(&timer, &outcome);
        outcome
    }

    async fn read_tracked(
        &self,
        id: &SessionId,
        reading: Option<&Reading<'_>>,
    ) -> Result<Lookup, StoreError> {
        match self.read_one(Trail::new(*id), reading).await? {
            ControlFlow::Break(lookup) => Ok(lookup),
            // Every request takes the way above, and pays for no timer; only what follows is
            // several calls in a row.
            ControlFlow::Continue(trail) => Box::pin(self.in_time(self.read_on(trail))).await,
        }
    }

    async fn read_on(&self, mut trail: Trail) -> Result<Lookup, StoreError> {
        loop {
            match self.read_one(trail, None).await? {
                ControlFlow::Break(lookup) => return Ok(lookup),
                ControlFlow::Continue(further) => trail = further,
            }
        }
    }

    /// Looks where the trail has come to: the trail goes on, or this is what is there.
    async fn read_one(
        &self,
        mut trail: Trail,
        reading: Option<&Reading<'_>>,
    ) -> Result<ControlFlow<Lookup, Trail>, StoreError> {
        let key = self.keys.session(&trail.id);
        let Read {
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
                self.naming_check
                    .see(&self.naming, &trail.id, &session.user);
                ControlFlow::Break(trail.arrive(session, Duration::from_millis(lives), now))
            }
            Ok(Stored::Forward(forward)) if trail.follow(&forward) => ControlFlow::Continue(trail),
            Ok(Stored::Forward(_)) => ControlFlow::Break(Lookup::Gone),
            Err(why) => ControlFlow::Break(Lookup::Unreadable(why.0)),
        })
    }
}

/// What a [`Request::Read`] is answered.
struct Read {
    stored: Option<Vec<u8>>,
    /// Milliseconds, or what `PTTL` says instead.
    lives: i64,
    /// `None`: it was not asked for.
    time: Option<UnixMillis>,
}

impl FromRedisValue for Read {
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
