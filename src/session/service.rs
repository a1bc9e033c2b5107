//! What the gateway does with sessions: issue, resolve, end; `rotation` and `devices` have the
//! rest.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::limit::{CellName, Limit, LimitRefusal, Policy, Quota};
use crate::metrics::{Counter, Metrics, Outcome};
use crate::secret::Secret;
use crate::session::claims::{Claims, ClaimsError};
use crate::session::lifetime::Lifetime;
use crate::session::model::{LoadedSession, RecordStamp, Session, SessionKey, SharedSession};
use crate::session::store::{
    Created, Lookup, NewSession, SessionStore, Settlement, StoreError, Written,
};
use crate::session::token::{self, KnownTokens, SessionId, SessionToken};
use crate::session::user::UserKey;
use crate::session::user_state::{Block, PatchLife, UnreadableState};

/// A session that was just found alive.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// Its public name.
    pub id: SessionId,
    /// The record that it was read from.
    pub stamp: RecordStamp,
    /// Its content.
    pub session: SharedSession,
    /// How long it lives if nobody uses it again.
    pub expires_in: Duration,
    /// How long it lives at most.
    pub absolute_expires_in: Duration,
}

impl From<LoadedSession> for LiveSession {
    fn from(loaded: LoadedSession) -> Self {
        Self {
            id: loaded.id,
            stamp: loaded.stamp,
            absolute_expires_in: loaded.absolute_expires_in(),
            session: loaded.session,
            expires_in: loaded.expires_in,
        }
    }
}

/// A session that was just made, with the token that opens it.
#[derive(Debug)]
pub struct IssuedSession {
    /// For the client, and for nobody else.
    pub token: SessionToken,
    /// Its public name.
    pub id: SessionId,
    /// The app whose user it is.
    pub app: Arc<str>,
    /// How long it lives if nobody uses it.
    pub expires_in: Duration,
    /// How long it lives at most.
    pub absolute_expires_in: Duration,
}

/// Who signs in, as the login flow found out.
#[derive(Debug)]
pub struct SignIn {
    /// The user.
    pub user: UserKey,
    /// What will open the session, from [`SessionService::draw_token`].
    pub token: SessionToken,
    /// The user across apps, where known.
    pub unionid: Option<Arc<str>>,
    /// The platform's session_key, where it has one.
    pub session_key: Option<Secret<String>>,
    /// Further facts.
    pub claims: Claims,
    /// The client's address.
    pub client_address: Option<IpAddr>,
    /// The client's device, any length.
    pub device: String,
    /// The store's time when the code was reserved.
    pub reserved_at: UnixMillis,
    /// How often one user may sign in.
    pub quota: Option<Quota>,
    /// Which changes of the user's claims the login obeys.
    pub patches: PatchLife,
}

/// What came of signing in.
#[must_use]
#[derive(Debug)]
pub enum SignedIn {
    /// There is a session.
    Issued(IssuedSession),
    /// The user's quota is used up, and nothing was made.
    Limited(LimitRefusal),
    /// An operator has blocked the user, and nothing was made.
    Blocked(Block),
    /// Its claims and the changes of the user's claims break a limit together, and nothing was made.
    Unfit(ClaimsError),
    /// Nobody knows whether the user is blocked, and nothing was made.
    UnreadableState(UnreadableState),
}

/// What the operator has decided about sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionRules {
    /// The two timeouts.
    pub lifetime: Lifetime,
    /// Sessions that one user may have at once; 0: no cap.
    pub max_per_user: u32,
    /// How long a token that was rotated away still opens its session.
    pub rotate_grace: Duration,
}

/// The rules of sessions over a store.
pub struct SessionService {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) keys: Arc<Keyring>,
    pub(super) naming: Arc<NamingKey>,
    pub(super) rules: SessionRules,
    pub(super) metrics: Arc<Metrics>,
    known: KnownTokens,
    found: Counter,
}

impl SessionService {
    /// The service over a store.
    pub fn new(
        store: Arc<dyn SessionStore>,
        keys: Arc<Keyring>,
        naming: Arc<NamingKey>,
        rules: SessionRules,
        metrics: Arc<Metrics>,
    ) -> Self {
        let found = metrics
            .session
            .lookups
            .get_or_create_owned(&Outcome { outcome: "found" });
        Self {
            store,
            keys,
            naming,
            rules,
            metrics,
            known: KnownTokens::default(),
            found,
        }
    }

    /// The store below, for the login flow's look at what it has issued.
    pub fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    /// The naming key, for the login flow's names.
    pub fn naming(&self) -> &NamingKey {
        &self.naming
    }

    /// Reads a token. A token that nobody issued is an error, and the store is not asked.
    pub fn read_token(&self, text: &str) -> Result<SessionToken, token::TokenError> {
        self.counted(SessionToken::parse(&self.keys, text))
    }

    /// The session that a token opens, if it lives; `Err` as for [`Self::read_token`].
    pub fn session_of(&self, text: &str) -> Result<SessionId, token::TokenError> {
        self.counted(self.known.session(&self.keys, text))
    }

    fn counted<T>(&self, read: Result<T, token::TokenError>) -> Result<T, token::TokenError> {
        if read.is_err() {
            self.count("invalid_token");
        }
        read
    }

    /// A fresh token for a session of this user.
    pub fn draw_token(&self, user: &UserKey) -> SessionToken {
        SessionToken::issue(&self.keys, token::tag_of(&self.naming, user))
    }

    /// Makes a session for a user who has just proved who they are. `settle` seals the answer for
    /// replays. It gets the issued session and returns what the store keeps beside the session.
    pub async fn issue(
        &self,
        sign_in: SignIn,
        settle: impl FnOnce(&IssuedSession) -> Option<Settlement>,
    ) -> Result<SignedIn, StoreError> {
        let limit = sign_in
            .quota
            .map(|quota| self.limit_of(Policy::PerUser, &sign_in.user, quota));
        let token = sign_in.token;
        let lifetime = self.rules.lifetime;
        let session = Session {
            user: sign_in.user,
            unionid: sign_in.unionid,
            created: sign_in.reserved_at,
            absolute_deadline: sign_in.reserved_at.plus(lifetime.absolute),
            client_address: sign_in.client_address,
            device: shortened(&sign_in.device, Session::DEVICE_MAX).to_owned(),
            claims: sign_in.claims,
        };
        let mut issued = IssuedSession {
            id: token.id(),
            token,
            app: session.user.app.clone(),
            expires_in: lifetime.idle.min(lifetime.absolute),
            absolute_expires_in: lifetime.absolute,
        };
        let session_key = sign_in.session_key.map(|key| SessionKey {
            key,
            reserved_at: sign_in.reserved_at,
        });
        let settlement = settle(&issued);
        let new = NewSession {
            id: issued.id,
            session: &session,
            idle: lifetime.idle,
            max_per_user: self.rules.max_per_user,
            session_key: session_key.as_ref(),
            limit,
            patches: sign_in.patches,
            settlement,
        };
        match (self.store.create(new).await?, limit) {
            (Created::Made(made), _) => {
                issued.expires_in = made.expires_in;
                Ok(SignedIn::Issued(issued))
            }
            (Created::Limited(level), Some(Limit { quota, .. })) => {
                Ok(SignedIn::Limited(LimitRefusal {
                    policy: Policy::PerUser,
                    quota,
                    retry_after: level.next_in(quota),
                }))
            }
            (Created::Blocked(block), _) => Ok(SignedIn::Blocked(block)),
            (Created::Unfit(error), _) => Ok(SignedIn::Unfit(error)),
            (Created::UnreadableState(state), _) => Ok(SignedIn::UnreadableState(state)),
            (Created::Limited(_), None) => {
                Err(StoreError::new("a limit that nobody set is used up"))
            }
        }
    }

    /// The limit of one user, with its cell where the user's other keys are.
    pub fn limit_of(&self, policy: Policy, user: &UserKey, quota: Quota) -> Limit {
        let purpose = format!("limit {}", policy.as_str());
        let name = self.naming.name(&purpose, &user.parts());
        Limit {
            cell: CellName {
                tag: Some(token::tag_of(&self.naming, user)),
                name,
            },
            quota,
        }
    }

    /// The living session of this name, renewed when that is due; `None`: unknown, expired or
    /// revoked.
    pub async fn resolve(&self, id: &SessionId) -> Result<Option<LiveSession>, StoreError> {
        self.follow(id, true).await
    }

    /// The living session of an open stream, under the name that it has now. A stream that was used
    /// since the last look renews it as a request does.
    pub async fn follow(
        &self,
        id: &SessionId,
        used: bool,
    ) -> Result<Option<LiveSession>, StoreError> {
        let Some(loaded) = self.look_up(id).await? else {
            return Ok(None);
        };
        Ok(if used {
            self.renewed(loaded).await
        } else {
            Some(loaded.into())
        })
    }

    /// What the store knows under a name.
    pub(super) async fn look_up(
        &self,
        id: &SessionId,
    ) -> Result<Option<LoadedSession>, StoreError> {
        let lookup = match self.store.known(id) {
            Some(known) => Ok(known),
            None => self.store.load(id).await,
        };
        self.counted_lookup(id, lookup)
    }

    /// What a lookup has found; every one is counted here.
    pub(super) fn counted_lookup(
        &self,
        id: &SessionId,
        lookup: Result<Lookup, StoreError>,
    ) -> Result<Option<LoadedSession>, StoreError> {
        match lookup {
            Ok(Lookup::Found(loaded)) => {
                self.found.inc();
                return Ok(Some(loaded));
            }
            Ok(Lookup::Gone) => self.count("gone"),
            Ok(Lookup::Unreadable(why)) => {
                self.count("unreadable");
                log::warn!(session = id.to_string().as_str(); "cannot read a session record: {why}");
            }
            Err(error) => {
                self.count("store_unavailable");
                return Err(error);
            }
        }
        Ok(None)
    }

    async fn renewed(&self, mut loaded: LoadedSession) -> Option<LiveSession> {
        let LoadedSession {
            session,
            now,
            expires_in,
            rotated,
            ..
        } = &loaded;
        let lifetime = self.rules.lifetime;
        // A token that was rotated away renews nothing: its time is over soon, and its session's
        // began anew when it was rotated.
        if rotated.is_none() && lifetime.renewal_due(*now, *expires_in, session.absolute_deadline) {
            match self
                .store
                .renew(
                    &loaded.id,
                    &session.user,
                    lifetime.idle,
                    session.absolute_deadline,
                )
                .await
            {
                Ok(Written::Done) => {
                    loaded.expires_in =
                        lifetime.expiry(*now, session.absolute_deadline).since(*now);
                }
                // Rotated away between the read and the write: the token still opens the session
                // for a while.
                Ok(Written::Stale) => {}
                // Revoked between the read and the write: the write is the newer truth.
                Ok(Written::Gone) => return None,
                // It was alive a moment ago and lives on unrenewed; the next request tries again.
                Err(error) => log::warn!("cannot renew a session: {error}"),
            }
        }
        Some(loaded.into())
    }

    /// Ends the session of a token. One that has ended before is fine.
    pub async fn end(&self, token: &SessionToken) -> Result<(), StoreError> {
        let id = token.id();
        // Not from the near cache: whoever trusts a miss there ends nothing.
        match self.store.load_stored(&id).await? {
            Lookup::Found(loaded) => match self.store.remove(&id, &loaded.session.user).await? {
                Written::Done | Written::Gone | Written::Stale => Ok(()),
            },
            Lookup::Gone => {
                // Whoever repeats a logout, because its answer was lost, finds it so.
                self.store.announce_end(&id).await;
                Ok(())
            }
            Lookup::Unreadable(_) => Ok(()),
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics
            .session
            .lookups
            .get_or_create(&Outcome { outcome })
            .inc();
    }
}

/// The beginning of a text, in at most so many bytes.
pub fn shortened(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
