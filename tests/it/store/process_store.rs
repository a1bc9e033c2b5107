//! The store of the process: for any thread, over a few connections that outlive the workers.

use std::time::Duration;

use futures_util::future::join_all;
use hufu::session::{ClaimsPatch, Lookup, PatchLife, Written};
use hufu::store::InvalidationChoice;

use crate::helpers::RedisServer;
use crate::helpers::store::{answer_in_time, hasty_settings, open, settings, user};
use crate::helpers::two_stores::{Two, connection, found};
use crate::helpers::wait::until;

/// How many connections the server has taken so far.
fn taken(connection: &mut redis::Connection) -> u64 {
    let stats: String = redis::cmd("INFO").arg("stats").query(connection).unwrap();
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_connection_made_on_first_use_serves_threads_that_come_and_go() {
    let redis = RedisServer::start(&[]);
    let mut inspector = connection(&redis);
    let before = taken(&mut inspector);
    let process = open(&settings(&redis.url(""))).process();
    assert_eq!(taken(&mut inspector), before);
    for _ in 0..3 {
        let process = process.clone();
        // As a worker has it: a runtime of its own, which ends.
        let worker = tokio::task::spawn_blocking(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(process.sessions.now())
        });
        worker.await.unwrap().unwrap();
    }
    assert_eq!(taken(&mut inspector), before + 1);
}

#[tokio::test]
async fn it_keeps_no_session_and_every_worker_forgets_what_it_revokes() {
    for push in [InvalidationChoice::Tracking, InvalidationChoice::Pubsub] {
        let redis = RedisServer::start(&[]);
        let two = Two::with(&redis, push).await;
        let process = two.handle.process().sessions;
        let id = two.session().await;
        until("both gateways to keep the session", async || {
            for store in [&two.near, &two.other, &process] {
                assert!(found(&store.load(&id).await.unwrap()));
            }
            two.near.known(&id).and(two.other.known(&id))
        })
        .await;
        assert!(process.known(&id).is_none());
        let written = process.remove(&id, &user("o1")).await.unwrap();
        assert_eq!(written, Written::Done);
        let known = two.near.known(&id);
        assert!(matches!(known, None | Some(Lookup::Gone)), "{known:?}");
        until("the other gateway to hear of it", async || {
            let lookup = two.other.load(&id).await.unwrap();
            matches!(lookup, Lookup::Gone).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_error_that_redis_answers_is_told_from_no_answer() {
    let redis = RedisServer::start(&[]);
    let patient = open(&settings(&redis.url(""))).process();
    let process = open(&hasty_settings(&redis.url(""))).process();
    let _: () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let lease = Duration::from_secs(60);
    let full = patient.login_codes.reserve(&[1; 16], lease).await;
    let full = full.unwrap_err();
    assert!(full.answered && full.reason.contains("OOM"), "{full}");
    redis.freeze();
    let silent = answer_in_time(process.sessions.now()).await;
    let silent = silent.unwrap_err();
    assert!(!silent.answered, "{silent}");
    redis.thaw();
    until("the server to answer again", async || {
        process.sessions.now().await.ok()
    })
    .await;
}

/// Changes of one user wait for each other, and only lost rounds mean that others were first.
#[tokio::test]
async fn changes_that_wait_for_each_other_and_for_a_silent_redis_find_the_store_unavailable() {
    let redis = RedisServer::start(&[]);
    let process = open(&hasty_settings(&redis.url(""))).process();
    let patch: ClaimsPatch = serde_json::from_str(r#"{"role":"staff"}"#).unwrap();
    let owner = user("o1");
    let users = &process.users;
    let change = async || {
        users
            .change_claims(&owner, &patch, PatchLife::Lasting)
            .await
    };
    until("a change", async || change().await.ok().map(drop)).await;
    redis.freeze();
    for outcome in join_all((0..8).map(|_| change())).await {
        let error = outcome.unwrap_err();
        assert!(!error.answered, "{error}");
    }
    redis.thaw();
    until("a change", async || change().await.ok().map(drop)).await;
}
