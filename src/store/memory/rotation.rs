//! Moving a session to another token, and ending it under whichever name.

use super::held::{Held, Value};
use super::index::Member;
use super::store::MemorySessionStore;
use crate::session::{Rotated, Rotation, SessionId, StoreError, UserKey, Written};
use crate::store::forward::{Forward, Trail, too_often};
use crate::store::sealed::Stored;

impl MemorySessionStore {
    pub(super) fn rotate_now(&self, rotation: &Rotation<'_>) -> Rotated {
        let (mut held, now) = self.at_now();
        let Rotation {
            from, to, session, ..
        } = rotation;
        let (old, new, user_key) = (
            self.keys.session(from),
            self.keys.session(to),
            self.keys.user(from.tag, &session.user),
        );
        let expiry = now.plus(rotation.idle).min(session.absolute_deadline);
        match held.bytes(&old) {
            Some(stored) if Forward::is(stored) => return self.answer_before(&old, stored),
            Some(_) if expiry > now => {}
            _ => return Rotated::Gone,
        }
        held.put(
            new.clone(),
            expiry,
            Value::Bytes(self.sealer.seal_session(&new, session)),
        );
        let until = rotation.until.min(expiry);
        if until > now {
            let forward = Forward {
                to: to.hash,
                until,
                answer: rotation.answer.to_vec(),
            };
            held.put(
                old.clone(),
                until,
                Value::Bytes(self.sealer.seal_forward(&old, &forward)),
            );
        } else {
            held.remove(&old);
        }
        let mut index = held.index(&user_key).cloned().unwrap_or_default();
        index.sessions.remove(&from.hash);
        index.sessions.insert(
            to.hash,
            Member {
                expiry,
                created: session.created,
            },
        );
        index.drop_dead(now);
        held.put_index(&user_key, index);
        Rotated::Done {
            expires_in: expiry.since(now),
        }
    }

    fn answer_before(&self, key: &str, stored: &[u8]) -> Rotated {
        match self.sealer.open_stored(key, stored) {
            Ok(Stored::Forward(forward)) => Rotated::Before {
                answer: forward.answer,
            },
            _ => Rotated::Gone,
        }
    }

    pub(super) fn remove_now(&self, id: &SessionId, user: &UserKey) -> Result<Written, StoreError> {
        let (mut held, now) = self.at_now();
        let names = self.names(&held, id).ok_or_else(too_often)?;
        let mut ended = false;
        for name in names {
            ended = self.forget(&mut held, &name, user, now);
        }
        Ok(if ended { Written::Done } else { Written::Gone })
    }

    /// The name and those that the session was given since; the last one is what it is called now.
    fn names(&self, held: &Held, id: &SessionId) -> Option<Vec<SessionId>> {
        let (mut names, mut trail) = (vec![*id], Trail::new(*id));
        loop {
            let key = self.keys.session(&trail.id);
            let stored = held
                .bytes(&key)
                .map(|stored| self.sealer.open_stored(&key, stored));
            let Some(Ok(Stored::Forward(forward))) = stored else {
                return Some(names);
            };
            if !trail.follow(&forward) {
                return None;
            }
            names.push(trail.id);
        }
    }
}
