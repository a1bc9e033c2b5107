//! Several admin tokens: each audited line says by which one.

use serde_json::{Value, json};

use super::command::Cli;
use super::{TOKEN, ask, ask_with, openid, text};
use crate::helpers::{Gateway, GatewayBuilder, until};

const OPS: &str = "the-token-of-ops-that-nobody-may-see";
const DEPLOY: &str = "deploy-token-that-nobody-may-see";

fn named(name: &str, token: &str) -> String {
    format!("admin.tokens.{name}.token = \"{token}\"\n")
}

/// The only audit line with these fields.
async fn audit_line(gateway: &Gateway, audit: &str, by: &str) -> Value {
    let what = format!("one audit line {audit} by {by}");
    until(&what, async || {
        let log = gateway.stderr();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.filter(|line| line["audit"] == audit && line["by"] == by);
        lines.next().filter(|_| lines.next().is_none())
    })
    .await
}

#[tokio::test]
async fn every_audited_line_names_the_token() {
    let config = format!(
        "admin.token = \"{TOKEN}\"\n{}{}",
        named("ops", OPS),
        named("deploy", DEPLOY)
    );
    let gateway = Gateway::start(&config);
    let alice = format!("app=shop&user={}", openid("alice"));
    let change = json!({ "role": "staff" });
    let mut lines = Vec::new();
    for (by, token) in [("admin", TOKEN), ("ops", OPS), ("deploy", DEPLOY)] {
        let login = gateway.login("alice").await;
        let one = format!("/sessions/{}", text(&login, "session_id"));
        for (audit, method, path, body, status) in [
            ("revoke", "DELETE", one, None, 204),
            (
                "revoke_all",
                "DELETE",
                format!("/sessions?{alice}"),
                None,
                200,
            ),
            (
                "claims",
                "PATCH",
                format!("/users/claims?{alice}"),
                Some(&change),
                200,
            ),
            (
                "block",
                "PUT",
                format!("/users/block?{alice}"),
                Some(&json!({})),
                200,
            ),
            (
                "unblock",
                "DELETE",
                format!("/users/block?{alice}"),
                None,
                204,
            ),
            (
                "access_token",
                "GET",
                "/apps/shop/access-token".to_owned(),
                None,
                200,
            ),
        ] {
            let (answered, body) = ask_with(&gateway, method, &path, Some(token), body).await;
            assert_eq!(answered, status, "{audit}: {body}");
            let line = audit_line(&gateway, audit, by).await;
            assert_eq!(
                (&line["outcome"], &line["app"], &line["from"]),
                (&json!("done"), &json!("shop"), &json!("127.0.0.1")),
                "{line}"
            );
            assert_eq!(line["user"].is_string(), audit != "access_token", "{line}");
            lines.push(line);
        }
    }
    assert_eq!(lines.len(), 18);
    assert!(lines[0]["session"].is_string(), "{}", lines[0]);
    for (wrong, status) in [("ops", 401), (&OPS[1..], 401), (OPS, 200)] {
        let (answered, _) = ask(&gateway, "GET", "/sessions/count", Some(wrong)).await;
        assert_eq!(answered, status, "{wrong}");
    }
    let written = gateway.stderr() + &gateway.stdout();
    for token in [TOKEN, OPS, DEPLOY] {
        assert!(!written.contains(token), "a token is in the log");
    }
}

#[tokio::test]
async fn a_token_counts_from_the_start_of_a_process_to_its_end() {
    let gateway = Gateway::start(&named("ops", OPS));
    let status = async |gateway: &Gateway, token| {
        ask(gateway, "GET", "/sessions/count", Some(token)).await.0
    };
    assert_eq!(status(&gateway, OPS).await, 200);
    // The same token under another name, and another token.
    for later in [named("deploy", OPS), named("ops", DEPLOY)] {
        gateway.reload(&later, "applied").await;
        assert_eq!(status(&gateway, OPS).await, 200);
    }
    let log = gateway.stderr();
    let warnings = log.lines().filter(|line| line.contains("need a restart"));
    let warnings: Vec<_> = warnings.collect();
    assert_eq!(warnings.len(), 2, "{log}");
    for warning in warnings {
        assert!(warning.contains("admin.tokens.*.token"), "{warning}");
    }
    let config = GatewayBuilder::new().config(named("deploy", DEPLOY));
    let restarted = gateway.successor(&config);
    assert_eq!(status(&restarted, OPS).await, 401);
    assert_eq!(status(&restarted, DEPLOY).await, 200);
    assert_eq!(status(&restarted, TOKEN).await, 401);
}

#[tokio::test]
async fn the_command_takes_one_of_the_tokens() {
    let both = format!("{}{}", named("ops", OPS), named("deploy", DEPLOY));
    let gateway = Gateway::start(&format!("admin.token = \"{TOKEN}\"\n{both}"));
    let cli = Cli::new(&gateway, "sessions");
    let all = ["revoke-all", "--user", &openid("alice")];
    let with = |more: &[&str]| cli.said(&[&all[..], more].concat());
    let own = format!("admin.token = \"{TOKEN}\"\n");
    let file = cli.config();

    // The unnamed one comes first.
    cli.write(&file.replace(&own, &format!("{own}{both}")));
    assert_eq!(with(&[]).0, 0);
    audit_line(&gateway, "revoke_all", "admin").await;
    assert_eq!(with(&["--token-name", "ops"]).0, 0);
    audit_line(&gateway, "revoke_all", "ops").await;
    let (code, _, err) = with(&["--token-name", "nobody"]);
    assert_eq!(code, 2);
    assert!(err.contains("it has admin, deploy, ops"), "{err}");
    let (code, _, err) = with(&["--token-name", "ops", "--token-env", "ADMIN_TOKEN"]);
    assert_eq!(code, 2);
    assert!(err.contains("cannot be used with"), "{err}");

    // The only one needs no choice; of several none is guessed.
    cli.write(&file.replace(&own, &named("deploy", DEPLOY)));
    assert_eq!(with(&[]).0, 0);
    audit_line(&gateway, "revoke_all", "deploy").await;
    cli.write(&file.replace(&own, &both));
    let (code, _, err) = with(&[]);
    assert_eq!(code, 2);
    assert!(
        err.contains("choose one with --token-name (deploy, ops)"),
        "{err}"
    );
    cli.write(&file.replace(&own, &named("ops", &DEPLOY.replace('d', "D"))));
    let (code, _, err) = with(&[]);
    assert_eq!(code, 1);
    assert!(
        err.contains("admin.tokens.ops of hufu.toml is none of this gateway's admin tokens"),
        "{err}"
    );
    assert!(!err.contains("eploy-token"), "{err}");
}
