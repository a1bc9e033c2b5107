//! Making a session.

use std::time::Duration;

use super::sessions::{ROUNDS, RedisSessionStore};
use crate::clock::millis;
use crate::limit::{CellName, Level};
use crate::redis_client::Request;
use crate::session::store::{Created, CreatedSession, Settlement};
use crate::session::{NewSession, SessionId, StoreError, Written};

/// What the script says: its verdict, how long the session lives, and the names of others.
type Answer = (i8, u64, Vec<Vec<u8>>);

impl RedisSessionStore {
    /// Writes session and answer at the same time: they may lie in different slots, so no script
    /// has them both. Should the session have to evict others, its answer may be there a round trip
    /// earlier: who asks just then looks again.
    pub(super) async fn create_with_answer(
        &self,
        new: &NewSession<'_>,
    ) -> Result<Created, StoreError> {
        // Evictions are further calls.
        let created = self.in_time(self.create_session(new));
        let Some(settlement) = &new.settlement else {
            return created.await;
        };
        match tokio::join!(created, self.write_answer(settlement)) {
            // Stale is fine: the session stands, and whoever took the reservation over answers for
            // themselves.
            (Ok(made @ Created::Made(_)), Ok(_)) => Ok(made),
            (Ok(limited @ Created::Limited(_)), _) => {
                self.withdraw_answer(settlement).await;
                Ok(limited)
            }
            (Ok(Created::Made(made)), Err(error)) => {
                self.undo(new, settlement).await;
                // Those have ended all the same.
                self.revoked(&made.evicted).await;
                Err(error)
            }
            (Err(error), _) => {
                self.undo(new, settlement).await;
                Err(error)
            }
        }
    }

    /// Takes both back: what failed may have been done nevertheless, and only its answer have been
    /// lost.
    async fn undo(&self, new: &NewSession<'_>, settlement: &Settlement) {
        tokio::join!(self.take_back(new), self.withdraw_answer(settlement));
    }

    async fn write_answer(&self, settlement: &Settlement) -> Result<Written, StoreError> {
        self.settle_code(
            &settlement.login,
            &settlement.ticket,
            Some((&settlement.answer, settlement.keep)),
        )
        .await
    }

    /// Nobody was given the session's token; without this it would only count against the cap until
    /// it expires.
    async fn take_back(&self, new: &NewSession<'_>) {
        if let Err(error) = self
            .in_time(self.remove_session(&new.id, &new.session.user))
            .await
        {
            log::warn!(session = new.id.to_string().as_str(); "cannot remove the session of a failed login: {error}");
        }
    }

    async fn create_session(&self, new: &NewSession<'_>) -> Result<Created, StoreError> {
        let key = self.keys.session(&new.id);
        let sealed = self.sealer.seal_session(&key, new.session);
        let user_key = self.keys.user(new.id.tag, &new.session.user);
        let session_key = new.session_key.map(|session_key| {
            self.sealer
                .seal_generation(&user_key, &new.session.user, session_key)
        });
        // Without a limit the script needs a key all the same, of the same slot.
        let cell = self.keys.cell(&new.limit.map_or(
            CellName {
                tag: Some(new.id.tag),
                name: [0; 16],
            },
            |limit| limit.cell,
        ));
        let (interval, capacity) = new.limit.map_or((0, 0), |limit| {
            (limit.quota.interval(), limit.quota.capacity())
        });
        let mut members: Vec<[u8; 16]> = Vec::new();
        for _ in 0..ROUNDS {
            let mut script = self.scripts.create.key(&user_key);
            script
                .key(&key)
                .key(&cell)
                .arg(&new.id.hash)
                .arg(&sealed)
                .arg(new.session.created.0);
            script
                .arg(new.session.absolute_deadline.0)
                .arg(millis(new.idle))
                .arg(new.max_per_user)
                .arg(session_key.as_deref().unwrap_or_default());
            script.arg(interval).arg(capacity);
            for member in &members {
                script
                    .key(self.keys.session_of(new.id.tag, member))
                    .arg(member);
            }
            // Only a call that brings the names of others can evict, and what it evicts is not to
            // come back with a failover.
            let (state, lives, names): Answer = match members.len() {
                0 => self.connector.call(&Request::Script(&script)).await?,
                _ => {
                    self.revocations
                        .run(&self.connector, &script, |(state, _, evicted): &Answer| {
                            *state == 1 && !evicted.is_empty()
                        })
                        .await?
                }
            };
            let names = names.into_iter().filter_map(|name| name.try_into().ok());
            match state {
                0 => members = names.collect(),
                1 => {
                    let evicted = names
                        .map(|hash| SessionId {
                            tag: new.id.tag,
                            hash,
                        })
                        .collect();
                    return Ok(Created::Made(CreatedSession {
                        expires_in: Duration::from_millis(lives),
                        evicted,
                    }));
                }
                -2 => {
                    return Ok(Created::Limited(Level {
                        admitted: false,
                        backlog: Duration::from_micros(lives),
                    }));
                }
                _ => {
                    return Err(StoreError::new(
                        "the session would expire before it starts: the store's clock has jumped",
                    ));
                }
            }
        }
        Err(StoreError::new(
            "too many logins of one user at the same time",
        ))
    }
}
