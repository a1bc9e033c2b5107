//! Proxies other than nginx in front of the gateway: what the client asks arrives, and who it is.

use serde_json::Value;

use crate::helpers::caddy;
use crate::helpers::gateway::{APPID, Gateway, Setup, route};
use crate::helpers::programs::{Server, program};
use crate::helpers::servers::{echo_upstream, http};

/// Logs alice in through the proxy and asks for `/api/x`: what the echo upstream saw.
async fn through(proxy: &Server, gateway: &Gateway) -> Value {
    let at = |path: &str| format!("http://{}{path}", proxy.address());
    let code = gateway.wechat.platform.login_code(APPID, "alice");
    let login = http()
        .post(at("/auth/login"))
        .json(&serde_json::json!({ "code": code }))
        .send()
        .await
        .unwrap();
    assert_eq!(login.status(), 200, "{}", proxy.output());
    let login: Value = login.json().await.unwrap();
    let asked = http()
        .get(at("/api/x"))
        .bearer_auth(login["token"].as_str().unwrap())
        .header("X-WX-OPENID", "evil")
        .send()
        .await
        .unwrap();
    asked.json().await.unwrap()
}

#[tokio::test]
async fn caddy_passes_logins_and_requests_on() {
    let Some(program) = program("caddy") else {
        return;
    };
    let echo = echo_upstream();
    let config = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        route("/api", &echo.url, "required")
    );
    let gateway = Gateway::with(&Setup {
        config,
        ..Setup::default()
    });
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
