//! The ways in: as an SDK, with the secret, through an HTTP proxy, and with the real token.

use serde_json::json;

use super::{SECRET, basic, calls, client, gateway, with_secret};
use crate::helpers::{APPID, Gateway, http, probe};

const TEXT: &str = "/wxa/msg_sec_check";

#[tokio::test]
async fn without_the_key_there_is_no_listener() {
    let gateway = Gateway::start("");
    gateway.token("alice").await;
    gateway.assert_not_logged("platform_api");
}

#[tokio::test]
async fn an_sdk_fetches_a_token_and_calls_with_it() {
    let gateway = gateway(&client(""));
    let answer = gateway.asked_for_token(APPID, SECRET).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let by_query = answer.json();
    assert_eq!(by_query["expires_in"], 7200);
    let body = json!({ "grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": true });
    let by_body = http()
        .post(gateway.api("/cgi-bin/stable_token"))
        .json(&body);
    let by_body = by_body.await.json();
    for granted in [&by_query, &by_body] {
        let token = granted["access_token"].as_str().unwrap();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        assert!(token.starts_with("hufu_at_") && token.len() <= 512);
        assert!(token.chars().all(is_plain));
        let called = http()
            .post(gateway.api(TEXT))
            .query(&[("access_token", token)])
            .json(&json!({ "content": "hello" }));
        let called = called.await;
        assert_eq!(called.json(), json!({ "errcode": 0, "errmsg": "ok" }));
        assert_eq!((called.status(), called.code()), (200, None));
    }
    assert_eq!(
        calls(&gateway, "stable_token"),
        1,
        "never forced, never twice"
    );
    assert_eq!(
        (calls(&gateway, "token"), calls(&gateway, "msg_sec_check")),
        (0, 2)
    );
}

#[tokio::test]
async fn a_backend_calls_with_its_secret_and_the_call_is_counted_and_logged() {
    let gateway = gateway(&client(""));
    let answer = gateway
        .call(
            &format!("{TEXT}?x=secret-value"),
            &json!({ "content": "risky" }),
        )
        .await;
    assert_eq!(
        answer.json()["errcode"],
        87014,
        "what the platform says goes back"
    );
    let counted = r#"hufu_platform_api_calls_total{app="shop",client="orders",path="/wxa/msg_sec_check",outcome="answered"}"#;
    assert_eq!(gateway.counted(counted).await, 1);
    let line = gateway.access_line("the call", |line| line["path"] == TEXT);
    assert_eq!(
        (&line["route"], &line["app"], &line["status"]),
        (&json!("platform_api/orders"), &json!("shop"), &json!(200))
    );
    assert!(!gateway.stdout().contains("secret-value"));
    let id = answer.header("x-request-id");
    assert_eq!(line["request_id"], id);

    let custom = json!({ "touser": hufu::sandbox::openid(APPID, "bob"), "msgtype": "text" });
    gateway.token("bob").await;
    let sent = gateway.call("/cgi-bin/message/custom/send", &custom).await;
    assert_eq!(sent.json()["errcode"], 0);
    let counted = counted.replace("/wxa/msg_sec_check", "/cgi-bin/message/*");
    assert_eq!(gateway.counted(&counted).await, 1);
}

#[tokio::test]
async fn with_several_apps_the_header_names_one() {
    let more = "[apps.game]\nappid = \"wxfedcba9876543210\"\nsecret = \"another-app-secret\"\nbase_url = \"URL\"\n";
    let wechat = super::wechat(Default::default());
    let config = client("").replace("[\"shop\"]", "[\"shop\", \"game\"]")
        + &more.replace("URL", &wechat.server.url);
    let gateway = super::gateway_at(wechat, &config);
    let call = |lines: &str| gateway.raw_api(with_secret("GET /wxa/test/echo", lines));
    call("").await.refuses(400, "app_required", "none");
    call("X-Hufu-App: nobody\r\n")
        .await
        .refuses(403, "api_not_allowed", "unknown");
    for app in ["shop", "game"] {
        assert_eq!(
            call(&format!("X-Hufu-App: {app}\r\n")).await.status,
            200,
            "{app}"
        );
    }
    assert_eq!(calls(&gateway, "stable_token"), 2);
    let of_game = gateway
        .asked_for_token("wxfedcba9876543210", SECRET)
        .await
        .json();
    let token = of_game["access_token"].as_str().unwrap();
    let echoed = http()
        .get(gateway.api("/wxa/test/echo"))
        .query(&[("access_token", token)]);
    assert_eq!(echoed.await.json()["errcode"], 0);
}

#[tokio::test]
async fn a_forward_proxy_leads_to_the_platform_alone() {
    let gateway = gateway(&client(""));
    let through = async |host: &str, login: &str| {
        let line = if login.is_empty() {
            String::new()
        } else {
            format!("Proxy-Authorization: {login}\r\n")
        };
        let request = format!(
            "GET http://{host}/wxa/test/echo?a=1 HTTP/1.1\r\nHost: {host}\r\n{line}Proxy-Connection: close\r\nConnection: close\r\n\r\n"
        );
        gateway.raw_api(request).await
    };
    let good = basic("orders", SECRET);
    for host in [
        "api.weixin.qq.com",
        "API.weixin.qq.com",
        "api.weixin.qq.com:80",
    ] {
        let answer = through(host, &good).await;
        assert!(
            answer.status == 200 && answer.text.contains(r#""errcode":0"#),
            "{}",
            answer.text
        );
    }
    for host in [
        "example.com",
        "127.0.0.1:22",
        "api.weixin.qq.com.example.com",
        "mp.weixin.qq.com",
    ] {
        through(host, &good)
            .await
            .refuses(403, "api_not_allowed", host);
    }
    let asked = through("api.weixin.qq.com", "").await;
    asked.refuses(407, "proxy_login_required", "no login");
    assert_eq!(
        asked.header("proxy-authenticate"),
        Some(r#"Basic realm="hufu""#)
    );
    for (client, secret) in [("orders", "wrong"), ("nobody", SECRET), ("", SECRET)] {
        let refused = through("api.weixin.qq.com", &basic(client, secret)).await;
        refused.refuses(401, "client_secret_invalid", client);
    }
    let bearer = through("api.weixin.qq.com", &format!("Bearer {SECRET}")).await;
    bearer.refuses(407, "proxy_login_required", "another scheme");
    let tunnel = "CONNECT api.weixin.qq.com:443 HTTP/1.1\r\nHost: api.weixin.qq.com:443\r\n\r\n";
    let refused = probe::send(gateway.platform_api(), tunnel).await;
    assert!(refused.status >= 400, "{}", refused.text);
}

#[tokio::test]
async fn an_absolute_target_leads_to_the_platform_alone_whatever_the_credential() {
    let gateway = gateway(&client(""));
    let fetch = |origin: &str| {
        (
            format!(
                "{origin}/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}"
            ),
            String::new(),
        )
    };
    // An SDK with the gateway as its proxy, whose URL needs no login, fetches its token as ever.
    let token = gateway.sdk_token().await;
    let ways = |origin: &str| {
        let echo = format!("{origin}/wxa/test/echo");
        [
            (echo.clone(), format!("Authorization: Bearer {SECRET}\r\n")),
            (
                echo.clone(),
                format!("Proxy-Authorization: {}\r\n", basic("orders", SECRET)),
            ),
            (format!("{echo}?access_token={token}"), String::new()),
            fetch(origin),
        ]
    };
    // With a dead token, an SDK would fetch another one for a call that leads nowhere.
    let strangers = |origin: &str| {
        let echo = format!("{origin}/wxa/test/echo");
        [
            (echo.clone(), String::new()),
            (format!("{echo}?access_token=hufu_at_x"), String::new()),
            (
                echo,
                format!("Proxy-Authorization: {}\r\n", basic("orders", "wrong")),
            ),
        ]
    };
    for (origin, host, leads) in [
        ("http://api.weixin.qq.com", "api.weixin.qq.com", true),
        ("HTTP://api.weixin.qq.com:80", "api.weixin.qq.com", true),
        ("https://api.weixin.qq.com", "api.weixin.qq.com", false),
        (
            "http://api.weixin.qq.com:443",
            "api.weixin.qq.com:443",
            false,
        ),
        ("http://example.com", "example.com", false),
        ("https://127.0.0.1:22", "127.0.0.1:22", false),
    ] {
        let mut all = ways(origin).to_vec();
        if !leads {
            all.extend(strangers(origin));
        }
        for (target, line) in all {
            let request =
                format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{line}Connection: close\r\n\r\n");
            let answer = gateway.raw_api(request).await;
            let code = answer.header("x-hufu-error");
            let expected = (!leads).then_some("api_not_allowed");
            assert_eq!(code, expected, "{target} {line}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn the_real_token_is_given_where_the_operator_says_so_and_the_log_says_so_too() {
    let gateway = gateway(&client("real_token = [\"shop\"]\n"));
    let granted = gateway.asked_for_token(APPID, SECRET).await.json();
    let token = granted["access_token"].as_str().unwrap();
    assert!(gateway.wechat.platform.knows_token(token));
    assert!((7000..=7200).contains(&granted["expires_in"].as_u64().unwrap()));
    gateway.assert_logged("a client was given the access token of an app");
    gateway.assert_not_logged(token);
}
