//! Two gateways on one Redis: how long one of them still serves a session that was ended on the
//! other, whatever happens to Redis, to the connections and to what they say. What is asserted is a
//! bound of the contract; what was measured is printed.
//!
//! `cargo test --test it -- revocation_bounds:: --nocapture` prints the table of
//! docs/consistency.md.

use std::time::{Duration, Instant};

use hufu::clock::monotonic_now;

use crate::helpers::{
    APPID, Client, Fault, Gateway, HASTY, Link, RedisCluster, RedisServer, Running,
    SENTINEL_PASSWORD, STEADY, SentinelGroup, echo_upstream, http, replicated, until,
};

/// The defaults of `max_stale` and `outage_grace`, which are equal.
const BOUND: Duration = Duration::from_secs(2);
/// For a machine that is busy with all other tests.
const SLACK: Duration = Duration::from_millis(1500);
const MODES: [&str; 2] = ["tracking", "pubsub"];

/// Where the session is ended, and where it must end.
struct Pair {
    one: Gateway,
    other: Gateway,
    /// Connections of their own, so that several workers of a gateway are asked.
    clients: Vec<Client>,
    _echo: Running,
}

impl Pair {
    /// Two gateways that hear of changes in this way; the other one over a store of another URL,
    /// where given.
    async fn over(store: &str, others: Option<&str>, mode: &str, more: &str) -> Self {
        let echo = echo_upstream();
        let config = format!(
            "session.near_cache.push = \"{mode}\"\n{more}\n{}",
            echo.route("/api", "required")
        );
        let one = Gateway::on(store, &config);
        let other = others.map_or_else(|| one.sibling(), |url| one.sibling_over(url));
        let pair = Self {
            one,
            other,
            clients: (0..4).map(|_| http()).collect(),
            _echo: echo,
        };
        pair.hear(mode).await;
        pair
    }

    /// Waits until both hear of changes in this way.
    async fn hear(&self, mode: &str) {
        for gateway in [&self.one, &self.other] {
            until("the way of hearing", async || {
                let _ = self
                    .status(&self.clients[0], gateway, &self.token().await?)
                    .await;
                (gateway.part("near_cache").await["mode"] == mode).then_some(())
            })
            .await;
        }
    }

    /// A session, if the store is there to make one.
    async fn token(&self) -> Option<String> {
        let code = self.one.code("alice");
        let answer = self
            .one
            .login_with(serde_json::json!({ "code": code }))
            .await;
        let body: serde_json::Value = answer.json();
        Some(body["token"].as_str()?.to_owned())
    }

    async fn status(&self, client: &Client, gateway: &Gateway, token: &str) -> u16 {
        client
            .get(gateway.at("/api"))
            .bearer_auth(token)
            .await
            .status()
    }

    /// A session that the workers of both gateways have in their caches.
    async fn known(&self) -> String {
        let token = until("a login", async || self.token().await).await;
        for client in self.clients.iter().chain(&self.clients) {
            for gateway in [&self.one, &self.other] {
                // A Redis that answers late is missed for a moment.
                until("the session", async || {
                    let status = self.status(client, gateway, &token).await;
                    assert!(status == 200 || status == 503, "{status}");
                    status == 200
                })
                .await;
            }
        }
        token
    }

    /// Ends it on the one gateway; when that was acknowledged. 503 means that it did not happen,
    /// and is tried again.
    async fn end(&self, token: &str) -> Instant {
        until("the logout", async || {
            let answer = self
                .one
                .post("/auth/logout")
                .bearer_auth(token)
                .await
                .status();
            assert!(answer == 204 || answer == 503, "{answer}");
            (answer == 204).then(monotonic_now)
        })
        .await
    }

    /// Asks the other gateway until all its workers have refused the token, and answers how long
    /// after `since` one of them was asked that served it for the last time: what an answer takes on
    /// its way to a machine that stands still is not its doing. `refusal` says which statuses end it.
    async fn served_for(&self, token: &str, since: Instant, refusal: &[u16]) -> Duration {
        let mut last = Duration::ZERO;
        for client in &self.clients {
            loop {
                let asked = since.elapsed();
                let status = self.status(client, &self.other, token).await;
                if refusal.contains(&status) {
                    break;
                }
                assert!(status == 200 || status == 503, "{status}");
                if status == 200 {
                    last = last.max(asked);
                }
                assert!(asked < Duration::from_secs(60), "{status} for ever");
            }
        }
        last
    }

    /// Never served later than this after `since`.
    async fn bounded(&self, what: &str, mode: &str, token: &str, since: Instant, bound: Duration) {
        let served = self.served_for(token, since, &[401]).await;
        println!("{mode}: {what}: served for {served:?} more (bound {bound:?})");
        assert!(served < bound + SLACK, "{mode}: {what}: {served:?}");
    }
}

#[tokio::test]
async fn two_hundred_revocations_and_a_flush() {
    for mode in MODES {
        let redis = RedisServer::start(&[]);
        let pair = Pair::over(&redis.url(""), None, mode, "").await;
        let mut took = Vec::new();
        for _ in 0..200 {
            let token = pair.known().await;
            let ended = pair.end(&token).await;
            let served = pair.served_for(&token, ended, &[401]).await;
            for client in &pair.clients {
                assert_eq!(
                    pair.status(client, &pair.one, &token).await,
                    401,
                    "{mode}: the gateway that ended it"
                );
            }
            assert!(served < BOUND, "{mode}: {served:?}");
            took.push((served, ended.elapsed()));
        }
        let late = took.iter().filter(|(served, _)| !served.is_zero()).count();
        let mut refused: Vec<_> = took.iter().map(|(_, refused)| *refused).collect();
        refused.sort();
        let worst = took.iter().map(|(served, _)| *served).max().unwrap();
        println!(
            "{mode}: logout acknowledged until every worker of the other gateway refuses: median {:?}, worst {:?} of {}; served after the 204: {late} times, at the latest {worst:?}",
            refused[100],
            refused[199],
            refused.len()
        );

        let token = pair.known().await;
        redis.ask::<()>(&["FLUSHALL"]).unwrap();
        pair.bounded(
            "FLUSHALL",
            mode,
            &token,
            monotonic_now(),
            if mode == "pubsub" {
                BOUND
            } else {
                Duration::ZERO
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_or_dead() {
    for mode in MODES {
        let redis = RedisServer::start(&[]);
        let link = Link::to(redis.port());
        let pair = Pair::over(&redis.url(""), Some(&link.url()), mode, HASTY).await;
        for kind in ["normal", "pubsub"] {
            let token = pair.known().await;
            redis
                .ask::<u64>(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"])
                .unwrap();
            let ended = pair.end(&token).await;
            pair.bounded(
                &format!("CLIENT KILL TYPE {kind}"),
                mode,
                &token,
                ended,
                BOUND,
            )
            .await;
            pair.hear(mode).await;
        }
        for (what, fault) in [
            (
                "the other's connections closed again and again",
                Fault::Close,
            ),
            ("the other's connections dead, unnoticed", Fault::Lose),
        ] {
            let token = pair.known().await;
            link.set(fault);
            let ended = pair.end(&token).await;
            // The other cannot reach Redis at all: 503, until it can.
            let served = pair.served_for(&token, ended, &[503]).await;
            println!("{mode}: {what}: served for {served:?} more (bound {BOUND:?})");
            assert!(served < BOUND + SLACK, "{served:?}");
            assert_ne!(
                pair.status(&pair.clients[0], &pair.other, &token).await,
                200
            );
            link.set(Fault::None);
            pair.bounded(
                "and after it was repaired",
                mode,
                &token,
                monotonic_now(),
                Duration::ZERO,
            )
            .await;
            pair.hear(mode).await;
        }
    }
}

#[tokio::test]
async fn a_redis_that_freezes_or_dies() {
    for mode in MODES {
        let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let pair = Pair::over(&redis.url(""), None, mode, HASTY).await;
        let token = pair.known().await;
        redis.freeze();
        let frozen = monotonic_now();
        let served = pair.served_for(&token, frozen, &[503]).await;
        println!(
            "{mode}: Redis frozen: a living session served for {served:?} more (bound {BOUND:?})"
        );
        assert!(served < BOUND + SLACK, "{served:?}");
        assert_eq!(
            pair.one
                .post("/auth/logout")
                .bearer_auth(&token)
                .await
                .status(),
            503,
            "not acknowledged"
        );
        redis.thaw();
        let ended = pair.end(&token).await;
        pair.bounded("after the thaw", mode, &token, ended, BOUND)
            .await;
        pair.hear(mode).await;

        let token = pair.known().await;
        redis.kill();
        let killed = monotonic_now();
        let served = pair.served_for(&token, killed, &[503]).await;
        println!(
            "{mode}: Redis killed: a living session served for {served:?} more (bound {BOUND:?})"
        );
        assert!(served < BOUND + SLACK, "{served:?}");
        redis.start_again(&[]);
        let ended = pair.end(&token).await;
        pair.bounded("after the restart", mode, &token, ended, BOUND)
            .await;
        pair.hear(mode).await;

        let token = pair.known().await;
        redis.kill();
        redis.start_again(&[]);
        let ended = pair.end(&token).await;
        pair.bounded("killed and back at once", mode, &token, ended, BOUND)
            .await;
    }
}

#[tokio::test]
async fn a_failover_of_sentinels() {
    for mode in MODES {
        let mut group = SentinelGroup::start();
        let login = format!("{STEADY}store.sentinel_password = \"{SENTINEL_PASSWORD}\"");
        let pair = Pair::over(&group.url(), None, mode, &login).await;
        let tokens = [pair.known().await, pair.known().await];
        replicated(&group.servers[0]);
        group.servers[0].kill();
        group.watch_closely();
        let ended = pair.end(&tokens[0]).await;
        group.watch_at_ease();
        pair.bounded(
            "Sentinel, ended as soon as there is a new master",
            mode,
            &tokens[0],
            ended,
            BOUND,
        )
        .await;
        pair.hear(mode).await;
        // It believes for a while that it is still the master.
        group.servers[0].start_again(&[]);
        let ended = pair.end(&tokens[1]).await;
        pair.bounded(
            "Sentinel, when the old master is back",
            mode,
            &tokens[1],
            ended,
            BOUND,
        )
        .await;
    }
}

#[tokio::test]
async fn a_cluster_whose_slots_move() {
    for mode in MODES {
        let cluster = RedisCluster::start_small();
        let pair = Pair::over(&cluster.url(), None, mode, STEADY).await;
        let mut worst = Duration::ZERO;
        // The slot of the session, and the one that all channels are in.
        for _ in 0..4 {
            let token = pair.known().await;
            let bytes: [u8; 38] = hufu::crypto::encoding::from_base64url(&token[5..]).unwrap();
            for key in [
                hufu::crypto::encoding::base64url(&bytes[..2]),
                "push".to_owned(),
            ] {
                let slot: u16 = cluster.ask(0, &["CLUSTER", "KEYSLOT", &key]).unwrap();
                let from = cluster.owner(slot, 1).unwrap();
                let to = (from + 1) % 3;
                cluster.begin_move(slot, from, to);
                cluster.end_move(slot, from, to);
            }
            let ended = pair.end(&token).await;
            worst = worst.max(pair.served_for(&token, ended, &[401]).await);
            pair.hear(mode).await;
        }
        println!(
            "{mode}: Cluster, after each of four moves of the slots in question: served for {worst:?} more at the most (bound {BOUND:?})"
        );
        assert!(worst < BOUND + SLACK, "{worst:?}");
    }
}

/// Changes that operators make reach the other gateway as revocations do; with the cache off it has
/// nothing to learn.
#[tokio::test]
async fn fifty_changes_of_claims_and_blocks() {
    const OPERATOR: &str = "an-operators-token-for-tests";
    let more = format!("admin.token = \"{OPERATOR}\"\nsession.visible_claims = [\"n\"]\n");
    for mode in ["tracking", "pubsub", "off"] {
        let redis = RedisServer::start(&[]);
        let pair = Pair::over(&redis.url(""), None, mode, &more).await;
        let user = format!("user={}", hufu::sandbox::openid(APPID, "alice"));
        let operate = async |method: &str, what: &str, body: serde_json::Value| {
            let url = pair
                .one
                .admin_at(&format!("/admin/api/users/{what}?{user}"));
            let answer = pair.clients[0]
                .request(method, url)
                .bearer_auth(OPERATOR)
                .json(&body)
                .await;
            assert!(answer.is_success(), "{}", answer.text());
        };
        let seen = async |client: &Client, gateway: &Gateway, token: &str| {
            let url = gateway.at("/auth/session");
            client.get(url).bearer_auth(token).await.json()["claims"]["n"].clone()
        };
        let (mut changes, mut blocks) = (Vec::new(), Vec::new());
        for n in 0..50 {
            let token = pair.known().await;
            operate("PATCH", "claims", serde_json::json!({ "n": n })).await;
            let changed = monotonic_now();
            // When somebody was asked who did not know of it.
            let mut late = Duration::ZERO;
            for client in &pair.clients {
                assert_eq!(seen(client, &pair.one, &token).await, n, "{mode}");
                until("the change", async || {
                    let asked = changed.elapsed();
                    let knows = seen(client, &pair.other, &token).await == n;
                    if !knows {
                        late = late.max(asked);
                    }
                    knows
                })
                .await;
            }
            assert!(late < BOUND + SLACK, "{mode}: {late:?}");
            changes.push(changed.elapsed());
            operate("PUT", "block", serde_json::json!({})).await;
            let blocked = monotonic_now();
            let served = pair.served_for(&token, blocked, &[401]).await;
            blocks.push(blocked.elapsed());
            assert!(served < BOUND, "{mode}: {served:?}");
            operate("DELETE", "block", serde_json::json!({})).await;
        }
        changes.sort();
        blocks.sort();
        println!(
            "{mode}: every worker of the other gateway has a change of claims after {:?} (median), {:?} (worst of 50); it refuses a blocked user after {:?}, {:?}",
            changes[25], changes[49], blocks[25], blocks[49]
        );
    }
}
