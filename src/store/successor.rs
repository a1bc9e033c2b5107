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
use crate::session::codec::{time_bytes, time_of};
use crate::session::{LoadedSession, Lookup, RecordStamp, Session, SessionId, StoreError};

/// The bit of the version byte that tells a successor from a record: `scripts/index.lua` looks at it
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
pub(super) struct Successor {
    pub(super) to: [u8; 16],
    pub(super) until: UnixMillis,
    pub(super) answer: Vec<u8>,
}

impl Successor {
    /// Whether these stored bytes are a successor and no record.
    pub(super) fn is(stored: &[u8]) -> bool {
        stored.first().is_some_and(|version| version & MARK != 0)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.to[..], &time_bytes(self.until), &self.answer].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (to, rest) = bytes.split_first_chunk::<16>()?;
        let (until, answer) = rest.split_first_chunk::<6>()?;
        Some(Self {
            to: *to,
            until: time_of(until),
            answer: answer.to_vec(),
        })
    }
}

/// Follows a token to the name that its session has now.
#[derive(Debug)]
pub(super) struct RotationChain {
    /// The name that it has reached.
    pub(super) id: SessionId,
    answer: Option<Vec<u8>>,
    until: UnixMillis,
    hops: usize,
}

impl RotationChain {
    pub(super) const fn new(id: SessionId) -> Self {
        Self {
            id,
            answer: None,
            until: UnixMillis(u64::MAX),
            hops: 0,
        }
    }

    /// Goes on to a successor; `false`: the chain has become too long.
    pub(super) fn follow(&mut self, successor: &Successor) -> bool {
        self.id.hash = successor.to;
        self.until = self.until.min(successor.until);
        self.answer.get_or_insert_with(|| successor.answer.clone());
        self.hops += 1;
        self.hops <= HOPS
    }

    /// The session at its end, whose record lives for this long. Its own deadline counts too,
    /// should somebody have restored it with a longer expiry.
    pub(super) fn arrive(
        self,
        session: Session,
        stamp: RecordStamp,
        lives: Duration,
        now: UnixMillis,
    ) -> Lookup {
        let ends = self.until.min(session.absolute_deadline);
        let expires_in = lives.min(ends.since(now));
        if expires_in.is_zero() {
            return Lookup::Gone;
        }
        Lookup::Found(LoadedSession {
            id: self.id,
            stamp,
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
        let successor = Successor {
            to: [7; 16],
            until: UnixMillis(1_764_000_000_000),
            answer: b"sealed".to_vec(),
        };
        assert_eq!(
            Successor::decode(&successor.encode()),
            Some(successor.clone())
        );
        assert_eq!(Successor::decode(&successor.encode()[..21]), None);
    }

    #[test]
    fn a_chain_has_an_end() {
        let mut chain = RotationChain::new(SessionId {
            tag: [0, 0],
            hash: [0; 16],
        });
        let successor = |n: u8| Successor {
            to: [n; 16],
            until: UnixMillis(9),
            answer: vec![n],
        };
        for n in 1..=8 {
            assert!(chain.follow(&successor(n)));
        }
        assert_eq!(
            (chain.id.hash, chain.answer.as_ref().map(|first| first[0])),
            ([8; 16], Some(1))
        );
        assert!(!chain.follow(&successor(9)));
    }
}
