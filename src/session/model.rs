//! What is known of a signed-in user.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::secret::Secret;
use crate::session::claims::Claims;
use crate::session::token::SessionId;
use crate::session::user::UserKey;

/// A session as the store keeps it. All times are by the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose session it is.
    pub user: UserKey,
    /// The platform's name for the user across the apps of one owner, where it gives one.
    pub unionid: Option<Arc<str>>,
    /// When the login's code was reserved.
    pub created: UnixMillis,
    /// When the session ends, used or not.
    pub absolute_deadline: UnixMillis,
    /// Where the login came from, for the user's own list of devices.
    pub client_address: Option<IpAddr>,
    /// A short name of the device at login, for the same list; at most [`Session::DEVICE_MAX`]
    /// bytes.
    pub device: String,
    /// Further facts that the provider vouches for.
    pub claims: Claims,
}

impl Session {
    /// Longest device name that is kept, in bytes: a record stays near 150 bytes.
    pub const DEVICE_MAX: usize = 24;
}

/// A session as it was read once, shared by all requests that it serves.
#[derive(Debug, Clone)]
pub struct SharedSession(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    session: Session,
    header_lines: [OnceLock<(u64, Box<str>)>; 2],
}

/// Who the header lines are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinesFor {
    /// An upstream.
    Upstream = 0,
    /// A proxy that asks whether a request may pass.
    Asker = 1,
}

impl SharedSession {
    /// The session's header lines: written by the first request, and the same for all that follow
    /// under one `edition` of the names and app ids in them. After those have changed, a session
    /// that was read before has its lines written for each request.
    #[must_use]
    pub fn header_lines(
        &self,
        of: LinesFor,
        edition: u64,
        write: impl Fn() -> String,
    ) -> Cow<'_, str> {
        let (of, lines) =
            self.0.header_lines[of as usize].get_or_init(|| (edition, write().into()));
        if *of == edition {
            Cow::Borrowed(lines)
        } else {
            Cow::Owned(write())
        }
    }
}

impl From<Session> for SharedSession {
    fn from(session: Session) -> Self {
        Self(Arc::new(Shared {
            session,
            header_lines: Default::default(),
        }))
    }
}

impl Deref for SharedSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0.session
    }
}

/// A session as it was found.
#[derive(Debug, Clone)]
pub struct LoadedSession {
    /// Its name. Of a token that was rotated away a moment ago this is the name of what the session
    /// is now.
    pub id: SessionId,
    /// The session.
    pub session: SharedSession,
    /// How long it lives if nobody uses it; under a token that was rotated away, at most as long as
    /// that one does.
    pub expires_in: Duration,
    /// The asked token was rotated away: the sealed answer that the rotation gave.
    pub rotated: Option<Vec<u8>>,
    /// The store's time at the lookup.
    pub now: UnixMillis,
}

/// One generation of a user's session_key, with the time by which generations are ordered.
#[derive(Debug, Clone)]
pub struct SessionKey {
    /// The key as the platform wrote it.
    pub key: Secret<String>,
    /// When the login that brought it reserved its code.
    pub reserved_at: UnixMillis,
}
