//! Changing a token.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{assert_sound, gateways, get, opens, post, session_ids, text, token};
use crate::helpers::{APPID, Gateway, RedisServer, echo_upstream, until, walk};

#[tokio::test]
async fn a_rotated_token_is_a_new_token_of_the_same_session() {
    let echo = echo_upstream();
    for (gateway, redis) in gateways(&format!(
        "session.rotate_grace = \"1s\"\n{}",
        echo.route("/api", "required")
    )) {
        let login = gateway.login("alice").await;
        let old = token(&login);
        let (_, before) = get(&gateway, "/auth/session", &old).await;
        let started = hufu::clock::monotonic_now();
        let (status, body) = post(&gateway, "/auth/rotate", &old).await;
        let new = token(&body);
        assert_eq!(
            (status, &body["token_type"], &body["expires_in"]),
            (200, &json!("Bearer"), &json!(86_400))
        );
        assert!(body["absolute_expires_in"].as_u64().unwrap() <= 259_200);
        assert!(old != new && new.len() == 56 && body["session_id"] != login["session_id"]);
        assert_eq!(
            body.as_object().unwrap().keys().collect::<Vec<_>>(),
            login.as_object().unwrap().keys().collect::<Vec<_>>()
        );

        let (_, after) = get(&gateway, "/auth/session", &new).await;
        assert_eq!(
            (&after["created_at"], &after["app"], &after["session_id"]),
            (&before["created_at"], &before["app"], &body["session_id"])
        );
        assert_eq!(
            session_ids(&gateway, &new).await,
            [text(&body["session_id"])],
            "still one device"
        );
        let seen: Value = gateway.get("/api/x").bearer_auth(&new).await.json();
        assert!(
            seen.to_string()
                .contains(&hufu::sandbox::openid(APPID, "alice"))
        );

        // Within the grace the old token opens the session, under its new name, and gives the same
        // answer again.
        let (alive, by_old) = opens(&gateway, &old).await;
        let (again, repeated) = post(&gateway, "/auth/rotate", &old).await;
        let in_time = started.elapsed() < Duration::from_secs(1);
        if in_time {
            assert_eq!((alive, by_old.as_str()), (200, text(&body["session_id"])));
            assert_eq!(
                (again, &repeated["token"], &repeated["session_id"]),
                (200, &body["token"], &body["session_id"])
            );
        }
        until("the grace to end", async || {
            opens(&gateway, &old).await.0 == 401
        })
        .await;
        assert!(
            started.elapsed() > Duration::from_millis(950),
            "{:?}",
            started.elapsed()
        );
        let (status, refused) = post(&gateway, "/auth/rotate", &old).await;
        assert_eq!((status, text(&refused["code"])), (401, "session_expired"));
        assert_eq!(opens(&gateway, &new).await.0, 200);
        assert_sound(redis.as_ref());
    }
}

#[tokio::test]
async fn many_rotations_at_once_give_one_token() {
    for (gateway, redis) in gateways("") {
        let old = gateway.token("alice").await;
        let all = join_all((0..40).map(|_| post(&gateway, "/auth/rotate", &old))).await;
        let tokens: BTreeSet<_> = all
            .iter()
            .map(|(status, body)| (*status, token(body), text(&body["session_id"]).to_owned()))
            .collect();
        assert_eq!(tokens.len(), 1, "all answers are equal: {tokens:?}");
        let (_, new, session_id) = tokens.first().unwrap();
        assert_eq!(opens(&gateway, new).await, (200, session_id.clone()));
        assert_eq!(
            session_ids(&gateway, new).await.len(),
            1,
            "no session was left behind"
        );
        let page = gateway.admin_get("/metrics").await.text();
        assert!(
            page.contains("hufu_session_rotations_total{outcome=\"rotated\"} 1\n"),
            "{page}"
        );
        assert!(
            page.contains("hufu_session_rotations_total{outcome=\"repeated\"} 39\n"),
            "{page}"
        );
        assert_sound(redis.as_ref());
    }
}

#[tokio::test]
async fn a_session_that_is_ended_while_it_is_rotated_stays_ended() {
    for (gateway, redis) in gateways("") {
        for round in 0..20 {
            let (old, other) = (gateway.token("alice").await, gateway.token("alice").await);
            let rotate = || post(&gateway, "/auth/rotate", &old);
            let end = async {
                match round % 2 {
                    0 => assert_eq!(post(&gateway, "/auth/logout", &old).await.0, 204),
                    _ => assert_eq!(
                        post(&gateway, "/auth/logout/all", &other).await,
                        (200, json!({ "revoked": 2 }))
                    ),
                }
            };
            let (one, two, (), three) = tokio::join!(rotate(), rotate(), end, rotate());
            for (status, body) in [one, two, three] {
                assert!(
                    status == 200 || (status, text(&body["code"])) == (401, "session_expired"),
                    "{status} {body}"
                );
                if status == 200 {
                    assert_eq!(opens(&gateway, &token(&body)).await.0, 401, "round {round}");
                }
            }
            assert_eq!(opens(&gateway, &old).await.0, 401);
            post(&gateway, "/auth/logout/all", &other).await;
        }
        if let Some(redis) = redis {
            assert_eq!(
                walk(&redis, "hufu").assert_sound().users,
                0,
                "nobody is signed in"
            );
        }
    }
}

#[tokio::test]
async fn logout_with_the_old_token_ends_the_new_one() {
    for (gateway, redis) in gateways("") {
        let old = gateway.token("alice").await;
        let new = token(&post(&gateway, "/auth/rotate", &old).await.1);
        assert_eq!(post(&gateway, "/auth/logout", &old).await.0, 204);
        assert_eq!(
            (opens(&gateway, &old).await.0, opens(&gateway, &new).await.0),
            (401, 401)
        );
        // And the other way round.
        let old = gateway.token("alice").await;
        let new = token(&post(&gateway, "/auth/rotate", &old).await.1);
        assert_eq!(post(&gateway, "/auth/logout", &new).await.0, 204);
        assert_eq!(
            (opens(&gateway, &old).await.0, opens(&gateway, &new).await.0),
            (401, 401)
        );
        assert_eq!(post(&gateway, "/auth/rotate", &old).await.0, 401);
        assert_sound(redis.as_ref());
    }
}

/// What a killed gateway leaves behind: the session as it was, or the new one, whose answer the old
/// token still gets.
#[tokio::test]
async fn an_answer_that_was_lost_can_be_had_from_another_gateway() {
    let redis = RedisServer::start(&[]);
    let keys = format!(
        "secrets.keys = [\"{}\"]\nsecrets.naming_key = \"{}\"\n",
        hufu::crypto::keyring::generate_key(),
        hufu::crypto::keyring::generate_key()
    );
    let start = || Gateway::on(&redis.url(""), &keys);
    let (first, second) = (start(), start());
    let old = first.token("alice").await;
    let lost = post(&first, "/auth/rotate", &old).await.1;
    drop(first);
    let (status, found) = post(&second, "/auth/rotate", &old).await;
    assert_eq!((status, &found["token"]), (200, &lost["token"]));
    assert_eq!(session_ids(&second, &token(&found)).await.len(), 1);
}
