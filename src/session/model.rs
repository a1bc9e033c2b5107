//! What is known of a signed-in user.

use std::any::Any;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

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
    /// The requests of one worker take the lock in turn, so they hardly wait for it.
    derived: Mutex<Option<Box<dyn Any + Send>>>,
}

impl SharedSession {
    /// Gives `read` the value that it derived from the session before. The session keeps the value as
    /// long as it lives. The first call, and a call after another type was kept, get the default.
    pub fn with_derived<T: Any + Send + Default, R>(&self, read: impl FnOnce(&mut T) -> R) -> R {
        let mut kept = self.0.derived.lock();
        if let Some(derived) = kept.as_mut().and_then(|kept| kept.downcast_mut()) {
            return read(derived);
        }
        let mut derived = T::default();
        let value = read(&mut derived);
        *kept = Some(Box::new(derived));
        value
    }
}

impl From<Session> for SharedSession {
    fn from(session: Session) -> Self {
        Self(Arc::new(Shared {
            session,
            derived: Mutex::new(None),
        }))
    }
}

impl Deref for SharedSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0.session
    }
}

/// What a sealed record begins with: version, key id and nonce. No two records begin alike, so it
/// tells whether a record is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordStamp(pub [u8; 15]);

/// A session as it was found.
#[derive(Debug, Clone)]
pub struct LoadedSession {
    /// Its present name, also where the token was rotated away a moment ago.
    pub id: SessionId,
    /// The record that it was read from.
    pub stamp: RecordStamp,
    /// The session.
    pub session: SharedSession,
    /// How long it lives without a use. A token that was rotated away may live shorter than its
    /// session; then this is the life of the token.
    pub expires_in: Duration,
    /// The asked token was rotated away: the sealed answer that the rotation gave.
    pub rotated: Option<Vec<u8>>,
    /// The store's time at the lookup.
    pub now: UnixMillis,
}

impl LoadedSession {
    /// How long it lives at most.
    pub fn absolute_expires_in(&self) -> Duration {
        self.session.absolute_deadline.since(self.now)
    }
}

/// One generation of a user's session_key, with the time by which generations are ordered.
#[derive(Debug, Clone)]
pub struct SessionKey {
    /// The key as the platform wrote it.
    pub key: Secret<String>,
    /// When the login that brought it reserved its code.
    pub reserved_at: UnixMillis,
}
