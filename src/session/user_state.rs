//! What operators decide about a user, whether or not the user has a session.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::session::claims::{Claims, ClaimsError, ClaimsPatch};

/// What operators have decided about a user. Times are by the store's clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserState {
    /// The user gets no session.
    pub blocked: Option<Block>,
    /// What logins do to the claims that they bring.
    pub patch: Option<KeptPatch>,
}

/// A state that does not open: another program or another release wrote it. It may be a block, so
/// nobody signs in on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "what is kept of the user ({key}) cannot be read: {why} (block the user, then lift the block: this writes it anew, without the changed claims)"
)]
pub struct UnreadableState {
    /// Its key in the store.
    pub key: String,
    pub why: &'static str,
}

/// The changes of a user's claims, as far as they are kept beside the sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptPatch {
    pub patch: ClaimsPatch,
    /// No login that reserves its code later has missed the last change.
    pub at: UnixMillis,
    /// `None`: over later logins, [`PatchLife::LASTS`] from the last of them on.
    pub until: Option<UnixMillis>,
}

/// How long a change of claims outlives the sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchLife {
    /// It stays with the user over later logins.
    Lasting,
    /// As long as a login may take that has begun before: a later login brings a newer truth.
    Login(Duration),
}

impl PatchLife {
    /// How long a lasting change stays without a login of the user.
    pub const LASTS: Duration = Duration::from_secs(400 * 24 * 3600);
}

/// A user is kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub since: UnixMillis,
    pub until: UnixMillis,
    /// For operators; no client reads it.
    pub reason: String,
}

impl Block {
    /// The longest that a block lasts, and how long one lasts for which no end was named: every key
    /// of the store has an expiry.
    pub const LONGEST: Duration = Duration::from_secs(3653 * 24 * 3600);
    /// Longest reason, in characters.
    pub const REASON_MAX: usize = 256;

    /// A block from `now` on; `None`: its end is past.
    pub fn new(now: UnixMillis, until: Option<UnixMillis>, reason: &str) -> Option<Self> {
        let last = now.plus(Self::LONGEST);
        let until = until.map_or(last, |until| until.min(last));
        (until > now).then(|| Self {
            since: now,
            until,
            reason: reason.chars().take(Self::REASON_MAX).collect(),
        })
    }
}

impl UserState {
    /// When nothing of it is in force any more, if the user does not log in again.
    pub fn expiry(&self, now: UnixMillis) -> UnixMillis {
        let block = self.blocked.as_ref().map_or(now, |block| block.until);
        let patch = self.patch.as_ref().map_or(now, |kept| {
            kept.until.unwrap_or_else(|| now.plus(PatchLife::LASTS))
        });
        block.max(patch)
    }

    /// The same, without what is over by then.
    #[must_use]
    pub fn at(mut self, now: UnixMillis) -> Self {
        self.blocked.take_if(|block| block.until <= now);
        self.patch
            .take_if(|kept| kept.until.is_some_and(|until| until <= now));
        self
    }

    /// The claims of a login that reserved its code at this time and brings these; `None`: they stay
    /// as they are.
    pub fn obeyed(
        &self,
        claims: &Claims,
        reserved_at: UnixMillis,
        patches: PatchLife,
    ) -> Result<Option<Claims>, ClaimsError> {
        let missed = |kept: &&KeptPatch| kept.at >= reserved_at;
        let kept = self.patch.as_ref();
        kept.filter(|kept| patches == PatchLife::Lasting || missed(kept))
            .map(|kept| claims.merged(&kept.patch))
            .transpose()
    }
}
