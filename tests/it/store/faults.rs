//! A store that is slow, cut off in the middle of an answer, read-only, full, or still reading its
//! data: a bounded 503, and nobody ever gets what was meant for somebody else on the same
//! connection.

use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::{
    Fault, Gateway, HASTY, Link, Load, RedisServer, echo_upstream, http, load::Tally, until,
};

const USERS: usize = 40;

/// Lets a fault last until it has been felt, and waits until it is overcome.
async fn through(link: &Link, load: &Load, fault: Fault, felt: impl AsyncFn(&Load)) -> Tally {
    load.tally();
    link.set(fault);
    felt(load).await;
    link.set(Fault::None);
    load.served().await;
    load.tally()
}

#[tokio::test]
async fn whatever_the_store_answers_everybody_gets_their_own_or_a_503_in_time() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let echo = echo_upstream();
    let gateway = Gateway::on(
        &link.url(),
        &(HASTY.to_owned() + &echo.route("/api", "required")),
    );
    let load = Load::start(&gateway, USERS).await;
    load.served().await;

    // Late is not down.
    let slow = through(
        &link,
        &load,
        Fault::Delay(Duration::from_millis(200)),
        async |load| load.served().await,
    )
    .await;
    assert!(slow.ok > 0, "{slow}");
    for fault in [
        Fault::Delay(Duration::from_millis(700)),
        Fault::Cut,
        Fault::Say("LOADING Redis is loading the dataset in memory"),
        Fault::Say("READONLY You can't write against a read only replica."),
        Fault::Say("OOM command not allowed when used memory > 'maxmemory'."),
        Fault::Say(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ),
    ] {
        let felt = through(&link, &load, fault, async |load| load.turned_away().await).await;
        assert!(felt.unavailable > 0 && felt.ok > 0, "{felt}");
    }
}

/// An answer that was 200 ms late is still an answer.
#[tokio::test]
async fn a_store_that_takes_200_ms_costs_time_and_nothing_else() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let echo = echo_upstream();
    let gateway = Gateway::on(&link.url(), &echo.route("/api", "required"));
    let token = gateway.token("alice").await;
    link.set(Fault::Delay(Duration::from_millis(200)));
    for _ in 0..3 {
        assert_eq!(gateway.get("/api").bearer_auth(&token).await.status(), 200);
    }
    // A logout that was answered "out of memory" did not happen, as far as the client can know.
    link.set(Fault::Say(
        "OOM command not allowed when used memory > 'maxmemory'.",
    ));
    assert_eq!(
        gateway
            .post("/auth/logout")
            .bearer_auth(&token)
            .await
            .status(),
        503
    );
    link.set(Fault::None);
    until("the logout", async || {
        gateway
            .post("/auth/logout")
            .bearer_auth(&token)
            .await
            .status()
            == 204
    })
    .await;
    // The other worker may have to connect anew; what it must not say is that the session lives.
    until("the end of the session at every worker", async || {
        let status = gateway.get("/api").bearer_auth(&token).await.status();
        assert!(status == 401 || status == 503, "{status}");
        status == 401
    })
    .await;
}

/// What a login says last, when nobody waits any more, is found by the id that its client got.
#[tokio::test]
async fn a_verdict_that_cannot_be_kept_is_logged_with_the_logins_id() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let gateway = Gateway::on(&link.url(), "apps.shop.timeout = \"20s\"\n");
    let order = json!({ "api": "jscode2session", "times": 1, "delay_ms": 4500, "body": { "errcode": 40029, "errmsg": "invalid code" } });
    gateway.fault(order).await;
    let breaks = async {
        until("the code at WeChat", async || {
            let calls: Value = http()
                .get(gateway.wechat.server.at("/sandbox/calls"))
                .await
                .json();
            calls["jscode2session"] == 1
        })
        .await;
        link.set(Fault::Say(
            "OOM command not allowed when used memory > 'maxmemory'.",
        ));
    };
    let (answer, ()) = tokio::join!(gateway.login_with(json!({ "code": "zoe" })), breaks);
    assert_eq!(answer.status(), 400);
    let id = answer.header("x-request-id").to_owned();
    let line = until("the line", async || {
        gateway
            .stderr()
            .lines()
            .find(|line| line.contains("cannot store the outcome"))
            .map(str::to_owned)
    })
    .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (line["request_id"].as_str(), line["app"].as_str()),
        (Some(&*id), Some("shop")),
        "{line}"
    );
}
