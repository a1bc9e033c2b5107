//! Two stores on one Redis, each with a near cache of its own.

use std::sync::Arc;
use std::time::Duration;

use hufu::metrics::Metrics;
use hufu::session::{Lookup, SessionId, SessionStore, Users};
use hufu::store::near_cache::NearCacheSettings;
use hufu::store::{InvalidationChoice, InvalidationMode, StoreHandle, StoreSettings};

use super::redis_server::RedisServer;
use super::store::{Harness, hasty_settings, settings, user};
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
        Self::open(settings(&redis.url("")), redis, cache)
    }

    /// Over a link. What has no answer there has none soon, so a connection is soon given up.
    pub(crate) fn over(url: &str, redis: &RedisServer, cache: NearCacheSettings) -> Self {
        let settings = StoreSettings {
            connect_timeout: hasty_settings(url).connect_timeout,
            ..settings(url)
        };
        Self::open(settings, redis, cache)
    }

    fn open(settings: StoreSettings, redis: &RedisServer, cache: NearCacheSettings) -> Self {
        let maker = Harness::redis(&redis.url(""), &redis.url(""), "hufu");
        let settings = StoreSettings {
            near_cache: Some(cache),
            ..settings
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
        Self::with_stale(redis, push, CACHE.max_stale).await
    }

    /// The same, which serves what is kept for this long after a heartbeat.
    pub(crate) async fn with_stale(
        redis: &RedisServer,
        push: InvalidationChoice,
        max_stale: Duration,
    ) -> Self {
        let cache = NearCacheSettings {
            push,
            max_stale,
            ..CACHE
        };
        Self::on(redis, cache).ready(push).await
    }

    /// Stores that give a server that does not answer no more than the default time, and serve
    /// what is kept for this long in an outage.
    pub(crate) async fn hasty(
        redis: &RedisServer,
        push: InvalidationChoice,
        outage_grace: Duration,
    ) -> Self {
        let cache = NearCacheSettings {
            push,
            outage_grace,
            ..CACHE
        };
        Self::open(hasty_settings(&redis.url("")), redis, cache)
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
        until("the way of hearing", async || {
            let _ = self.near.now().await;
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
