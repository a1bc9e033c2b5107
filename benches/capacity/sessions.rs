//! Sessions as WeChat's users have them, made through the gateway's own store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hufu::clock::UnixMillis;
use hufu::crypto::keyring::{Keyring, NamingKey};
use hufu::crypto::{encoding, hash, random};
use hufu::identity::Reservation;
use hufu::metrics::Metrics;
use hufu::secret::Secret;
use hufu::session::store::{LoginKey, Settlement};
use hufu::session::token::tag_of;
use hufu::session::{
    Claims, NewSession, PatchLife, ProviderKind, Session, SessionId, SessionKey, UserKey,
};
use hufu::store::{self, StoreSettings, StoreUrl, Stores};

use crate::server::Redis;

const HOUR: Duration = Duration::from_secs(3600);
/// The defaults of `[session]`.
const IDLE: Duration = Duration::from_secs(24 * 3600);
const ABSOLUTE: Duration = Duration::from_secs(72 * 3600);
const MAX_PER_USER: u32 = 10;
/// Connections to Redis, as workers have them.
const WORKERS: usize = 4;
/// Bytes of a login's answer as it is kept for a moment: token, session_id and lifetimes as JSON,
/// sealed.
const ANSWER: usize = 250;
/// Requests under way at once while Redis is filled.
const MANY: usize = 256;
/// While its work is measured: two on each connection, as on a quiet day. On a busy one more of
/// them share a system call.
const FEW: usize = 2 * WORKERS;

/// The store of a few workers, and the keys.
pub(crate) struct Sessions {
    workers: Vec<Arc<Stores>>,
    naming: Arc<NamingKey>,
    /// Of the sessions that are made.
    claims: Claims,
}

impl Sessions {
    pub(crate) fn on(redis: &Redis) -> Self {
        let mut settings =
            StoreSettings::new(StoreUrl::parse(&redis.url()).expect("the URL is right"));
        settings.timeout = Duration::from_secs(30);
        let (keys, naming) = (
            Arc::new(Keyring::ephemeral()),
            Arc::new(NamingKey::ephemeral()),
        );
        let handle = store::open(&settings, keys, naming.clone(), Arc::new(Metrics::new()))
            .expect("the settings are right");
        Self {
            workers: (0..WORKERS).map(|_| Arc::new(handle.worker())).collect(),
            naming,
            claims: Claims::default(),
        }
    }

    /// The same, and the sessions that are made have these claims.
    pub(crate) fn with_claims(&self, claims: Claims) -> Self {
        Self {
            workers: self.workers.clone(),
            naming: self.naming.clone(),
            claims,
        }
    }

    /// One session of a user; the same number of the same user is always the same session.
    pub(crate) fn id(&self, user: u64, session: u64) -> SessionId {
        let name = hash::sha256(format!("{user} {session}").as_bytes());
        SessionId {
            tag: tag_of(&self.naming, &user_of(user)),
            hash: hash::first(&name),
        }
    }

    /// Runs this for every number below `count`, many at once.
    pub(crate) async fn for_all<F: Future<Output = ()>>(
        &self,
        count: u64,
        work: impl Fn(Arc<Stores>, u64) -> F,
    ) {
        self.run(MANY, count, work).await;
    }

    /// The same, a few at once.
    pub(crate) async fn for_each<F: Future<Output = ()>>(
        &self,
        count: u64,
        work: impl Fn(Arc<Stores>, u64) -> F,
    ) {
        self.run(FEW, count, work).await;
    }

    async fn run<F: Future<Output = ()>>(
        &self,
        at_once: usize,
        count: u64,
        work: impl Fn(Arc<Stores>, u64) -> F,
    ) {
        let runs = stream::iter(0..count)
            .map(|number| work(self.workers[number as usize % WORKERS].clone(), number));
        runs.buffer_unordered(at_once).collect::<()>().await;
    }

    /// Signs a user in, as a login of the gateway does, but for the code's reservation.
    pub(crate) async fn sign_in(
        &self,
        store: &Stores,
        user: u64,
        session: u64,
        settlement: Option<Settlement>,
    ) {
        let now = store.sessions.now().await.expect("Redis answers");
        let made = Session {
            claims: self.claims.clone(),
            ..session_of(user, now)
        };
        let key = SessionKey {
            key: Secret::new(encoding::base64(&random::bytes::<16>())),
            reserved_at: now,
        };
        let id = self.id(user, session);
        let new = NewSession {
            id,
            session: &made,
            idle: IDLE,
            max_per_user: MAX_PER_USER,
            session_key: Some(&key),
            settlement,
            limit: None,
            patches: PatchLife::Lasting,
        };
        store
            .sessions
            .create(new)
            .await
            .expect("the session is made");
    }

    /// Reserves a code, and signs a user in with it; the answer is kept for a client that lost it.
    pub(crate) async fn log_in(&self, store: &Stores, user: u64, session: u64, keep: Duration) {
        let login: LoginKey = random::name_bytes();
        let Reservation::Leader { ticket, .. } = store
            .login_codes
            .reserve(&login, HOUR)
            .await
            .expect("Redis answers")
        else {
            panic!("the code is new")
        };
        let answer = vec![7; ANSWER];
        self.sign_in(
            store,
            user,
            session,
            Some(Settlement {
                login,
                ticket,
                answer,
                keep,
            }),
        )
        .await;
    }

    /// Renews a session, as the first request after a tenth of the idle timeout does.
    pub(crate) async fn renew(&self, store: &Stores, user: u64) {
        let deadline = store
            .sessions
            .now()
            .await
            .expect("Redis answers")
            .plus(ABSOLUTE);
        let _ = store
            .sessions
            .renew(&self.id(user, 0), &user_of(user), IDLE, deadline)
            .await
            .expect("Redis answers");
    }

    /// Ends a session.
    pub(crate) async fn remove(&self, store: &Stores, user: u64, session: u64) {
        let _ = store
            .sessions
            .remove(&self.id(user, session), &user_of(user))
            .await
            .expect("Redis answers");
    }
}

/// A user with an openid of the usual length.
fn user_of(number: u64) -> UserKey {
    UserKey {
        provider: ProviderKind::WechatMiniProgram,
        app: "shop".into(),
        authorizer: None,
        subject: format!("oGZUI0egBJY1zhBYw2Kh{number:08}").into(),
    }
}

fn session_of(user: u64, created: UnixMillis) -> Session {
    Session {
        user: user_of(user),
        unionid: Some("o6_bmasdasdsad6_2sgVt7hMZOPfL".into()),
        created,
        absolute_deadline: created.plus(ABSOLUTE),
        client_address: Some([203, 0, 113, 7].into()),
        device: "iPhone 15 Pro".to_owned(),
        claims: Claims::default(),
    }
}
