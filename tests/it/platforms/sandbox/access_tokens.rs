//! Access tokens of both kinds.

use std::time::Duration;

use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};

use super::{APP, SECRET, one_app};
use crate::helpers::{Sandbox, sandbox};

impl Sandbox {
    async fn stable_token(&self, force: bool) -> Value {
        let asked = json!({
            "grant_type": "client_credential",
            "appid": APP,
            "secret": SECRET,
            "force_refresh": force,
        });
        self.post("/cgi-bin/stable_token", &[], &asked).await
    }

    /// Whether the platform's other APIs take the token.
    async fn takes(&self, token: &Value) -> bool {
        let query = [("access_token", token.as_str().unwrap())];
        let answer = self.get("/wxa/checksession", &query).await;
        let errcode = answer["errcode"].as_i64().unwrap();
        assert!([40001, 40003].contains(&errcode), "{answer}");
        errcode == 40003
    }

    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn end_tokens(&self) -> Value {
        let app = json!({ "app": APP }).to_string();
        let (status, ended) = self.control("/sandbox/end-tokens", &app).await;
        assert_eq!(status, 200);
        ended["ended"].clone()
    }
}

#[tokio::test]
async fn a_plain_token_pushes_out_the_previous_one_after_the_overlap() {
    let sandbox = sandbox(one_app());
    let first = Value::from(sandbox.access_token().await);
    sandbox.wait(10);
    let second = Value::from(sandbox.access_token().await);
    assert_ne!(first, second);
    sandbox.wait(299);
    assert!(sandbox.takes(&first).await);
    sandbox.wait(1);
    assert!(!sandbox.takes(&first).await && sandbox.takes(&second).await);
}

#[tokio::test]
async fn a_stable_token_stays_until_its_last_five_minutes() {
    let sandbox = sandbox(one_app());
    let first = sandbox.stable_token(false).await;
    assert_eq!(first["expires_in"], 7200);
    sandbox.wait(1);
    sandbox.access_token().await;
    sandbox.wait(6898);
    let again = sandbox.stable_token(false).await;
    assert_eq!(again["access_token"], first["access_token"]);
    assert_eq!(again["expires_in"], 301);
    sandbox.wait(1);
    let next = sandbox.stable_token(false).await;
    assert_ne!(next["access_token"], first["access_token"]);
    sandbox.wait(299);
    assert!(
        sandbox.takes(&first["access_token"]).await,
        "both live for the overlap"
    );
}

#[tokio::test]
async fn forcing_kills_the_old_one_and_not_twice_within_thirty_seconds() {
    let sandbox = sandbox(one_app());
    let first = sandbox.stable_token(false).await;
    sandbox.wait(5);
    let forced = sandbox.stable_token(true).await;
    assert_ne!(forced["access_token"], first["access_token"]);
    assert!(!sandbox.takes(&first["access_token"]).await);
    sandbox.wait(29);
    for force in [true, false] {
        let same = sandbox.stable_token(force).await;
        assert_eq!(same["access_token"], forced["access_token"]);
    }
    sandbox.wait(1);
    for _ in 1..20 {
        let next = sandbox.stable_token(true).await;
        assert_ne!(next["access_token"], forced["access_token"]);
        sandbox.wait(30);
    }
    let refused = sandbox.stable_token(true).await;
    assert_eq!(refused["errcode"], 45009, "twenty a day");
    assert!(sandbox.stable_token(false).await["access_token"].is_string());
    sandbox.wait(86_406 - 605);
    assert!(sandbox.stable_token(true).await["access_token"].is_string());
}

#[tokio::test]
async fn short_tokens_overlap_for_a_part_of_their_life_and_all_of_an_app_can_be_ended() {
    let sandbox = sandbox(SandboxSettings {
        token_life: Duration::from_secs(8),
        ..SandboxSettings::default()
    });
    let first = sandbox.stable_token(false).await;
    sandbox.wait(5);
    let again = sandbox.stable_token(false).await;
    assert_eq!(again["access_token"], first["access_token"]);
    let asked = json!({ "grant_type": "client_credential", "appid": "wx2", "secret": SECRET });
    let other = sandbox.post("/cgi-bin/stable_token", &[], &asked).await;
    sandbox.access_token().await;
    assert_eq!(sandbox.end_tokens().await, 2);
    assert!(!sandbox.takes(&first["access_token"]).await);
    assert!(sandbox.takes(&other["access_token"]).await);
    let next = sandbox.stable_token(false).await;
    assert_ne!(next["access_token"], first["access_token"]);
}

#[tokio::test]
async fn tokens_are_for_listed_addresses_and_in_one_form_each() {
    let sandbox = sandbox(one_app());
    let list = json!({ "app": APP, "addresses": ["203.0.113.7"] });
    let (status, _) = sandbox
        .control("/sandbox/addresses", &list.to_string())
        .await;
    assert_eq!(status, 204);
    let refused = sandbox.stable_token(false).await;
    assert_eq!(refused["errcode"], 40164);
    let errmsg = refused["errmsg"].as_str().unwrap();
    assert!(errmsg.starts_with("invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist"));
    let everybody = json!({ "app": APP, "addresses": [] });
    sandbox
        .control("/sandbox/addresses", &everybody.to_string())
        .await;
    let got = sandbox.get("/cgi-bin/stable_token", &[]).await;
    assert_eq!(got["errcode"], 43002);
    let no_object = json!("x");
    let posted = sandbox.post("/cgi-bin/stable_token", &[], &no_object).await;
    assert_eq!(posted["errcode"], 47001);
    let query = [("appid", APP), ("secret", SECRET)];
    let no_grant = sandbox.get("/cgi-bin/token", &query).await;
    assert_eq!(no_grant["errcode"], 40002);
}
