//! Changed claims and blocked users, through the admin API and `hufu users`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::command::Cli;
use super::{TOKEN, admin, alive, ask_with, gateway, gateways, keys, openid, text};
use crate::helpers::{Fault, Gateway, Link, RedisServer, http, until};

/// The name of a session that never was.
const SESSION: &str = "ILgZnOirWCc_8LN-GAgEe2pXw";
const CLAIMS: &str = "session.visible_claims = [\"role\", \"vip\"]\n";

fn of(what: &str, user: &str) -> String {
    format!("/users{what}?app=shop&user={}", openid(user))
}

async fn change(gateway: &Gateway, user: &str, patch: Value) -> (u16, Value) {
    let path = of("/claims", user);
    ask_with(gateway, "PATCH", &path, Some(TOKEN), Some(&patch)).await
}

async fn block(gateway: &Gateway, user: &str, body: Value) -> (u16, Value) {
    let path = of("/block", user);
    ask_with(gateway, "PUT", &path, Some(TOKEN), Some(&body)).await
}

async fn claims(gateway: &Gateway, login: &Value) -> Value {
    let shown = gateway
        .get("/auth/session")
        .bearer_auth(text(login, "token"))
        .await;
    shown.json()["claims"].clone()
}

/// No operator has changed anything of this user.
async fn assert_unchanged(gateway: &Gateway, user: &str) {
    let (_, shown) = admin(gateway, "GET", &of("", user)).await;
    assert_eq!(
        (&shown["blocked"], &shown["changed_claims"]),
        (&Value::Null, &json!({}))
    );
}

#[tokio::test]
async fn operators_change_claims_and_they_stay() {
    for (gateway, _redis) in gateways(CLAIMS) {
        let first = gateway.login("alice").await;
        let staff = json!({"role": ["staff"], "vip": true});
        let changed = change(&gateway, "alice", staff.clone()).await;
        assert_eq!(changed, (200, json!({"sessions": 1, "claims": staff})));
        assert_eq!(claims(&gateway, &first).await, staff);
        let second = gateway.login("alice").await;
        assert_eq!(claims(&gateway, &second).await, staff);
        let (_, changed) = change(&gateway, "alice", json!({"vip": null})).await;
        assert_eq!(
            changed,
            json!({"sessions": 2, "claims": {"role": ["staff"]}})
        );
        let (status, shown) = admin(&gateway, "GET", &of("", "alice")).await;
        assert_eq!(
            (status, shown),
            (
                200,
                json!({
                    "app": "shop", "provider": "wechat-mini-program", "user": openid("alice"),
                    "sessions": 2, "blocked": null,
                    "changed_claims": {"role": ["staff"], "vip": null}, "changed_until": null
                })
            )
        );
        // The usual type of a merge patch does as well.
        let request = http().request(
            "PATCH",
            gateway.admin_at(&format!("/admin/api{}", of("/claims", "bob"))),
        );
        let answer = request
            .bearer_auth(TOKEN)
            .header("content-type", "application/merge-patch+json")
            .body(r#"{"role":"guest"}"#)
            .await;
        assert_eq!(
            (answer.status(), answer.json()),
            (200, json!({"sessions": 0, "claims": {"role": "guest"}}))
        );
        assert_eq!(
            gateway
                .counted(
                    "hufu_user_changes_total{app=\"shop\",operation=\"claims\",outcome=\"done\"}"
                )
                .await,
            3
        );
        let log = gateway.stderr();
        let line = log
            .lines()
            .find(|line| line.contains("an operator changed the claims of a user"))
            .unwrap();
        for part in ["audit", "claims", "role,vip", "127.0.0.1", "user"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(
            !log.contains("staff") && !log.contains(&openid("alice")),
            "{log}"
        );
    }
}

#[tokio::test]
async fn operators_block_users() {
    for (gateway, _redis) in gateways("") {
        let login = gateway.login("alice").await;
        let other = gateway.login("bob").await;
        let (status, blocked) = block(&gateway, "alice", json!({"reason": "fraud"})).await;
        assert_eq!((status, &blocked["revoked"]), (200, &json!(1)), "{blocked}");
        assert!(!alive(&gateway, &login).await && alive(&gateway, &other).await);
        let code = gateway.code("alice");
        // The second time it is the settled outcome that answers.
        for _ in 0..2 {
            let refused = gateway.login_with(json!({ "code": code })).await;
            assert_eq!(
                (refused.status(), refused.code()),
                (403, Some("user_blocked"))
            );
            assert_eq!(
                refused.json()["detail"],
                "The operator has blocked this user."
            );
            assert!(!refused.text().contains("fraud"));
        }
        let (_, shown) = admin(&gateway, "GET", &of("", "alice")).await;
        assert_eq!(
            (&shown["blocked"]["reason"], &shown["blocked"]["until"]),
            (&json!("fraud"), &blocked["until"])
        );
        for _ in 0..2 {
            let lifted = admin(&gateway, "DELETE", &of("/block", "alice")).await;
            assert_eq!(lifted, (204, Value::Null));
        }
        let login = gateway.login("alice").await;
        assert!(alive(&gateway, &login).await);
        let (status, _) = block(&gateway, "bob", json!({"until": null})).await;
        assert_eq!(status, 200);
        let until = "2099-01-01T00:00:00+08:00";
        let (_, blocked) = block(&gateway, "alice", json!({"until": until})).await;
        let ten_years = blocked["until"].as_str().unwrap();
        assert!(ten_years < until, "ten years are the most: {blocked}");
        let counted = async |operation: &str, outcome: &str| {
            let labels = format!("app=\"shop\",operation=\"{operation}\",outcome=\"{outcome}\"");
            gateway
                .counted(&format!("hufu_user_changes_total{{{labels}}}"))
                .await
        };
        assert_eq!(
            (
                counted("block", "done").await,
                counted("unblock", "done").await,
                counted("unblock", "nothing").await
            ),
            (3, 1, 1)
        );
        let log = gateway.stderr();
        let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        assert_eq!(
            (
                lines("an operator blocked a user"),
                lines("an operator lifted the block of a user")
            ),
            (3, 1),
            "{log}"
        );
        assert!(log.contains("fraud") && !log.contains(&openid("alice")));
    }
}

#[tokio::test]
async fn what_changes_nothing_has_an_audit_line_too() {
    let gateway = gateway("memory:", "");
    let long = json!({ "role": "x".repeat(2048) });
    let unfit = change(&gateway, "alice", long).await;
    let over = block(&gateway, "alice", json!({"until": "2020-01-01T00:00:00Z"})).await;
    let lifted = admin(&gateway, "DELETE", &of("/block", "alice")).await;
    assert_eq!((unfit.0, over.0, lifted.0), (400, 400, 204));
    for (audit, outcome) in [
        ("claims", "refused"),
        ("block", "refused"),
        ("unblock", "nothing"),
    ] {
        let line = audited(&gateway, audit, outcome);
        assert!(line["user"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_session_that_is_not_found_has_an_audit_line_too() {
    let mut redis = RedisServer::start(&[]);
    let gateway = gateway(&redis.url(""), "");
    let path = format!("/sessions/{SESSION}");
    let gone = admin(&gateway, "DELETE", &path).await;
    assert_eq!(gone.0, 404);
    redis.kill();
    let down = admin(&gateway, "DELETE", &path).await;
    assert_eq!(down.0, 503);
    for outcome in ["nothing", "failed"] {
        let line = audited(&gateway, "revoke", outcome);
        assert_eq!(line["session"], SESSION, "{line}");
    }
}

/// The audit line of this outcome.
fn audited(gateway: &Gateway, audit: &str, outcome: &str) -> Value {
    let log = gateway.stderr();
    let mut lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| {
        line["audit"] == audit
            && line["outcome"] == outcome
            && line["by"] == "admin"
            && line["from"] == "127.0.0.1"
    });
    line.unwrap_or_else(|| panic!("{audit} {outcome}: {log}"))
}

/// On the operators' listener no proxy is believed, so none is missing in the configuration.
#[tokio::test]
async fn a_forwarded_call_of_an_operator_warns_of_no_nameless_proxy() {
    let gateway = gateway("memory:", "");
    let path = gateway.admin_at(&format!("/admin/api{}", of("/block", "alice")));
    let answer = http()
        .request("PUT", path)
        .bearer_auth(TOKEN)
        .header("x-forwarded-for", "198.51.100.7")
        .json(&json!({}))
        .await;
    assert_eq!(answer.status(), 200);
    let log = gateway.stderr();
    assert!(!log.contains("forwards requests, but"), "{log}");
}

#[tokio::test]
async fn what_no_login_gets_any_more_is_not_shown() {
    let redis = RedisServer::start(&[]);
    let keys = keys();
    let plain = gateway(&redis.url(""), &keys);
    let hook = "login.hook.upstream = \"api\"\nlogin.hook.path = \"/hook\"\n\
                login.hook.secrets = [\"one-that-is-long-enough-for-anybody\"]\n\
                upstreams.api.endpoints = [\"http://127.0.0.1:9\"]\n";
    let hooked = gateway(&redis.url(""), &(keys + hook));
    change(&plain, "alice", json!({"role": "staff"})).await;
    for (gateway, kept) in [(&plain, json!({"role": "staff"})), (&hooked, json!({}))] {
        let (_, shown) = admin(gateway, "GET", &of("", "alice")).await;
        assert_eq!(shown["changed_claims"], kept, "{shown}");
    }
}

#[tokio::test]
async fn what_is_no_change_is_refused_by_its_name() {
    let gateway = gateway("memory:", CLAIMS);
    let login = gateway.login("alice").await;
    let long = "x".repeat(2048);
    for (body, words) in [
        (json!([]), "an object such as"),
        (json!({"Role": "x"}), "\"Role\" is no name"),
        (json!({"role": {"a": 1}}), "the claim \"role\" is an object"),
        (json!({"role": [1]}), "the claim \"role\" is a list of"),
        (json!({ "role": long }), "more than 2048 bytes"),
    ] {
        let (status, answer) = change(&gateway, "alice", body.clone()).await;
        assert_eq!((status, text(&answer, "code")), (400, "request_invalid"));
        assert!(text(&answer, "detail").contains(words), "{body}: {answer}");
    }
    for (body, words) in [
        (json!({"until": "tomorrow"}), "no time such as"),
        (json!({"until": "2020-01-01T00:00:00Z"}), "is past"),
        (json!({"until": "2020-01-01T00:00:00+08:00"}), "is past"),
        (json!({"until": 5}), "invalid type"),
        (
            json!({"reason": "x".repeat(257)}),
            "more than 256 characters",
        ),
        (json!({"why": "x"}), "unknown field"),
    ] {
        let (status, answer) = block(&gateway, "alice", body.clone()).await;
        assert_eq!((status, text(&answer, "code")), (400, "request_invalid"));
        assert!(text(&answer, "detail").contains(words), "{body}: {answer}");
    }
    assert!(alive(&gateway, &login).await);
    assert_eq!(claims(&gateway, &login).await, json!({}));
    assert_unchanged(&gateway, "alice").await;
}

#[tokio::test]
async fn the_command_shows_changes_and_blocks_users() {
    let gateway = gateway("memory:", CLAIMS);
    let cli = Cli::new(&gateway, "users");
    let login = gateway.login("alice").await;
    let alice = openid("alice");
    let of = |words: &[&str]| {
        let named = ["--app", "shop", "--user", &alice];
        cli.said(&[words, &named].concat())
    };
    let (code, out, err) = of(&["claims", "--set", "role=[\"staff\"]", "--set", "vip=true"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (
            0,
            "{\"role\":[\"staff\"],\"vip\":true}\n",
            "changed; sessions: 1\n"
        )
    );
    let (code, out, _) = of(&["claims", "--remove", "vip", "--json"]);
    let changed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, changed),
        (0, json!({"sessions": 1, "claims": {"role": ["staff"]}}))
    );
    assert_eq!(claims(&gateway, &login).await, json!({"role": ["staff"]}));
    // Some claims come from users.
    let (code, out, _) = of(&["claims", "--set", "nickname=a\u{202e}b"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "{\"nickname\":\"a?b\",\"role\":[\"staff\"]}\n")
    );
    assert_eq!(of(&["claims", "--remove", "nickname"]).0, 0);
    let (code, out, err) = of(&["block", "--for", "30d", "--reason", "fraud"]);
    assert_eq!((code, out.as_str()), (0, "1\n"));
    assert!(err.starts_with("blocked until 2"), "{err}");
    assert!(!alive(&gateway, &login).await);
    let (code, out, _) = of(&["show"]);
    assert_eq!(code, 0);
    for line in [
        "reason               fraud\n",
        "sessions             0\n",
        "changed_claims       {\"nickname\":null,\"role\":[\"staff\"],\"vip\":null}\n",
    ] {
        assert!(out.contains(line), "{out}");
    }
    let (code, out, err) = of(&["unblock"]);
    assert_eq!(
        (code, out.as_str(), err),
        (0, "", format!("{alice} is not blocked\n"))
    );
    let login = gateway.login("alice").await;
    let (code, _, err) = of(&["claims"]);
    assert_eq!(code, 2);
    assert!(err.contains("--set") && err.contains("--remove"), "{err}");
    let (code, out, err) = of(&["block", "--for", "99999999d"]);
    assert_eq!((code, out.as_str()), (0, "1\n"), "{err}");
    assert!(err.starts_with("blocked until 20"), "ten years: {err}");
    assert!(!alive(&gateway, &login).await);
    for wrong in [
        &["claims", "--set", "role"][..],
        &["claims", "--set", "a=1", "--remove", "a"],
        &["claims", "--set", "A=1"],
        &["block", "--until", "tomorrow"],
        &["block", "--until", "2020-01-01T00:00:00Z"],
        &["block", "--for", "1d", "--until", "2099-01-01T00:00:00Z"],
    ] {
        assert_eq!(of(wrong).0, 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn other_json_than_a_merge_patch_is_refused() {
    let gateway = gateway("memory:", "");
    for (method, what, body, taken) in [
        (
            "PATCH",
            "/claims",
            r#"{"op":"add"}"#,
            "application/merge-patch+json\" or",
        ),
        ("PUT", "/block", "{}", "Content-Type: application/json"),
    ] {
        for kind in [
            "application/json-patch+json",
            "application/problem+json",
            "text/json",
            "text/plain",
            "",
        ] {
            let path = format!("/admin/api{}", of(what, "alice"));
            let request = http().request(method, gateway.admin_at(&path));
            let answer = request
                .bearer_auth(TOKEN)
                .header("content-type", kind)
                .body(body)
                .await;
            assert_eq!(
                (answer.status(), answer.code()),
                (415, Some("unsupported_media_type")),
                "{kind}"
            );
            assert!(answer.text().contains("application/json"), "{kind}");
            let detail = answer.json()["detail"].clone();
            assert!(detail.as_str().unwrap().contains(taken), "{detail}");
        }
    }
    assert_unchanged(&gateway, "alice").await;
}

/// Redis has carried the change out, and its answer is under way.
#[tokio::test]
async fn a_change_whose_operator_hung_up_is_logged_and_counted() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let gateway = gateway(&link.url(), "");
    let body = r#"{"role":"staff"}"#;
    let head = format!(
        "PATCH /admin/api{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        of("/claims", "alice"),
        body.len()
    );
    // Once before, so that Redis knows the script.
    change(&gateway, "bob", json!({"role": "staff"})).await;
    let states = async || {
        redis
            .ask::<Vec<String>>(&["KEYS", "hufu:a:*"])
            .unwrap()
            .len()
    };
    link.set(Fault::Delay(Duration::from_millis(60)));
    let address = gateway.admin_at("");
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let mut operator = TcpStream::connect(address).await.unwrap();
    operator
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    until("the change in Redis", async || states().await == 2).await;
    operator.set_zero_linger().unwrap();
    drop(operator);
    gateway
        .counts(
            "hufu_user_changes_total{app=\"shop\",operation=\"claims\",outcome=\"done\"}",
            2,
        )
        .await;
    until("both lines", async || {
        let log = gateway.stderr();
        log.matches("an operator changed the claims of a user")
            .count()
            == 2
    })
    .await;
}

#[tokio::test]
async fn a_change_of_which_nobody_knows_the_outcome_has_an_audit_line() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let times = "store.connect_timeout = \"3s\"\nstore.timeout = \"3s\"\n";
    let gateway = gateway(&link.url(), times);
    change(&gateway, "alice", json!({"role": "staff"})).await;
    for (fault, outcome) in [
        (Fault::Say("OOM nothing more fits"), "failed"),
        (Fault::Lose, "unknown"),
    ] {
        link.set(fault);
        let [lift, all] = [
            of("/block", "alice"),
            format!("/sessions?app=shop&user={}", openid("alice")),
        ];
        let (changed, blocked, lifted, ended) = tokio::join!(
            change(&gateway, "alice", json!({"vip": true})),
            block(&gateway, "alice", json!({"reason": "fraud"})),
            admin(&gateway, "DELETE", &lift),
            admin(&gateway, "DELETE", &all),
        );
        assert_eq!(
            (changed.0, blocked.0, lifted.0, ended.0),
            (503, 503, 503, 503)
        );
        let log = gateway.stderr();
        for audit in ["claims", "block", "unblock", "revoke_all"] {
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let line = lines.find(|line| {
                line["audit"] == audit
                    && line["outcome"] == outcome
                    && line["app"] == "shop"
                    && line["user"].is_string()
                    && line["by"] == "admin"
                    && line["from"] == "127.0.0.1"
            });
            assert!(line.is_some(), "{audit} {outcome}: {log}");
        }
    }
}
