//! A change of claims that others overtake each time.

use serde_json::{Value, json};

use super::command::Cli;
use super::{TOKEN, admin, gateway, openid, text};
use crate::helpers::{Gateway, HttpAnswer, Instead, Link, RedisServer, http, until};

/// What the gateway's scripts answer if something is no longer as it was read. Nothing is run.
const OVERTAKEN: &[(&str, Instead)] = &[("EVALSHA", Instead::Bytes(":0\r\n"))];

/// What they answer if they come later than the change may be dated. Nothing is run.
const LATE: &[(&str, Instead)] = &[("EVALSHA", Instead::Bytes(":2\r\n"))];

async fn changed(gateway: &Gateway) -> HttpAnswer {
    let path = format!("/admin/api/users/claims?app=shop&user={}", openid("alice"));
    let request = http().request("PATCH", gateway.admin_at(&path));
    let patch = json!({"role": "staff"});
    request.bearer_auth(TOKEN).json(&patch).await
}

/// What Redis has of the user, through another gateway.
async fn kept(gateway: &Gateway, login: &Value) -> [Value; 2] {
    let path = format!("/users?app=shop&user={}", openid("alice"));
    let (_, shown) = admin(gateway, "GET", &path).await;
    let path = format!("/sessions/{}", text(login, "session_id"));
    let (_, session) = admin(gateway, "GET", &path).await;
    [&shown["changed_claims"], &session["claims"]].map(Clone::clone)
}

#[tokio::test]
async fn a_change_that_others_overtake_all_the_time_is_given_up_and_changes_nothing() {
    let redis = RedisServer::start(&[]);
    let link = Link::refusing(redis.port(), OVERTAKEN);
    let patience = "store.connect_timeout = \"20s\"\nstore.timeout = \"20s\"\n";
    let one = gateway(&redis.url(""), patience);
    let login = one.login("alice").await;
    let nothing = kept(&one, &login).await;
    // The other one gives up after so long.
    let short = "store.connect_timeout = \"1s\"\nstore.timeout = \"1s\"\n";
    one.write(
        "hufu.toml",
        &one.stored("hufu.toml").replace(patience, short),
    );
    let busy = one.sibling_over(&link.url());

    // On a busy machine the time may end within a round: then the store is unavailable, and another
    // try says what is the matter.
    let given_up = until("the change to be given up", async || {
        let answer = changed(&busy).await;
        (answer.status() != 503).then_some(answer)
    })
    .await;
    assert_eq!(
        (given_up.status(), given_up.code()),
        (429, Some("rate_limited"))
    );
    assert_eq!(given_up.header("retry-after"), "1");
    let problem = given_up.json();
    assert_eq!(problem["retry_after"], 1);
    let detail = text(&problem, "detail");
    assert!(detail.contains("changed by others all the time; nothing was changed"));

    let cli = Cli::new(&busy, "users");
    let alice = openid("alice");
    let command = [
        "claims",
        "--app",
        "shop",
        "--user",
        &alice,
        "--set",
        "role=staff",
    ];
    let (code, out, err) = until("the command to say so", async || {
        let said = cli.said(&command);
        let is_slow = ["(store_unavailable)", "does not answer"];
        let is_slow = is_slow.iter().any(|words| said.2.contains(words));
        (!is_slow).then_some(said)
    })
    .await;
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(
        err.contains(detail) && err.contains("Try again in 1 s."),
        "{err}"
    );

    let counted = r#"hufu_user_changes_total{app="shop",operation="claims",outcome="busy"}"#;
    // Also what the command no longer waited for.
    let given_up = busy.counted(counted).await;
    assert!(given_up >= 2, "{given_up}");
    let log = busy.stderr();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let audited = lines.filter(|line: &Value| {
        line["audit"] == "claims"
            && line["outcome"] == "failed"
            && line["set"] == "role"
            && text(line, "message").contains("others changed the user's sessions")
    });
    assert_eq!(u64::try_from(audited.count()), Ok(given_up), "{log}");
    assert_eq!(kept(&one, &login).await, nothing);

    link.learn();
    until("the change", async || {
        let answer = changed(&busy).await;
        assert!(matches!(answer.status(), 200 | 503), "{}", answer.text());
        answer.status() == 200
    })
    .await;
    let role = json!({"role": "staff"});
    assert_eq!(kept(&one, &login).await, [role.clone(), role]);
}

/// A slow Redis is no fault of anybody who logs in.
#[tokio::test]
async fn a_change_that_comes_too_late_each_time_blames_nobody() {
    let redis = RedisServer::start(&[]);
    let link = Link::refusing(redis.port(), LATE);
    let one = gateway(&redis.url(""), "");
    let login = one.login("alice").await;
    let nothing = kept(&one, &login).await;
    let slow = one.sibling_over(&link.url());
    let answer = changed(&slow).await;
    assert_eq!(
        (answer.status(), answer.code()),
        (503, Some("store_unavailable"))
    );
    slow.logs("answers too slowly for a change of claims; nothing was changed")
        .await;
    assert_eq!(kept(&one, &login).await, nothing);
}
