//! What somebody can do who has one client's secret: what its list says, and nothing else.

use serde_json::json;

use super::{OTHER_SECRET, SECRET, basic, calls, client, gateway, with_secret};
use crate::helpers::{APP_SECRET, APPID, Gateway, http};

/// Each is one request with more than one credential.
fn ambiguous(token: &str) -> Vec<String> {
    let login = basic("orders", SECRET);
    let sdk = |query: &str, lines: &str| {
        format!(
            "GET /wxa/test/echo?{query} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
        )
    };
    vec![
        sdk(&format!("access_token={token}&access_token={token}"), ""),
        sdk(&format!("access_token={token}&access%5ftoken=x"), ""),
        sdk(&format!("access_token={token}&Access_Token=x"), ""),
        sdk(
            &format!("access_token={token}&component_access_token=x"),
            "",
        ),
        sdk(
            &format!("cloudbase_access_token=x&access_token={token}"),
            "",
        ),
        sdk(&format!("access_token={token};access_token=x"), ""),
        sdk(&format!("access_token={token}&a=1;access_token=x"), ""),
        sdk(&format!("access_token={token}&access_token[]=x"), ""),
        sdk(
            &format!("access_token={token}"),
            &format!("Authorization: Bearer {SECRET}\r\n"),
        ),
        sdk(&format!("access_token={token}"), "X-Hufu-App: game\r\n"),
        sdk(&format!("access_token={token}&access_token%20x=y"), ""),
        sdk("access_token%20x=y", ""),
        sdk(
            &format!("access_token={token}"),
            &format!("Proxy-Authorization: {login}\r\n"),
        ),
        of_token_endpoint(&format!("&access_token={token}"), ""),
        of_token_endpoint("", &format!("Proxy-Authorization: {login}\r\n")),
        of_token_endpoint("", &format!("Authorization: Bearer {SECRET}\r\n")),
        with_secret("GET /wxa/test/echo?component_access_token=x", ""),
        with_secret(
            "GET /wxa/test/echo",
            &format!("Authorization: Bearer {SECRET}\r\n"),
        ),
        with_secret(
            "GET /wxa/test/echo",
            &format!("Authorization: Bearer {OTHER_SECRET}\r\n"),
        ),
        with_secret(
            "GET /wxa/test/echo",
            &format!("Proxy-Authorization: {login}\r\n"),
        ),
        sdk(
            "",
            &format!("Proxy-Authorization: {login}\r\nProxy-Authorization: {login}\r\n"),
        ),
        sdk(
            &format!("grant_type=client_credential&appid=x&secret={SECRET}&secret={SECRET}"),
            "",
        )
        .replace("/wxa/test/echo", "/cgi-bin/token"),
    ]
}

/// What asks for a token with the secret, and has something more.
fn of_token_endpoint(query: &str, lines: &str) -> String {
    format!(
        "GET /cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}{query} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let gateway = gateway(&client(""));
    let token = gateway.sdk_token().await;
    for request in ambiguous(&token) {
        let answer = gateway.raw_api(&request).await;
        answer.refuses(400, "token_ambiguous", &request);
    }
    assert_eq!(calls(&gateway, "stable_token"), 0);
}

#[tokio::test]
async fn a_credential_elsewhere_is_none() {
    let gateway = gateway(&client(""));
    let token = gateway.sdk_token().await;
    let url = gateway.api("/wxa/test/echo");
    let form = http()
        .post(&url)
        .header("content-type", "application/x-www-form-urlencoded");
    let in_form = form.body(format!("access_token={token}")).await;
    let in_json = http()
        .post(&url)
        .json(&json!({ "access_token": token, "secret": SECRET }))
        .await;
    let in_cookie = http()
        .get(&url)
        .header("cookie", format!("access_token={token}"))
        .await;
    let in_header = http().get(&url).header("access_token", &token).await;
    for answer in [in_form, in_json, in_cookie, in_header] {
        assert_eq!(
            (answer.status(), answer.code()),
            (401, Some("client_secret_invalid"))
        );
    }
    // The operators' token and an app's secret open nothing here.
    let wrong = http().get(&url).bearer_auth(APP_SECRET).await;
    assert_eq!(wrong.status(), 401);
}

#[tokio::test]
async fn only_some_headers_go_on_and_come_back() {
    let gateway = gateway(&client(""));
    let lines = "Content-Type: text/plain\r\nContent-Language: zh\r\nWechatmp-Appid: wx1\r\nAccept: */*\r\nCookie: a=b\r\n\
                 X-Real-IP: 1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\nX-WX-OPENID: o1\r\nReferer: http://x\r\nUser-Agent: mine\r\n\
                 Proxy-Connection: keep-alive\r\nWechatmp-Nonce: 1\r\nTE: trailers\r\nX-Hufu-App: shop\r\nAccept-Encoding: gzip\r\n";
    let answer = gateway
        .raw_api(
            with_secret("GET /wxa/test/echo", lines)
                .replace("Connection: close", "Connection: close, wechatmp-nonce"),
        )
        .await;
    let echoed: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
    let mut names: Vec<&str> = echoed["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().split(':').next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "content-language",
            "content-type",
            "host",
            "user-agent",
            "wechatmp-appid"
        ]
    );
    assert!(!answer.text.contains("mine"));
    assert_eq!(answer.header("wechatmp-sign"), Some("back"));
    assert_eq!(
        (answer.header("set-cookie"), answer.header("x-other")),
        (None, None)
    );
}

/// What the gateway has emitted holds none of these.
#[track_caller]
fn holds_none(gateway: &Gateway, answers: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(secret.len() >= 16);
        for text in [answers, &gateway.stderr(), &gateway.stdout()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn the_real_token_comes_back_in_nothing() {
    let config = "log.level = \"trace\"\n".to_owned() + &client("");
    let gateway = gateway(&config);
    let token = gateway.sdk_token().await;
    let mut answers = String::new();
    for path in ["leak", "leak-escaped", "leak-header", "redirect", "switch"] {
        let path = format!("/wxa/test/{path}");
        let by_bearer = http().get(gateway.api(&path)).bearer_auth(SECRET).await;
        let by_sdk = http()
            .get(gateway.api(&path))
            .query(&[("access_token", &token)])
            .await;
        for answer in [by_bearer, by_sdk] {
            assert_eq!(
                (answer.status(), answer.code()),
                (502, Some("platform_error")),
                "{path}"
            );
            answers += &format!("{:?} {}", answer.headers(), answer.text());
        }
    }
    let refused = gateway.asked_for_token("wx1", SECRET).await;
    answers += &refused.text();
    answers += &gateway
        .raw_api(with_secret(&format!("GET /wxa/{token}"), ""))
        .await
        .text;
    answers += &gateway
        .raw_api(with_secret(&format!("GET /wxa/../{token}"), ""))
        .await
        .text;
    answers += &gateway.admin_get("/metrics").await.text();
    let real = gateway
        .wechat
        .platform
        .stable_token_of(crate::helpers::APPID);
    gateway.access_line("the last request", |line| {
        line["path"]
            .as_str()
            .is_some_and(|path| path.starts_with("/wxa/.."))
    });
    holds_none(&gateway, &answers, &[&real, SECRET, APP_SECRET, &token]);
}
