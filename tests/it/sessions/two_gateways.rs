//! Two gateway processes on one Redis, as behind a load balancer.

use std::time::Duration;

use crate::helpers::{Fault, Gateway, Link, RedisServer, echo_upstream, until};

#[tokio::test]
async fn a_session_made_on_one_gateway_works_on_the_other_and_ends_on_both() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let one = Gateway::on(&redis.url(""), &echo.route("/api", "required"));
    let other = one.sibling();
    let token = one.token("zhang").await;
    for gateway in [&one, &other] {
        assert_eq!(
            gateway.get("/api/x").bearer_auth(&token).await.status(),
            200
        );
    }
    other.sign_out(&token).await;
    for gateway in [&one, &other] {
        // The push travels while the answer does: a process that is not scheduled in time may still
        // answer once from its cache.
        let refused = until("the session to end", async || {
            let answer = gateway.get("/api/x").bearer_auth(&token).await;
            (answer.status() != 200).then_some(answer)
        })
        .await;
        assert_eq!(
            (refused.status(), refused.header("x-hufu-error")),
            (401, "session_expired")
        );
    }
}

/// Every gateway hears of what the store has ended, whoever waits for the answer.
#[tokio::test]
async fn a_client_that_leaves_while_its_session_ends_ends_it_everywhere() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let link = Link::to(redis.port());
    // Nobody looks again by itself for a long time.
    let cache =
        "store.timeout = \"5s\"\n[session.near_cache]\npush = \"pubsub\"\nmax_stale = \"60s\"\n";
    let config = format!("{cache}{}", echo.route("/api", "required"));
    let gateway = Gateway::on(&link.url(), &config);
    let other = gateway.sibling_over(&redis.url(""));
    let sessions = || {
        let keys: Vec<String> = redis.ask(&["KEYS", "hufu:s:*"]).unwrap();
        keys.len()
    };
    for (method, path) in [("POST", "/auth/logout"), ("POST", "/auth/logout/all")] {
        let token = gateway.token("alice").await;
        let seen = async || other.get("/api/x").bearer_auth(&token).await.status();
        assert_eq!(seen().await, 200);
        let alive = sessions();
        assert!(alive > 0);
        link.set(Fault::Delay(Duration::from_millis(50)));
        let mut client = gateway.probe().await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        client.send(head).await;
        until("the session's end", async || sessions() < alive).await;
        drop(client);
        link.set(Fault::None);
        until("the other gateway to hear of it", async || {
            seen().await == 401
        })
        .await;
    }
}
