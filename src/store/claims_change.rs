//! What a change of claims makes of a user's state, of the records of the user's sessions, and of the
//! logins that come later.

use std::borrow::Cow;

use crate::clock::UnixMillis;
use crate::session::store::Created;
use crate::session::{
    Claims, ClaimsChange, ClaimsError, ClaimsPatch, KeptPatch, NewSession, PatchLife, Session,
    SessionId, UnreadableState, UserKey, UserState,
};
use crate::store::sealed::{Sealer, Stored, stamp_of};

/// The session of a login that obeys the user's state, with the changes of claims in it, and that
/// state. `Err`: there is to be none.
pub(super) fn obeying<'a>(
    new: &NewSession<'a>,
    state: Result<UserState, UnreadableState>,
) -> Result<(Cow<'a, Session>, UserState), Created> {
    let state = state.map_err(Created::UnreadableState)?;
    if let Some(block) = state.blocked {
        return Err(Created::Blocked(block));
    }
    let session = new.session;
    let claims = state
        .obeyed(&session.claims, session.created, new.patches)
        .map_err(Created::Unfit)?;
    let session = claims.map_or(Cow::Borrowed(session), |claims| {
        Cow::Owned(Session {
            claims,
            ..session.clone()
        })
    });
    Ok((session, state))
}

/// Whether a login keeps the user's state alive: only one that obeys what lasts.
pub(super) fn keeps_state(new: &NewSession<'_>, state: &UserState) -> bool {
    let lasts = |kept: &KeptPatch| kept.until.is_none();
    new.patches == PatchLife::Lasting && state.patch.as_ref().is_some_and(lasts)
}

/// The state with one more change in it, which is surely written by this time.
pub(super) fn patched(
    before: UserState,
    patch: &ClaimsPatch,
    at: UnixMillis,
    life: PatchLife,
) -> Result<UserState, ClaimsError> {
    // What was to last before the app had a login hook, the hook has replaced.
    let lasts = |kept: &&KeptPatch| life == PatchLife::Lasting || kept.until.is_some();
    let patch = match before.patch.as_ref().filter(lasts) {
        Some(kept) => followed_by(&kept.patch, patch)?,
        None => patch.clone(),
    };
    // A login that brings no claims of its own has to be possible.
    Claims::default().merged(&patch)?;
    let until = match life {
        PatchLife::Lasting => None,
        PatchLife::Login(lease) => Some(at.plus(lease)),
    };
    let kept = (!patch.is_empty()).then_some(KeptPatch { patch, at, until });
    Ok(UserState {
        patch: kept,
        ..before
    })
}

/// Both patches as one. Where they name too many claims, it forgets what was removed before: the
/// sessions do not have that any more, and few logins bring it.
fn followed_by(kept: &ClaimsPatch, later: &ClaimsPatch) -> Result<ClaimsPatch, ClaimsError> {
    match kept.followed_by(later) {
        Err(ClaimsError::ManyChanges) => {
            let set = kept.iter().filter(|(_, value)| value.is_some());
            let set = set.map(|(name, value)| (name.to_owned(), value.cloned()));
            ClaimsPatch::new(set.collect())?.followed_by(later)
        }
        both => both,
    }
}

/// The records of a user's sessions with a change of claims in them.
pub(super) struct ChangedRecords<'a> {
    patch: &'a ClaimsPatch,
    pub(super) records: Vec<ChangedRecord>,
    /// The newest session's, and when it began.
    newest: Option<(UnixMillis, Claims)>,
    sessions: u64,
}

pub(super) struct ChangedRecord {
    pub(super) id: SessionId,
    pub(super) key: String,
    /// What the record began with when it was read; empty: there was none.
    pub(super) stamp: Vec<u8>,
    /// Empty: it stays as it is.
    pub(super) changed: Vec<u8>,
}

impl<'a> ChangedRecords<'a> {
    pub(super) const fn new(patch: &'a ClaimsPatch) -> Self {
        Self {
            patch,
            records: Vec::new(),
            newest: None,
            sessions: 0,
        }
    }

    /// Adds what is stored of a session; what came of the change if it is impossible.
    pub(super) fn add(
        &mut self,
        sealer: &Sealer,
        key: &str,
        id: SessionId,
        user: &UserKey,
        stored: &[u8],
    ) -> Option<ClaimsChange> {
        let mut record = ChangedRecord {
            id,
            key: key.to_owned(),
            stamp: Vec::new(),
            changed: Vec::new(),
        };
        if !stored.is_empty() {
            record.stamp = stamp_of(stored).0.to_vec();
            match sealer.open_stored(key, stored) {
                // The index is not sealed: whoever could write to it must not change a stranger's
                // session.
                Ok(Stored::Session(session)) if session.user == *user => {
                    match self.changed(sealer, key, session) {
                        Ok(changed) => record.changed = changed,
                        Err(error) => return Some(ClaimsChange::Unfit(error)),
                    }
                }
                // A name that was rotated away changes nothing: its session has another one.
                Ok(_) => {}
                Err(why) => return Some(ClaimsChange::Unreadable(id, why.0)),
            }
        }
        self.records.push(record);
        None
    }

    fn changed(
        &mut self,
        sealer: &Sealer,
        key: &str,
        session: Session,
    ) -> Result<Vec<u8>, ClaimsError> {
        let claims = session.claims.merged(self.patch)?;
        self.sessions += 1;
        let is_newest = |(created, _): &(UnixMillis, Claims)| session.created >= *created;
        if self.newest.as_ref().is_none_or(is_newest) {
            self.newest = Some((session.created, claims.clone()));
        }
        if claims == session.claims {
            return Ok(Vec::new());
        }
        Ok(sealer.seal_session(key, &Session { claims, ..session }))
    }

    /// The change, once it is written together with this state.
    pub(super) fn done(self, state: &UserState) -> ClaimsChange {
        let kept = state.patch.as_ref();
        let of_none = || {
            let merged = kept.map(|kept| Claims::default().merged(&kept.patch));
            merged.and_then(Result::ok).unwrap_or_default()
        };
        ClaimsChange::Done {
            sessions: self.sessions,
            claims: self.newest.map_or_else(of_none, |(_, claims)| claims),
        }
    }
}
