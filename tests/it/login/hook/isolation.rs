//! A backend that is slow, gone or for one app alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hufu::sandbox::SandboxSettings;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{asking, assert_refused, logged_in, no_content};
use crate::helpers::servers::refusing;
use crate::helpers::{Gateway, Sandbox, Script, Upstream, sandbox, until};

const OTHER_APPID: &str = "wxfedcba9876543210";

/// A second app, with a WeChat of its own.
fn club() -> (Sandbox, String) {
    let other = sandbox(SandboxSettings::default());
    let lines = format!(
        "apps.club.appid = \"{OTHER_APPID}\"\napps.club.secret = \"s\"\napps.club.base_url = \"{}\"\n",
        other.server.url
    );
    (other, lines)
}

#[tokio::test]
async fn only_the_logins_of_its_apps_are_asked_about() {
    let backend = Upstream::start(no_content());
    let (other, lines) = club();
    let hook = asking(&backend.url, "login.hook.apps = [\"club\"]\n");
    let gateway = Gateway::start(&format!("{lines}{hook}"));
    let login = json!({ "app": "shop", "code": gateway.code("alice") });
    assert_eq!(gateway.login_with(login).await.status(), 200);
    assert_eq!(backend.count("POST"), 0);
    let code = other.platform.login_code(OTHER_APPID, "alice");
    let login = json!({ "app": "club", "code": code });
    assert_eq!(gateway.login_with(login).await.status(), 200);
    assert_eq!(backend.count("POST"), 1);
}

/// A backend that never answers a question about the shop, and how many of these it has got.
async fn silent_about_the_shop() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut question = Vec::new();
                while stream
                    .read_buf(&mut question)
                    .await
                    .is_ok_and(|read| read > 0)
                {
                    let text = String::from_utf8_lossy(&question);
                    if !text.ends_with('}') {
                        continue;
                    }
                    if text.contains("\"app\":\"shop\"") {
                        counted.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                    question.clear();
                }
            });
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_hook_that_hangs_for_one_app_delays_no_other() {
    let (url, asked) = silent_about_the_shop().await;
    let (other, lines) = club();
    let limits = "login.hook.max_concurrent = 2\nupstreams.hook.max_concurrent = 3\n";
    let with_timeout = |timeout: &str| {
        let limits = format!("login.hook.timeout = \"{timeout}\"\n{limits}");
        Gateway::start(&format!("{lines}{}", asking(&url, &limits)))
    };
    let six_of_the_shop = |gateway: &Gateway| -> Vec<_> {
        let logins = (0..6).map(|n| {
            let code = gateway.code(&format!("user{n}"));
            let login = json!({ "app": "shop", "code": code });
            tokio::spawn(gateway.post("/auth/login").json(&login).try_send())
        });
        logins.collect()
    };
    // So long that the others are certainly served while these hang.
    let gateway = with_timeout("30s");
    let shop = six_of_the_shop(&gateway);
    until("two questions", async || asked.load(Ordering::Relaxed) == 2).await;
    for _ in 0..3 {
        let code = other.platform.login_code(OTHER_APPID, "alice");
        let login = json!({ "app": "club", "code": code });
        assert_eq!(gateway.login_with(login).await.status(), 200);
    }
    assert!(shop.iter().all(|login| !login.is_finished()));
    let clubs = "hufu_login_hooks_total{app=\"club\",outcome=\"none\"}";
    assert_eq!(gateway.counted(clubs).await, 3);
    drop(gateway);

    let gateway = with_timeout("6s");
    let before = asked.load(Ordering::Relaxed);
    for answer in join_all(six_of_the_shop(&gateway)).await {
        assert_refused(&answer.unwrap().unwrap(), 503, "login_hook_failed");
    }
    gateway.assert_logged("gave no answer within 6s");
    gateway.assert_logged("as login.hook.max_concurrent allows (2) are under way already");
    assert_eq!(asked.load(Ordering::Relaxed), before + 2);
    let timeouts = "hufu_upstream_requests_total{upstream=\"hook\",outcome=\"timeout\"}";
    assert_eq!(gateway.counted(timeouts).await, 2);
    let failed = "hufu_login_hooks_total{app=\"shop\",outcome=\"failed\"}";
    assert_eq!(gateway.counted(failed).await, 6);
}

/// A question has a shorter time than other requests to the same upstream.
#[tokio::test]
async fn a_hook_that_hangs_ejects_no_endpoint() {
    let [one, other] = [(); 2].map(|()| Upstream::start(Script::hang()));
    let both = format!("{}\", \"{}", one.url, other.url);
    let settings = |timeout: &str| {
        let times =
            format!("login.hook.timeout = \"{timeout}\"\nupstreams.hook.ejection.failures = 1\n");
        asking(&both, &times)
    };
    let gateway = Gateway::start(&settings("4s"));
    let ejections = async || {
        let of = |backend: &Upstream| {
            format!(
                "hufu_upstream_ejections_total{{upstream=\"hook\",endpoint=\"127.0.0.1:{}\"}}",
                backend.port
            )
        };
        gateway.counted(&of(&one)).await + gateway.counted(&of(&other)).await
    };
    let users = ["alice", "bob", "carol", "dave"];
    for answer in join_all(users.map(|user| logged_in(&gateway, user))).await {
        assert_refused(&answer, 503, "login_hook_failed");
    }
    assert_eq!(one.count("POST") + other.count("POST"), 4);
    assert_eq!(ejections().await, 0);
    gateway.reload(&settings("30s"), "applied").await;
    // An answer that breaks off counts as for any request.
    one.set(Script::cut());
    other.set(Script::cut());
    let answer = logged_in(&gateway, "alice").await;
    assert_refused(&answer, 503, "login_hook_failed");
    assert_eq!(ejections().await, 1);
}

/// Head and beginning of the body in time, and then so slowly that it would never end.
#[tokio::test]
async fn an_answer_that_trickles_in_costs_the_timeout() {
    let backend = Upstream::start(Script::drip());
    let hook = asking(&backend.url, "login.hook.timeout = \"4s\"\n");
    let gateway = Gateway::start(&hook);
    assert_refused(
        &logged_in(&gateway, "alice").await,
        503,
        "login_hook_failed",
    );
    assert_eq!(backend.count("POST"), 1);
}

#[tokio::test]
async fn without_a_connection_another_endpoint_is_asked() {
    let (nobody, _taken) = refusing();
    let backend = Upstream::start(no_content());
    let both = format!("{nobody}\", \"{}", backend.url);
    let balance = "upstreams.hook.balance = \"round_robin\"\n";
    let gateway = Gateway::start(&asking(&both, balance));
    for n in 1..=6 {
        assert_eq!(logged_in(&gateway, "alice").await.status(), 200);
        assert_eq!(backend.count("POST"), n);
    }
    let retried = "hufu_upstream_retries_total{upstream=\"hook\",outcome=\"another_endpoint\"}";
    assert!(gateway.counted(retried).await > 0);
    // Nobody at all.
    gateway.reload(&asking(&nobody, ""), "applied").await;
    assert_refused(
        &logged_in(&gateway, "alice").await,
        503,
        "login_hook_failed",
    );
}

/// What may have been read is never sent again, wherever it breaks off.
#[tokio::test]
async fn what_was_sent_is_not_sent_again() {
    let [one, other] = [(); 2].map(|()| Upstream::start(Script::cut()));
    let both = format!("{}\", \"{}", one.url, other.url);
    let gateway = Gateway::start(&asking(&both, ""));
    for n in 1..=4 {
        assert_refused(
            &logged_in(&gateway, "alice").await,
            503,
            "login_hook_failed",
        );
        assert_eq!(one.count("POST") + other.count("POST"), n);
    }
    // A connection that is closed after its first answer, while it rests or as the next comes.
    let closing = Script::at_end("HTTP/1.1 204 No Content\r\n\r\n").then_close();
    one.set(closing.clone());
    other.set(closing);
    for n in 5..=10 {
        assert_eq!(logged_in(&gateway, "alice").await.status(), 200);
        assert_eq!(one.count("POST") + other.count("POST"), n);
    }
}

/// A client that leaves has its login made for it, and finds it when it comes again.
#[tokio::test]
async fn a_client_that_leaves_is_asked_about_to_the_end() {
    let backend = Upstream::start(Script::held());
    let gateway = Gateway::start(&asking(&backend.url, ""));
    let login = json!({ "code": gateway.code("alice") });
    let first = tokio::spawn(gateway.post("/auth/login").json(&login).try_send());
    until("the question", async || backend.count("POST") == 1).await;
    first.abort();
    let answered = async {
        // Time for the gateway to see that the client has left.
        tokio::time::sleep(Duration::from_millis(300)).await;
        backend.set(no_content());
    };
    let (again, ()) = tokio::join!(gateway.login_with(login), answered);
    assert_eq!(again.status(), 200, "{}", again.text());
    assert_eq!(backend.count("POST"), 1);
    assert!(!backend.was_left());
}
