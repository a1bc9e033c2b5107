//! How gateways hear of revocations, on servers and through proxies that can less than others.

use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::session::{
    Blocked, ClaimsChange, ClaimsPatch, Lookup, NewSession, PatchLife, Rotated, Rotation,
    SessionId, Written,
};
use hufu::store::near_cache::NearCacheSettings;
use hufu::store::{InvalidationChoice, InvalidationMode};

use crate::helpers::{
    CACHE, Gateway, HOUR, Instead, Link, NO_RESP3, RedisServer, Two, echo_upstream, http,
    link::Refused,
    new_session,
    store::{made, user},
    two_stores::{connection, found, reads},
    until,
};

#[tokio::test]
async fn where_nobody_tells_redis_is_asked_every_time() {
    for (push, not) in [
        (InvalidationChoice::Tracking, "-client|tracking"),
        (InvalidationChoice::Auto, "-client|tracking -subscribe"),
        (InvalidationChoice::Pubsub, "-publish"),
    ] {
        let redis = RedisServer::start_with_file(
            &format!("save \"\"\nuser default on nopass ~* &* +@all {not}\n"),
            &[],
        );
        let two = Two::on(&redis, NearCacheSettings { push, ..CACHE });
        let id = two.session().await;
        let mut inspector = connection(&redis);
        let before = reads(&mut inspector);
        for _ in 0..10 {
            assert!(found(&two.near.load(&id).await.unwrap()));
        }
        assert_eq!(reads(&mut inspector) - before, 10);
        assert_eq!(
            two.other.remove(&id, &user("o1")).await.unwrap(),
            Written::Done
        );
        assert!(!found(&two.near.load(&id).await.unwrap()));
        two.hears(InvalidationMode::Off).await;
        assert_eq!(
            two.handle.invalidation().unwrap().trouble.is_some(),
            push != InvalidationChoice::Auto,
            "{push:?}"
        );
    }
}

#[tokio::test]
async fn through_a_proxy_that_knows_no_push_gateways_tell_each_other() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let refusals: [Refused; 3] = [
        NO_RESP3,
        &[(
            "HELLO",
            Instead::Error("ERR unknown command 'HELLO', with args beginning with: '3' "),
        )],
        &[(
            "CLIENT TRACKING",
            Instead::Error(
                "ERR Unknown subcommand or wrong number of arguments for 'TRACKING'. Try CLIENT HELP.",
            ),
        )],
    ];
    let client = http();
    // Nothing lapses by itself while the test waits for it.
    let config = format!(
        "session.near_cache.max_stale = \"60s\"\n{}",
        echo.route("/api", "required")
    );
    for refused in refusals {
        let link = Link::refusing(redis.port(), refused);
        let one = Gateway::on(&link.url(), &config);
        let (other, direct) = (one.sibling(), one.sibling_over(&redis.url("")));
        let gateways = [&one, &other, &direct];
        let status = async |gateway: &Gateway, token: &str| {
            client
                .get(gateway.at("/api"))
                .bearer_auth(token)
                .await
                .status()
        };
        for gateway in gateways {
            let mode = if std::ptr::eq(gateway, &raw const direct) {
                "tracking"
            } else {
                "pubsub"
            };
            until("readiness to name the way", async || {
                gateway.token("warm").await;
                let part = gateway.part("near_cache").await;
                part["state"] == "up" && part["mode"] == mode
            })
            .await;
            let series = format!("hufu_store_push_mode{{mode=\"{mode}\"}}");
            until(&series, async || gateway.counted(&series).await > 0).await;
            gateway.logs(&format!("push = {mode}")).await;
        }
        for revoker in gateways {
            let token = one.token("alice").await;
            let mut inspector = connection(&redis);
            for gateway in gateways {
                for _ in 0..4 {
                    assert_eq!(status(gateway, &token).await, 200);
                }
            }
            let before = reads(&mut inspector);
            for _ in 0..20 {
                assert_eq!(status(&other, &token).await, 200);
            }
            assert!(reads(&mut inspector) - before < 6, "nothing is kept");
            assert_eq!(
                client
                    .post(revoker.at("/auth/logout"))
                    .bearer_auth(&token)
                    .await
                    .status(),
                204
            );
            let revoked = monotonic_now();
            for gateway in gateways {
                until("the end", async || status(gateway, &token).await == 401).await;
            }
            // It was told and did not just lapse.
            assert!(
                revoked.elapsed() < Duration::from_secs(50),
                "{:?}",
                revoked.elapsed()
            );
        }
    }
}

#[tokio::test]
async fn tracking_that_is_asked_for_and_refused_is_said_aloud() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let link = Link::refusing(redis.port(), NO_RESP3);
    let config = format!(
        "session.near_cache.push = \"tracking\"\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::on(&link.url(), &config);
    let token = gateway.token("alice").await;
    let mut inspector = connection(&redis);
    let before = reads(&mut inspector);
    for _ in 0..20 {
        assert_eq!(gateway.get("/api").bearer_auth(&token).await.status(), 200);
    }
    assert_eq!(reads(&mut inspector) - before, 20, "nothing is kept");
    let part = gateway.part("near_cache").await;
    assert!(
        part["state"] == "down"
            && part["mode"] == "off"
            && part["reason"].as_str().unwrap().contains("NOPROTO"),
        "{part}"
    );
    assert_eq!(gateway.admin_get("/readyz?strict=1").await.status(), 503);
    until("the error in the log", async || {
        let log = gateway.stderr();
        log.lines()
            .any(|line| line.contains("push = off") && line.to_lowercase().contains("error"))
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_revocation_is_told() {
    let redis = RedisServer::start(&[]);
    // So long that nothing lapses by itself.
    let stale = Duration::from_secs(600);
    let two = Two::with_stale(&redis, InvalidationChoice::Pubsub, stale).await;
    two.other.now().await.unwrap();
    let ended = async |id: &SessionId, what: &str| {
        until(what, async || !found(&two.near.load(id).await.unwrap())).await;
    };
    let kept = async || {
        let id = two.session().await;
        assert!(
            found(&two.near.load(&id).await.unwrap()) && found(&two.near.load(&id).await.unwrap())
        );
        id
    };
    let owner = user("o1");
    let rotated = kept().await;
    let Lookup::Found(loaded) = two.near.load(&rotated).await.unwrap() else {
        unreachable!()
    };
    let to = two.maker.fresh_id(&owner);
    let rotation = Rotation {
        from: rotated,
        to,
        session: &loaded.session,
        read: loaded.stamp,
        idle: HOUR,
        until: loaded.now,
        answer: b"",
    };
    assert!(matches!(
        two.other.rotate(rotation).await.unwrap(),
        Rotated::Done { .. }
    ));
    ended(&rotated, "a rotation").await;

    assert_eq!(two.other.remove_all(&owner).await.unwrap(), 1);
    ended(&to, "the session under its new name").await;
    let all = [kept().await, kept().await];
    assert_eq!(two.other.remove_all(&owner).await.unwrap(), 2);
    for id in &all {
        ended(id, "all at once").await;
    }

    let oldest = kept().await;
    let session = two.maker.session(&owner, HOUR).await;
    let new = NewSession {
        max_per_user: 1,
        ..new_session(two.maker.fresh_id(&owner), &session, HOUR)
    };
    assert_eq!(made(two.other.create(new).await.unwrap()).evicted, [oldest]);
    ended(&oldest, "an eviction over the cap").await;

    let changed = kept().await;
    let patch: ClaimsPatch = serde_json::from_str(r#"{"role":"staff"}"#).unwrap();
    let other = two
        .other_users
        .change_claims(&owner, &patch, PatchLife::Lasting);
    assert!(matches!(
        other.await.unwrap(),
        ClaimsChange::Done { sessions: 2, .. }
    ));
    until("a change of claims", async || {
        let lookup = two.near.load(&changed).await.unwrap();
        matches!(lookup, Lookup::Found(loaded) if loaded.session.claims.get("role").is_some())
    })
    .await;
    let blocked = two.other_users.block(&owner, None, "").await.unwrap();
    assert!(matches!(blocked, Blocked::Done { ended: 2, .. }));
    ended(&changed, "a block").await;
}

#[tokio::test]
async fn whatever_ends_a_session_is_told_to_the_other_gateway() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let link = Link::refusing(redis.port(), NO_RESP3);
    // So long that nothing lapses by itself.
    let own = "session.near_cache.max_stale = \"60s\"\nsession.rotate_grace = \"0s\"\nsession.max_per_user = 1\nadmin.token = \"an-admin-token-for-tests\"\n";
    let one = Gateway::on(
        &link.url(),
        &format!("{own}{}", echo.route("/api", "required")),
    );
    let other = one.sibling();
    let client = http();
    let status = async |token: &str| {
        client
            .get(other.at("/api"))
            .bearer_auth(token)
            .await
            .status()
    };
    for gateway in [&one, &other] {
        until("pub/sub", async || {
            let token = one.token("warm").await;
            client.get(gateway.at("/api")).bearer_auth(&token).await;
            gateway.part("near_cache").await["mode"] == "pubsub"
        })
        .await;
    }
    let ways = [
        "logout",
        "logout/all",
        "rotate",
        "device",
        "operator",
        "block",
        "cap",
    ];
    for way in ways {
        let login = one.login("alice").await;
        let (token, id) = (
            login["token"].as_str().unwrap(),
            login["session_id"].as_str().unwrap(),
        );
        for _ in 0..4 {
            assert_eq!(status(token).await, 200);
        }
        let ended = match way {
            "device" => client
                .request("DELETE", one.at(&format!("/auth/sessions/{id}")))
                .bearer_auth(token),
            "operator" => client
                .request("DELETE", one.admin_at(&format!("/admin/api/sessions/{id}")))
                .bearer_auth("an-admin-token-for-tests"),
            "block" => {
                let openid = hufu::sandbox::openid(crate::helpers::APPID, "alice");
                client
                    .put(one.admin_at(&format!("/admin/api/users/block?user={openid}")))
                    .bearer_auth("an-admin-token-for-tests")
                    .json(&serde_json::json!({}))
            }
            "cap" => {
                one.token("alice").await;
                client.get(one.at("/auth/healthz"))
            }
            path => client
                .post(one.at(&format!("/auth/{path}")))
                .bearer_auth(token),
        };
        let answer = ended.await;
        assert!(answer.is_success(), "{way}: {}", answer.status());
        let refused = monotonic_now();
        until(way, async || status(token).await == 401).await;
        if way == "block" {
            let openid = hufu::sandbox::openid(crate::helpers::APPID, "alice");
            let lifted = client
                .request(
                    "DELETE",
                    one.admin_at(&format!("/admin/api/users/block?user={openid}")),
                )
                .bearer_auth("an-admin-token-for-tests");
            assert_eq!(lifted.await.status(), 204);
        }
        println!(
            "{way}: refused by the other gateway after {:?}",
            refused.elapsed()
        );
    }
    let part = other.part("near_cache").await;
    assert_eq!(part["mode"], "pubsub");
}
