//! Proxies other than nginx in front of the gateway: what the client asks arrives, and who it is.

use serde_json::Value;

use crate::helpers::{APPID, Gateway, Server, caddy, echo_upstream, http, programs::program};

/// Logs alice in through the proxy and asks for `/api/x`: what the echo upstream saw.
async fn through(proxy: &Server, gateway: &Gateway) -> Value {
    let at = |path: &str| format!("http://{}{path}", proxy.address());
    let code = gateway.code("alice");
    let login = http()
        .post(at("/auth/login"))
        .json(&serde_json::json!({ "code": code }))
        .await;
    assert_eq!(login.status(), 200, "{}", proxy.output());
    let login: Value = login.json();
    let asked = http()
        .get(at("/api/x"))
        .bearer_auth(login["token"].as_str().unwrap())
        .header("X-WX-OPENID", "evil")
        .await;
    asked.json()
}

#[tokio::test]
async fn caddy_passes_logins_and_requests_on() {
    let Some(program) = program("caddy") else {
        return;
    };
    let echo = echo_upstream();
    let config = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::start(&config);
    let proxy = Server::start("caddy", |port, folder| {
        caddy::command(&program, folder, port, gateway.listen)
    });
    let seen = through(&proxy, &gateway).await;
    let text = seen.to_string();
    assert!(
        text.contains(&hufu::sandbox::openid(APPID, "alice")) && !text.contains("evil"),
        "{text}"
    );
}
