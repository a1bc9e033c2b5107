//! What things cost in Redis's memory.

use std::collections::BTreeMap;
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::session::Claims;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};

use crate::server::Redis;
use crate::sessions::Sessions;
use crate::told;

/// What a team may know of a user.
const CLAIMS: &str = r#"{"user_id":"1000000042","role":["staff"],"vip":true}"#;
const CLAIM_TEXTS: [&str; 6] = ["user_id", "1000000042", "role", "staff", "vip", "true"];
/// Keys of each kind that Redis is asked about.
const SAMPLE: usize = 2000;

/// One session each: the figure that the goal is about. What a key itself takes is asked of Redis;
/// what is left is its tables: two entries a key (one for its expiry), which double at powers of
/// two.
pub(crate) async fn of_sessions(redis: &Redis, sessions: &Sessions, count: u64) -> f64 {
    sessions
        .for_all(1, async |store, _| drop(store.sessions.now().await))
        .await;
    let empty = redis.memory().await;
    let started = monotonic_now();
    sessions
        .for_all(count, async |store, user| {
            sessions.sign_in(&store, user, 0, None).await;
        })
        .await;
    let took = started.elapsed();
    let each = (redis.memory().await - empty) / count as f64;
    told("memory of a session, all keys counted", each, "bytes");
    let mut keys = 0.0;
    for (kind, bytes) in sampled(redis).await {
        keys += bytes;
        told(&format!("  of it the key {kind}"), bytes, "bytes");
    }
    told(
        "  of it Redis's tables of keys and expiries",
        each - keys,
        "bytes",
    );
    println!(
        "({:.0} sessions made in a second)\n",
        count as f64 / took.as_secs_f64()
    );
    each
}

/// A second session of users who have one, and what three claims add to it.
pub(crate) async fn of_second_sessions(redis: &Redis, sessions: &Sessions, count: u64) {
    let each = of_a_second_session(redis, sessions, count).await;
    told("memory of a user's second session", each, "bytes");
    let claims: Claims = serde_json::from_str(CLAIMS).expect("these are claims");
    let texts: usize = CLAIM_TEXTS.iter().map(|text| text.len()).sum();
    let with_claims = sessions.with_claims(claims);
    // The tables of Redis have grown for the first ones.
    let without = of_a_second_session(redis, sessions, count).await;
    let more = of_a_second_session(redis, &with_claims, count).await - without;
    told("memory of its three claims", more, "bytes");
    println!("  (names and values have {texts})");
}

async fn of_a_second_session(redis: &Redis, sessions: &Sessions, count: u64) -> f64 {
    let count = (count / 10).max(1);
    let before = redis.memory().await;
    sessions
        .for_all(count, async |store, user| {
            sessions.sign_in(&store, user, 1, None).await;
        })
        .await;
    let each = (redis.memory().await - before) / count as f64;
    sessions
        .for_all(count, async |store, user| {
            sessions.remove(&store, user, 1).await;
        })
        .await;
    each
}

/// Login codes, which are gone after `login.replay_window`: in a steady state there are as many as
/// logins in that time. Logins with and without one are compared, each on its own users.
pub(crate) async fn of_login_codes(redis: &Redis, sessions: &Sessions, count: u64) {
    let count = (count / 10).max(1);
    let before = redis.memory().await;
    sessions
        .for_all(count, async |store, user| {
            sessions
                .log_in(&store, user, 1, Duration::from_secs(3600))
                .await;
        })
        .await;
    let with = redis.memory().await;
    sessions
        .for_all(count, async |store, user| {
            sessions.remove(&store, user, 1).await;
        })
        .await;
    let left = redis.memory().await;
    // What the sessions took is back; the codes are still there.
    told(
        "memory of a login's code, for login.replay_window",
        (left - before) / count as f64,
        "bytes",
    );
    println!("(with the session {:.0})", (with - before) / count as f64);
}

/// What Redis keeps in mind for a key that a worker has in its near cache.
pub(crate) async fn of_tracked_keys(redis: &Redis, count: u64) {
    let mut connection = redis.connect(true).await;
    cmd("CLIENT")
        .arg("TRACKING")
        .arg("ON")
        .exec_async(&mut connection)
        .await
        .expect("Redis 6 can");
    let before = redis.memory().await;
    let keys = keys_of(
        redis,
        "s",
        usize::try_from(count / 10).unwrap_or(usize::MAX).max(1),
    )
    .await;
    for batch in keys.chunks(1000) {
        cmd("MGET")
            .arg(batch)
            .exec_async(&mut connection)
            .await
            .expect("Redis answers");
    }
    told(
        "memory of a key in a worker's near cache",
        (redis.memory().await - before) / keys.len() as f64,
        "bytes",
    );
}

/// The mean of what `MEMORY USAGE` says, by kind.
async fn sampled(redis: &Redis) -> BTreeMap<String, f64> {
    let mut means = BTreeMap::new();
    for kind in ["s", "u", "c", "l"] {
        let keys = keys_of(redis, kind, SAMPLE).await;
        if keys.is_empty() {
            continue;
        }
        let mut connection = redis.connect(false).await;
        let mut sum = 0;
        for key in &keys {
            sum += cmd("MEMORY")
                .arg("USAGE")
                .arg(key)
                .arg("SAMPLES")
                .arg(0)
                .query_async::<u64>(&mut connection)
                .await
                .expect("the key is there");
        }
        means.insert(kind.to_owned(), sum as f64 / keys.len() as f64);
    }
    means
}

/// Some keys of a kind, or all if there are fewer.
async fn keys_of(redis: &Redis, kind: &str, wanted: usize) -> Vec<String> {
    let mut connection = redis.connect(false).await;
    let (mut keys, mut cursor) = (Vec::new(), 0);
    loop {
        let (next, more) = scan(&mut connection, cursor, kind).await;
        keys.extend(more);
        cursor = next;
        if cursor == 0 || keys.len() >= wanted {
            keys.truncate(wanted);
            return keys;
        }
    }
}

async fn scan(
    connection: &mut MultiplexedConnection,
    cursor: u64,
    kind: &str,
) -> (u64, Vec<String>) {
    let mut command = cmd("SCAN");
    command
        .arg(cursor)
        .arg("MATCH")
        .arg(format!("hufu:{kind}:*"))
        .arg("COUNT")
        .arg(1000);
    let answer: Value = command
        .query_async(connection)
        .await
        .expect("Redis answers");
    redis::from_redis_value(answer).expect("a cursor and keys")
}
