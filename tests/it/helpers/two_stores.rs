//! Two stores on one Redis, each with a near cache of its own.

use std::sync::Arc;
use std::time::Duration;

use hufu::metrics::Metrics;
use hufu::session::{Lookup, SessionId, SessionStore, Users};
use hufu::store::near_cache::NearCacheSettings;
use hufu::store::{InvalidationChoice, InvalidationMode, StoreHandle, StoreSettings, StoreUrl};

use super::redis_server::RedisServer;
use super::store::{Harness, user};
use super::wait::until;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// Short, so that a test sees both ends.
pub(crate) const CACHE: NearCacheSettings = NearCacheSettings {
    push: InvalidationChoice::Auto,
    capacity: 10_000,
    max_stale: Duration::from_millis(500),
    outage_grace: Duration::from_millis(1500),
};

/// Two stores on one Redis with the same keys, as two gateways have them, and a third that makes
/// sessions.
pub(crate) struct Two {
    pub(crate) near: Arc<dyn SessionStore>,
    pub(crate) other: Arc<dyn SessionStore>,
    pub(crate) other_users: Arc<dyn Users>,
    pub(crate) handle: StoreHandle,
    pub(crate) maker: Harness,
}

impl Two {
    pub(crate) fn on(redis: &RedisServer, cache: NearCacheSettings) -> Self {
        Self::over(&redis.url(""), redis, cache)
    }

    pub(crate) fn over(url: &str, redis: &RedisServer, cache: NearCacheSettings) -> Self {
        Self::open(url, redis, cache, Duration::from_secs(10))
    }

    fn open(url: &str, redis: &RedisServer, cache: NearCacheSettings, timeout: Duration) -> Self {
        let maker = Harness::patient_redis(&redis.url(""), &redis.url(""), "hufu");
        let settings = StoreSettings {
            near_cache: Some(cache),
            timeout,
            ..StoreSettings::new(StoreUrl::parse(url).unwrap())
        };
        let open = || {
            hufu::store::open(
                &settings,
                maker.keys.clone(),
                maker.naming.clone(),
                Arc::new(Metrics::new()),
            )
            .unwrap()
        };
        let handle = open();
        let other = open().worker();
        Self {
            near: handle.worker().sessions,
            other: other.sessions,
            other_users: other.users,
            handle,
            maker,
        }
    }

    /// With what `push` says in effect.
    pub(crate) async fn with(redis: &RedisServer, push: InvalidationChoice) -> Self {
        Self::on(redis, NearCacheSettings { push, ..CACHE })
            .ready(push)
            .await
    }

    /// The same, which gives a server that does not answer no more than the default time; all
    /// others have patience, for a machine that runs all tests at once.
    pub(crate) async fn hasty(redis: &RedisServer, push: InvalidationChoice) -> Self {
        Self::open(
            &redis.url(""),
            redis,
            NearCacheSettings { push, ..CACHE },
            Duration::from_millis(500),
        )
        .ready(push)
        .await
    }

    async fn ready(self, push: InvalidationChoice) -> Self {
        self.hears(if push == InvalidationChoice::Pubsub {
            InvalidationMode::Pubsub
        } else {
            InvalidationMode::Tracking
        })
        .await;
        self
    }

    pub(crate) async fn hears(&self, mode: InvalidationMode) {
        let _ = self.near.now().await;
        until("the way of hearing", async || {
            self.handle.invalidation().unwrap().mode == Some(mode)
        })
        .await;
    }

    pub(crate) async fn session(&self) -> SessionId {
        self.maker.sign_in(&user("o1"), HOUR, HOUR).await
    }
}

pub(crate) fn found(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Found(_))
}

pub(crate) fn connection(redis: &RedisServer) -> redis::Connection {
    redis::Client::open(redis.url(""))
        .unwrap()
        .get_connection()
        .unwrap()
}

/// How often Redis was asked for a value.
pub(crate) fn reads(connection: &mut redis::Connection) -> u64 {
    calls(connection, "get")
}

/// How often Redis was sent a command, named in lower case.
pub(crate) fn calls(connection: &mut redis::Connection, command: &str) -> u64 {
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query(connection)
        .unwrap();
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|rest| rest.split(',').next())
        .map_or(0, |calls| calls.parse().unwrap())
}
