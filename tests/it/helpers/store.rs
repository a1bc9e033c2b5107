//! Stores for the contract suite and for fault tests, and what they hold seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hufu::clock::{ManualClock, UnixMillis};
use hufu::crypto::encoding::base64url;
use hufu::crypto::keyring::{Keyring, NamingKey};
use hufu::identity::{ComponentStore, LoginCodes, PlatformTokens};
use hufu::limit::CounterStore;
use hufu::metrics::Metrics;
use hufu::push::PushMessages;
use hufu::secret::Secret;
use hufu::session::store::{Created, CreatedSession};
use hufu::session::token::tag_of;
use hufu::session::{
    Claims, LoadedSession, Lookup, NewSession, PatchLife, ProviderKind, Rotated, Rotation, Session,
    SessionCount, SessionId, SessionKey, SessionKeys, SessionRules, SessionService, SessionStore,
    SessionToken, StoreError, UserKey, Users, Written,
};
use hufu::store::{self, KeyPrefix, MemoryStore, RedisStore, StoreHandle, StoreSettings, StoreUrl};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::redis_server::RedisServer;
use super::wait::until;

/// A store under test, with the keys that it was opened with.
pub(crate) struct Harness {
    pub(crate) place: Place,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) naming: Arc<NamingKey>,
    pub(crate) prefix: String,
    pub(crate) turn: Turn,
}

/// Of many cases that share a machine only a few do something at the same time, so that none is too
/// slow for what ends by itself. A case that lets time pass leaves its turn to others, and waits for
/// no other turn: what it waited for does not wait for it.
#[derive(Default)]
pub(crate) struct Turn {
    /// `None`: nobody else is here.
    all: Option<Arc<Semaphore>>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turn {
    /// Of a case that is one of many.
    pub(crate) fn of(all: &Arc<Semaphore>) -> Self {
        Self {
            all: Some(all.clone()),
            held: Mutex::default(),
        }
    }

    pub(crate) async fn begin(&self) {
        if let Some(all) = &self.all {
            let turn = all.clone().acquire_owned().await.unwrap();
            *self.held.lock().unwrap() = Some(turn);
        }
    }

    pub(crate) fn end(&self) {
        drop(self.held.lock().unwrap().take());
    }
}

/// Which store it is, and how a test looks into it and lets its time pass.
pub(crate) enum Place {
    Memory(Arc<MemoryStore>, ManualClock),
    /// With a user who may see everything.
    Redis(Arc<RedisStore>, Inspector),
}

/// A key as somebody sees it who has stolen the store's disk.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) content: Vec<u8>,
    pub(crate) expires_in: Option<Duration>,
    /// Of a user's hash: the sessions that it names, and when they expire, in milliseconds.
    pub(crate) members: Vec<(String, u64)>,
}

impl Harness {
    pub(crate) fn memory(prefix: &str) -> Self {
        let (keys, naming) = fresh_keys();
        let clock = ManualClock::at(UnixMillis(1_764_000_000_000));
        let store = MemoryStore::new(
            Arc::new(clock.clone()),
            KeyPrefix::new(prefix).unwrap(),
            keys.clone(),
            naming.clone(),
            Arc::new(Metrics::new()),
        );
        Self {
            place: Place::Memory(Arc::new(store), clock),
            keys,
            naming,
            prefix: prefix.to_owned(),
            turn: Turn::default(),
        }
    }

    /// A store in Redis that logs in with `url`, and is looked into with `inspector`.
    pub(crate) fn redis(url: &str, inspector: &str, prefix: &str) -> Self {
        let mut settings = settings(url);
        settings.key_prefix = KeyPrefix::new(prefix).unwrap();
        Self::with_settings(&settings, inspector)
    }

    pub(crate) fn with_settings(settings: &StoreSettings, inspector: &str) -> Self {
        Self::looked_into(settings, Inspector(vec![inspector.to_owned()]))
    }

    pub(crate) fn looked_into(settings: &StoreSettings, inspector: Inspector) -> Self {
        let (keys, naming) = fresh_keys();
        let handle = store::open(
            settings,
            keys.clone(),
            naming.clone(),
            Arc::new(Metrics::new()),
        )
        .unwrap();
        let place = Place::Redis(Arc::new(handle.redis().unwrap()), inspector);
        Self {
            place,
            keys,
            naming,
            prefix: settings.key_prefix.as_str().to_owned(),
            turn: Turn::default(),
        }
    }

    /// A store on a server without users.
    pub(crate) fn on(server: &RedisServer) -> Self {
        Self::redis(&server.url(""), &server.url(""), "hufu")
    }

    /// Another store over the same data, with these limits and connected. Nobody looks into it.
    pub(crate) async fn beside(&self, settings: &StoreSettings) -> Self {
        let (keys, naming) = (self.keys.clone(), self.naming.clone());
        let metrics = Arc::new(Metrics::new());
        let handle = store::open(settings, keys.clone(), naming.clone(), metrics).unwrap();
        let store = Arc::new(handle.redis().unwrap());
        let beside = Self {
            place: Place::Redis(store, Inspector(Vec::new())),
            keys,
            naming,
            prefix: settings.key_prefix.as_str().to_owned(),
            turn: Turn::default(),
        };
        beside.recovers().await;
        beside
    }

    pub(crate) fn store(&self) -> &dyn SessionStore {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    // The store's operations, where it answers.

    pub(crate) async fn now(&self) -> UnixMillis {
        self.store().now().await.unwrap()
    }

    /// Makes a session that no limit refuses.
    pub(crate) async fn create(&self, new: NewSession<'_>) -> CreatedSession {
        made(self.store().create(new).await.unwrap())
    }

    pub(crate) async fn load(&self, id: &SessionId) -> Lookup {
        self.store().load(id).await.unwrap()
    }

    pub(crate) async fn renew(
        &self,
        id: &SessionId,
        user: &UserKey,
        idle: Duration,
        deadline: UnixMillis,
    ) -> Written {
        let renewed = self.store().renew(id, user, idle, deadline);
        renewed.await.unwrap()
    }

    pub(crate) async fn remove(&self, id: &SessionId, user: &UserKey) -> Written {
        self.store().remove(id, user).await.unwrap()
    }

    pub(crate) async fn rotate(&self, rotation: Rotation<'_>) -> Rotated {
        self.store().rotate(rotation).await.unwrap()
    }

    pub(crate) async fn list(&self, user: &UserKey) -> Vec<LoadedSession> {
        self.store().list(user).await.unwrap()
    }

    pub(crate) async fn remove_all(&self, user: &UserKey) -> u64 {
        self.store().remove_all(user).await.unwrap()
    }

    pub(crate) async fn count(&self) -> SessionCount {
        self.store().count().await.unwrap()
    }

    pub(crate) fn codes(&self) -> &dyn LoginCodes {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    pub(crate) fn keys(&self) -> &dyn SessionKeys {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    pub(crate) fn users(&self) -> &dyn Users {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    pub(crate) fn counters(&self) -> &dyn CounterStore {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    pub(crate) fn components(&self) -> &dyn ComponentStore {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    pub(crate) fn tokens(&self) -> &dyn PlatformTokens {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    pub(crate) fn pushes(&self) -> &dyn PushMessages {
        match &self.place {
            Place::Memory(store, _) => &**store,
            Place::Redis(store, _) => &**store,
        }
    }

    /// The rules of sessions over this store.
    pub(crate) fn service(&self, rules: SessionRules) -> SessionService {
        let store: Arc<dyn SessionStore> = match &self.place {
            Place::Memory(store, _) => store.clone(),
            Place::Redis(store, _) => store.clone(),
        };
        SessionService::new(
            store,
            self.keys.clone(),
            self.naming.clone(),
            rules,
            Arc::new(Metrics::new()),
        )
    }

    /// Fails unless the indexes name the sessions that there are records of, and no other that has
    /// not expired.
    pub(crate) async fn assert_consistent(&self) {
        let now = self.now().await.0;
        let (mut recorded, mut named) = (BTreeSet::new(), BTreeSet::new());
        for (key, seen) in self.look().await {
            let (kind, name) = key
                .strip_prefix(&format!("{}:", self.prefix))
                .unwrap()
                .split_at(1);
            if kind == "s"
                && (seen.content.starts_with(b"\x01") || seen.content.starts_with(br"\x01"))
            {
                recorded.insert(name.rsplit(':').next().unwrap().to_owned());
            }
            // An expired one stays until the next write.
            named.extend(
                seen.members
                    .into_iter()
                    .filter(|(_, expiry)| *expiry > now)
                    .map(|(name, _)| name),
            );
        }
        assert_eq!(named, recorded, "the index, and the records");
    }

    /// Waits until the store answers again.
    pub(crate) async fn recovers(&self) {
        until("the store to recover", async || {
            self.store().now().await.ok()
        })
        .await;
    }

    pub(crate) async fn session_keys(&self, user: &UserKey) -> Vec<String> {
        let kept = self.keys().session_keys(user).await;
        kept.unwrap()
            .into_iter()
            .map(|generation| generation.key.expose().clone())
            .collect()
    }

    /// Lets the store's time pass.
    pub(crate) async fn pass(&self, span: Duration) {
        match &self.place {
            Place::Memory(_, clock) => clock.advance(span),
            Place::Redis(store, _) => {
                // Redis takes a key for expired one millisecond after its time.
                let then = store
                    .now()
                    .await
                    .unwrap()
                    .plus(span + Duration::from_millis(2));
                // Time itself is waited for: a hundred cases that look at the clock all the time
                // would make the machine slow.
                self.turn.end();
                tokio::time::sleep(span).await;
                until("the store's clock", async || {
                    store.now().await.unwrap() >= then
                })
                .await;
            }
        }
    }

    /// Everything under this harness's prefix.
    pub(crate) async fn look(&self) -> BTreeMap<String, Seen> {
        match &self.place {
            Place::Memory(store, _) => {
                let seen = store.dump().into_iter().map(|entry| {
                    let fields = entry
                        .content
                        .lines()
                        .filter_map(|line| line.split_once(" → "))
                        .filter(|(name, _)| name.len() == 22);
                    let members = fields
                        .map(|(name, value)| (name.to_owned(), expiry_of(value.as_bytes())))
                        .collect();
                    (
                        entry.key,
                        Seen {
                            content: entry.content.into_bytes(),
                            expires_in: Some(entry.expires_in),
                            members,
                        },
                    )
                });
                seen.collect()
            }
            Place::Redis(_, inspector) => inspector.look(&self.prefix).await,
        }
    }

    /// The only key of one kind (`s`, `u`, `c`).
    pub(crate) async fn only(&self, kind: &str) -> Option<(String, Seen)> {
        let beginning = format!("{}:{kind}:", self.prefix);
        let mut found: Vec<_> = self
            .look()
            .await
            .into_iter()
            .filter(|(key, _)| key.starts_with(&beginning))
            .collect();
        assert!(found.len() <= 1, "{found:?}");
        found.pop()
    }

    pub(crate) async fn alive(&self, id: &SessionId) -> bool {
        match self.load(id).await {
            Lookup::Found(_) => true,
            Lookup::Gone => false,
            Lookup::Unreadable(why) => panic!("unreadable: {why}"),
        }
    }

    /// The key of a session's record.
    pub(crate) fn key_of(&self, id: &SessionId) -> String {
        let (tag, hash) = (
            id.to_string()[..3].to_owned(),
            id.to_string()[3..].to_owned(),
        );
        format!("{}:s:{{{tag}}}:{hash}", self.prefix)
    }

    /// The name of a session that was never made.
    pub(crate) fn unknown(&self) -> SessionId {
        self.fresh_id(&user("nobody"))
    }

    pub(crate) fn fresh_id(&self, user: &UserKey) -> SessionId {
        SessionToken::issue(&self.keys, tag_of(&self.naming, user)).id()
    }

    /// A session of this user that begins at the store's present.
    pub(crate) async fn session(&self, user: &UserKey, absolute: Duration) -> Session {
        let created = self.now().await;
        Session {
            user: user.clone(),
            unionid: Some("o6_bmasdasdsad6_2sgVt7hMZOPfL".into()),
            created,
            absolute_deadline: created.plus(absolute),
            client_address: Some([203, 0, 113, 7].into()),
            device: "iPhone 15 Pro".to_owned(),
            claims: Claims::new([("scope", "snsapi_base")]).unwrap(),
        }
    }

    /// Makes a session that lives for these times.
    pub(crate) async fn sign_in(
        &self,
        user: &UserKey,
        idle: Duration,
        absolute: Duration,
    ) -> SessionId {
        let session = self.session(user, absolute).await;
        let id = self.fresh_id(user);
        self.create(new_session(id, &session, idle)).await;
        id
    }
}

/// A session of this user that begins now, for an hour.
pub(crate) fn session_of(subject: &str, now: UnixMillis) -> Session {
    let absolute_deadline = now.plus(Duration::from_secs(3600));
    Session {
        user: user(subject),
        unionid: None,
        created: now,
        absolute_deadline,
        client_address: None,
        device: String::new(),
        claims: Claims::default(),
    }
}

/// A plain session: no cap, no session_key, no answer.
pub(crate) fn new_session(id: SessionId, session: &Session, idle: Duration) -> NewSession<'_> {
    NewSession {
        id,
        session,
        idle,
        max_per_user: 0,
        session_key: None,
        limit: None,
        patches: PatchLife::Lasting,
        settlement: None,
    }
}

/// The session that was to be made.
pub(crate) fn made(created: Created) -> CreatedSession {
    match created {
        Created::Made(made) => made,
        refused => panic!("{refused:?}"),
    }
}

pub(crate) fn session_key(text: &str, reserved_at: UnixMillis) -> SessionKey {
    SessionKey {
        key: Secret::new(text.to_owned()),
        reserved_at,
    }
}

pub(crate) fn user(subject: &str) -> UserKey {
    UserKey {
        provider: ProviderKind::WechatMiniProgram,
        app: "shop".into(),
        authorizer: None,
        subject: subject.into(),
    }
}

/// Settings with patience for a machine that runs all tests at once.
pub(crate) fn settings(url: &str) -> StoreSettings {
    StoreSettings {
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(10),
        ..hasty_settings(url)
    }
}

/// The defaults, for a server that does not answer. One that lives may be too slow for them.
pub(crate) fn hasty_settings(url: &str) -> StoreSettings {
    // Whoever comes first installs it; the process needs one for `rediss://`.
    let _ = rustls::crypto::ring::default_provider().install_default();
    StoreSettings::new(StoreUrl::parse(url).unwrap())
}

/// A store over these settings, with keys of its own.
pub(crate) fn open(settings: &StoreSettings) -> StoreHandle {
    let (keys, naming) = fresh_keys();
    store::open(settings, keys, naming, Arc::new(Metrics::new())).unwrap()
}

pub(crate) fn fresh_keys() -> (Arc<Keyring>, Arc<NamingKey>) {
    (
        Arc::new(Keyring::ephemeral()),
        Arc::new(NamingKey::ephemeral()),
    )
}

/// An answer that must come although the server says nothing. It takes two seconds at most where the
/// machine does not stand still.
pub(crate) async fn answer_in_time<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(Duration::from_secs(30), call)
        .await
        .expect("an answer in time")
}

/// A connection for looking into a Redis. The library would give up after half a second.
pub(crate) async fn inspect(url: &str) -> redis::aio::MultiplexedConnection {
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection_with_config(&patient)
        .await
        .unwrap()
}

/// Servers that hold a store, seen from outside.
pub(crate) struct Inspector(pub(crate) Vec<String>);

impl Inspector {
    /// Runs a command on the server that has its key.
    pub(crate) async fn run<T: redis::FromRedisValue>(&self, words: &[&[u8]]) -> T {
        for url in &self.0 {
            let answer = redis::cmd(std::str::from_utf8(words[0]).unwrap())
                .arg(&words[1..])
                .query_async(&mut inspect(url).await)
                .await;
            match answer {
                Err(error) if error.code() == Some("MOVED") => {}
                answer => return answer.unwrap(),
            }
        }
        panic!("no server has the key")
    }

    async fn look(&self, prefix: &str) -> BTreeMap<String, Seen> {
        let mut seen = BTreeMap::new();
        for url in &self.0 {
            seen.extend(look_into(url, prefix).await);
        }
        seen
    }
}

async fn look_into(url: &str, prefix: &str) -> BTreeMap<String, Seen> {
    let mut redis = inspect(url).await;
    let mut seen = BTreeMap::new();
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}:*"))
            .arg("COUNT")
            .arg(1000)
            .query_async(&mut redis)
            .await
            .unwrap();
        for key in keys {
            seen.extend(look_at(&mut redis, &key).await.map(|found| (key, found)));
        }
        cursor = next;
        if cursor == 0 {
            return seen;
        }
    }
}

/// `None` when it has expired since it was listed.
async fn look_at(redis: &mut redis::aio::MultiplexedConnection, key: &str) -> Option<Seen> {
    let (kind, lives): (String, i64) = redis::pipe()
        .cmd("TYPE")
        .arg(key)
        .cmd("PTTL")
        .arg(key)
        .query_async(redis)
        .await
        .unwrap();
    let read: redis::RedisResult<Vec<Vec<u8>>> = match kind.as_str() {
        "string" => redis::cmd("GET")
            .arg(key)
            .query_async(redis)
            .await
            .map(|bytes: Vec<u8>| vec![bytes]),
        "hash" => redis::cmd("HGETALL").arg(key).query_async(redis).await,
        "zset" => {
            redis::cmd("ZRANGE")
                .arg(key)
                .arg(&["0", "-1", "WITHSCORES"])
                .query_async(redis)
                .await
        }
        _ => return None,
    };
    let (read, expires_in) = (
        read.ok()?,
        u64::try_from(lives).ok().map(Duration::from_millis),
    );
    let fields = read
        .chunks_exact(2)
        .filter(|field| kind == "hash" && field[0].len() == 16);
    Some(Seen {
        members: fields
            .map(|field| (base64url(&field[0]), expiry_of(&field[1])))
            .collect(),
        content: read.concat(),
        expires_in,
    })
}

/// Of a member's `expiry:created`.
fn expiry_of(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .unwrap()
        .split_once(':')
        .unwrap()
        .0
        .parse()
        .unwrap()
}
