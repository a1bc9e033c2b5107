//! HEAD of the gateway's own endpoints: the answer to GET without its body.

use crate::helpers::{Gateway, Probe, probe};

const TOKEN: &str = "an-admin-token-that-nobody-may-see";

#[tokio::test]
async fn head_says_what_get_says_and_leaves_the_body_out() {
    let gateway = Gateway::start(&format!("admin.token = \"{TOKEN}\"\n"));
    let login = gateway.login("alice").await;
    let (token, id) = (
        login["token"].as_str().unwrap(),
        login["session_id"].as_str().unwrap(),
    );
    let (admin, user) = (
        format!("Authorization: Bearer {TOKEN}\r\n"),
        format!("Authorization: Bearer {token}\r\n"),
    );
    let one = format!("/admin/api/sessions/{id}");
    let sessions = format!(
        "/admin/api/sessions?user={}",
        hufu::sandbox::openid(crate::helpers::APPID, "alice")
    );
    for (to, path, lines, status) in [
        (gateway.admin, "/healthz", "", 200),
        (gateway.admin, "/startupz", "", 200),
        (gateway.admin, "/readyz", "", 200),
        (gateway.admin, "/readyz?strict=1", "", 200),
        (gateway.admin, "/readyz?strict=1&strict=1", "", 400),
        (gateway.admin, "/metrics", "", 200),
        (gateway.admin, "/nothing", "", 404),
        (gateway.admin, sessions.as_str(), &admin, 200),
        (gateway.admin, "/admin/api/sessions/count", &admin, 200),
        (gateway.admin, one.as_str(), &admin, 200),
        (gateway.admin, "/admin/api/sessions/none", &admin, 404),
        (gateway.admin, "/admin/api/sessions/count", "", 401),
        (gateway.listen, "/auth/healthz", "", 200),
        (gateway.listen, "/auth/session", &user, 200),
        (gateway.listen, "/auth/sessions", &user, 200),
        (gateway.listen, "/auth/session", "", 401),
        (gateway.listen, "/auth/login", "", 405),
        (gateway.listen, "/auth/verify", &user, 403),
    ] {
        let ask = async |method: &str| {
            probe::send(
                to,
                format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"),
            )
            .await
        };
        let (get, head) = (ask("GET").await, ask("HEAD").await);
        assert_eq!(
            (get.status, head.status, head.body()),
            (status, status, ""),
            "{path}: {}",
            head.text
        );
        for name in [
            "content-type",
            "cache-control",
            "allow",
            "www-authenticate",
            "x-hufu-error",
        ] {
            assert_eq!(get.header(name), head.header(name), "{path} {name}");
        }
        // What counts requests has other numbers each time.
        if path == "/metrics" {
            assert!(
                head.header("content-length")
                    .unwrap()
                    .parse::<usize>()
                    .unwrap()
                    > 1000,
                "{}",
                head.text
            );
        } else {
            assert_eq!(
                head.header("content-length"),
                Some(get.body().len().to_string().as_str()),
                "{path}: {}",
                head.text
            );
        }
    }
    for path in ["/healthz", "/startupz", "/readyz", "/metrics"] {
        let answer = probe::send(
            gateway.admin,
            format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ),
        )
        .await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{path}"
        );
        // Nothing of a body is left on the connection: it would be read as the next head.
        let mut kept = Probe::connect(gateway.admin).await;
        for method in ["HEAD", "HEAD", "GET"] {
            let answer = kept.ask(method, path, "").await;
            assert_eq!(
                (answer.status(), answer.head.closes()),
                (200, false),
                "{path}: {answer:?}"
            );
        }
    }
}
