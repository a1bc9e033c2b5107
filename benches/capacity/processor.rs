//! What requests cost of Redis's processor.

use std::time::Duration;

use hufu::session::Lookup;

use crate::server::Redis;
use crate::sessions::Sessions;
use crate::told;

/// At most so many of each kind, spread over all users.
const REQUESTS: u64 = 100_000;

pub(crate) async fn of_requests(redis: &Redis, sessions: &Sessions, count: u64) {
    let requests = count.min(REQUESTS);
    // Far apart, so that no two in a row share a cache line of Redis's.
    let user = |number: u64| number * 7919 % count;
    let found = async |store: std::sync::Arc<hufu::store::Stores>, number| {
        let lookup = store
            .sessions
            .load(&sessions.id(user(number), 0))
            .await
            .expect("Redis answers");
        assert!(matches!(lookup, Lookup::Found(_)), "{lookup:?}");
    };
    let lookup = cost(redis, requests, sessions.for_each(requests, found)).await;
    told("Redis, a lookup", lookup, "µs");
    // The bench asks the time for each of the following; the gateway does not.
    let time = cost(
        redis,
        requests,
        sessions.for_each(requests, async |store, _| drop(store.sessions.now().await)),
    )
    .await;
    let renew = cost(
        redis,
        requests,
        sessions.for_each(requests, async |store, number| {
            sessions.renew(&store, user(number)).await;
        }),
    )
    .await;
    told("Redis, a renewal", renew - time, "µs");
    let log_in = async |store: std::sync::Arc<hufu::store::Stores>, number| {
        sessions
            .log_in(&store, user(number), 1, Duration::from_millis(500))
            .await;
    };
    let login = cost(redis, requests, sessions.for_each(requests, log_in)).await;
    told(
        "Redis, a login (reservation, session and answer)",
        login - time,
        "µs",
    );
    let logout = cost(
        redis,
        requests,
        sessions.for_each(requests, async |store, number| {
            sessions.remove(&store, user(number), 1).await;
        }),
    )
    .await;
    told("Redis, a logout", logout, "µs");
    println!();
}

/// Microseconds of Redis's processor time for each of so many requests.
async fn cost(redis: &Redis, requests: u64, work: impl Future<Output = ()>) -> f64 {
    let before = redis.process.processor_time();
    work.await;
    (redis.process.processor_time() - before) / requests as f64
}
