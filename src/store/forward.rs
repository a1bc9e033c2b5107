//! What stands in the place of a session whose token was rotated away: where it went. So the old
//! token opens the session for a moment longer, ends with it whoever ends it and under whichever
//! name, and can be rotated into nothing else.
//!
//! ```text
//! to      16 bytes: the session's new name
//! until   6 bytes, big-endian milliseconds: when this is over, should somebody restore it with a longer expiry
//! answer  the rest: what the rotation answered, sealed under the old token
//! ```
//!
//! It is sealed like a record (`sealed`); the scripts tell the two apart by the first byte alone.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::session::{LoadedSession, Lookup, Session, SessionId, StoreError};

/// The bit of the version byte that tells a forward from a record: `scripts/index.lua` looks at it
/// too.
pub(super) const MARK: u8 = 0x80;
/// How many tokens a session may have left behind within the grace. An older one is dead, whatever
/// its time.
pub(super) const HOPS: usize = 8;

/// Nobody rotates so often; whoever does may come again when the oldest of them are over.
pub(super) fn too_often() -> StoreError {
    StoreError::new("a session was rotated too often within session.rotate_grace")
}

/// Where a session went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) to: [u8; 16],
    pub(super) until: UnixMillis,
    pub(super) answer: Vec<u8>,
}

impl Forward {
    /// Whether these stored bytes are a forward and no record.
    pub(super) fn is(stored: &[u8]) -> bool {
        stored.first().is_some_and(|version| version & MARK != 0)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [
            &self.to[..],
            &self.until.0.min((1 << 48) - 1).to_be_bytes()[2..],
            &self.answer,
        ]
        .concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (to, rest) = bytes.split_first_chunk::<16>()?;
        let (until, answer) = rest.split_first_chunk::<6>()?;
        let mut number = [0; 8];
        number[2..].copy_from_slice(until);
        Some(Self {
            to: *to,
            until: UnixMillis(u64::from_be_bytes(number)),
            answer: answer.to_vec(),
        })
    }
}

/// The way from a token to what its session is called now.
#[derive(Debug)]
pub(super) struct Trail {
    /// Where it has come to.
    pub(super) id: SessionId,
    answer: Option<Vec<u8>>,
    until: Option<UnixMillis>,
    hops: usize,
}

impl Trail {
    pub(super) const fn new(id: SessionId) -> Self {
        Self {
            id,
            answer: None,
            until: None,
            hops: 0,
        }
    }

    /// Goes where a forward points; `false`: it has become too long.
    pub(super) fn follow(&mut self, forward: &Forward) -> bool {
        self.id.hash = forward.to;
        self.until = Some(
            self.until
                .map_or(forward.until, |until| until.min(forward.until)),
        );
        self.answer.get_or_insert_with(|| forward.answer.clone());
        self.hops += 1;
        self.hops <= HOPS
    }

    /// The session at its end, whose record lives for this long. Its own deadline counts too,
    /// should somebody have restored it with a longer expiry.
    pub(super) fn arrive(self, session: Session, lives: Duration, now: UnixMillis) -> Lookup {
        let ends = self.until.map_or(session.absolute_deadline, |until| {
            until.min(session.absolute_deadline)
        });
        let expires_in = lives.min(ends.since(now));
        if expires_in.is_zero() {
            return Lookup::Gone;
        }
        Lookup::Found(LoadedSession {
            id: self.id,
            session: session.into(),
            expires_in,
            rotated: self.answer,
            now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let forward = Forward {
            to: [7; 16],
            until: UnixMillis(1_764_000_000_000),
            answer: b"sealed".to_vec(),
        };
        assert_eq!(Forward::decode(&forward.encode()), Some(forward.clone()));
        assert_eq!(Forward::decode(&forward.encode()[..21]), None);
    }

    #[test]
    fn a_trail_has_an_end() {
        let mut trail = Trail::new(SessionId {
            tag: [0, 0],
            hash: [0; 16],
        });
        let forward = |n: u8| Forward {
            to: [n; 16],
            until: UnixMillis(9),
            answer: vec![n],
        };
        for n in 1..=8 {
            assert!(trail.follow(&forward(n)));
        }
        assert_eq!(
            (trail.id.hash, trail.answer.as_ref().map(|first| first[0])),
            ([8; 16], Some(1))
        );
        assert!(!trail.follow(&forward(9)));
    }
}
