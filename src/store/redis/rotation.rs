//! How a session changes its token, and how it ends under whichever of its names.

use std::time::Duration;

use super::affected::AffectedSessions;
use super::sessions::RedisStore;
use crate::clock::millis;
use crate::session::{Rotated, Rotation, SessionId, StoreError, UserKey, Written};
use crate::store::sealed::Stored;
use crate::store::successor::{RotationChain, Successor, too_often};

impl RedisStore {
    pub(super) async fn rotate_session(
        &self,
        rotation: &Rotation<'_>,
        affected: &AffectedSessions,
    ) -> Result<Rotated, StoreError> {
        let Rotation {
            from,
            to,
            session,
            read,
            idle,
            until,
            answer,
        } = rotation;
        let (old, new) = (self.keys.session(from), self.keys.session(to));
        let successor = Successor {
            to: to.hash,
            until: *until,
            answer: answer.to_vec(),
        };
        let mut script = self
            .scripts
            .rotate
            .key(self.keys.user(from.tag, &session.user));
        script
            .key(&old)
            .key(&new)
            .arg(&from.hash)
            .arg(&to.hash)
            .arg(self.sealer.seal_session(&new, session));
        script
            .arg(self.sealer.seal_successor(&old, &successor))
            .arg(until.0)
            .arg(session.absolute_deadline.0)
            .arg(millis(*idle))
            .arg(session.created.0)
            .arg(&read.0);
        // The end of the old token is a revocation.
        affected.set(vec![*from]);
        let (state, lives, stored): (u8, u64, Vec<u8>) = self
            .run_removal(&script, affected, |(state, _, _)| *state == 1)
            .await?;
        if matches!(state, 0 | 3) {
            affected.none();
        }
        Ok(match state {
            0 => Rotated::Gone,
            1 => Rotated::Done {
                expires_in: Duration::from_millis(lives),
            },
            3 => Rotated::Changed,
            _ => match self.sealer.open_stored(&old, &stored) {
                Ok(Stored::Successor(before)) => Rotated::Before {
                    answer: before.answer,
                },
                _ => Rotated::Gone,
            },
        })
    }

    /// Ends a session under all names that it was given.
    pub(super) async fn remove_session(
        &self,
        id: &SessionId,
        user: &UserKey,
        affected: &AffectedSessions,
    ) -> Result<Written, StoreError> {
        let mut chain = RotationChain::new(*id);
        let mut names = vec![*id];
        loop {
            affected.set(names.clone());
            let mut script = self.scripts.remove.key(self.keys.user(id.tag, user));
            affected.add_to(&mut script, &self.keys);
            let (state, stored): (u8, Vec<u8>) = self
                .run_removal(&script, affected, |(state, _)| *state == 1)
                .await?;
            if state < 2 {
                told_of_index(id, &stored);
                return Ok(if state == 1 {
                    Written::Done
                } else {
                    Written::Gone
                });
            }
            // One that does not open leads nowhere.
            let Ok(Stored::Successor(successor)) = self
                .sealer
                .open_stored(&self.keys.session(&chain.id), &stored)
            else {
                return Ok(Written::Gone);
            };
            if !chain.follow(&successor) {
                return Err(too_often());
            }
            names.push(chain.id);
        }
    }
}

/// Says what kept a user's index from being changed, though the session has ended.
fn told_of_index(id: &SessionId, fault: &[u8]) {
    if !fault.is_empty() {
        let fault = String::from_utf8_lossy(fault);
        log::error!(session = id.to_string().as_str(); "session ended, but its user's index is invalid and cannot be changed: {fault}");
    }
}
