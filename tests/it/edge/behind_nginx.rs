//! The nginx configurations of the documentation, as they stand there but for addresses and
//! certificates, in a real nginx.

use std::path::Path;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::helpers::{
    APPID, Answer, Gateway, Nginx, Script, Upstream, WsUpstream, echo_upstream, echoed, handshake,
    http, probe, route, script::ok,
};

/// The configuration of nginx on a page of the documentation, with the file that it includes, if
/// there is one.
fn example(page: &str) -> String {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(page),
    )
    .unwrap();
    let blocks: Vec<_> = text
        .split("```nginx\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    match blocks[..] {
        [config] => config.to_owned(),
        [config, included] => {
            let file = included.lines().next().unwrap().trim_start_matches("# ");
            let line = format!("include {file};");
            assert!(
                config.contains(&line),
                "{page} has two examples: which of them is meant?"
            );
            config.replace(&line, included)
        }
        _ => panic!(
            "{page} has {} examples: which of them is meant?",
            blocks.len()
        ),
    }
}

/// An nginx with the example of a page, which finds the gateway and the backend where they are.
fn nginx(page: &str, gateway: &str, backend: &str) -> Nginx {
    let text = example(page);
    let changed = |line: &str, port: u16| {
        let line = line
            .replace("127.0.0.1:8080", gateway)
            .replace("127.0.0.1:9000", backend);
        let line = line
            .replace("listen 443 ssl;", "listen 80;")
            .replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
        if line.trim_start().starts_with("ssl_") {
            String::new()
        } else {
            line + "\n"
        }
    };
    Nginx::configured(|port| text.lines().map(|line| changed(line, port)).collect())
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://")
}

async fn get(nginx: &Nginx, path: &str, lines: &str) -> Answer {
    probe::send_to_the_end(
        nginx.address(),
        format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}Connection: close\r\n\r\n"),
    )
    .await
}

async fn token_through(nginx: &Nginx, gateway: &Gateway) -> String {
    let login = http().post(nginx.at("/auth/login"));
    let code = json!({ "code": gateway.code("alice") });
    let answer: Value = login.json(&code).await.json();
    answer["token"].as_str().unwrap().to_owned()
}

/// What a client may try, in one request: none of it is to arrive.
const FORGED: &str = "X-WX-OPENID: evil\r\nX_WX_OPENID: evil\r\nX.WX.OPENID: evil\r\nX-WX-FROM-OPENID: evil\r\nX-Hufu-Subject: evil\r\nX-Forwarded-For: 6.6.6.6\r\n\
                      X-Request-Id: evil\r\nConnection: X-WX-OPENID\r\n";

#[tokio::test]
async fn in_front_of_the_gateway() {
    let echo = echo_upstream();
    let config = format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::start(&config);
    let nginx = nginx("operations.md", &gateway.listen.to_string(), "unused");
    let bearer = format!(
        "Authorization: Bearer {}\r\n",
        token_through(&nginx, &gateway).await
    );
    let more = "Forwarded: for=6.6.6.6\r\nX-Forwarded-Proto: evil\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: evil\r\nX-Original-URL: /evil\r\n";
    let answer = get(&nginx, "/api/x", &format!("{bearer}{FORGED}{more}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = answer.body().to_lowercase();
    assert!(
        text.contains(&hufu::sandbox::openid(APPID, "alice").to_lowercase())
            && text.contains("shop.test"),
        "{text}"
    );
    assert!(
        !text.contains("evil") && !text.contains("6.6.6.6") && !text.contains("hufu_"),
        "{text}"
    );
    for (path, status, code) in [
        ("/api/x", 401, Some("login_required")),
        ("/auth/verify", 404, None),
        ("/auth/verify/api", 404, None),
        ("/%61uth//verify", 404, None),
    ] {
        let answer = get(&nginx, path, "").await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{path}: {}",
            answer.text
        );
    }
    gateway.access_line("the client's address", |line| {
        line["path"] == "/api/x" && line["client"] == "127.0.0.1"
    });
}

#[tokio::test]
async fn a_websocket_goes_through_both() {
    let upstream = WsUpstream::start().await;
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        upstream.route("/", "required")
    ));
    let nginx = nginx("operations.md", &gateway.listen.to_string(), "unused");
    let bearer = format!("Bearer {}", gateway.token("alice").await);
    let request = handshake(
        &format!("ws://{}/live", nginx.address()),
        &[("authorization", &bearer)],
    );
    let (mut socket, _) = client_async(request, TcpStream::connect(nginx.address()).await.unwrap())
        .await
        .unwrap();
    echoed(&mut socket, Message::text("hello")).await;
}

/// Over a Unix socket there are no resets: what tells a part from the whole is HTTP/1.1.
#[tokio::test]
async fn a_broken_answer_stays_broken_over_a_unix_socket() {
    let part = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n".to_vec();
    let upstream = Upstream::start(Script::at_head(part).then_close());
    let folder = tempfile::tempdir().unwrap();
    let path = format!("unix:{}", folder.path().join("hufu.sock").display());
    let config = format!(
        "server.listen = \"{path}\"\nserver.trusted_proxies = [\"127.0.0.1\"]\n{}",
        upstream.route("/", "none")
    );
    let _gateway = Gateway::start(&config);
    let nginx = nginx("operations.md", &path, "unused");
    let answer =
        probe::send_to_the_end(nginx.address(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        answer.closed
            && answer.status == 200
            && answer.text.contains("part")
            && !answer.text.ends_with("0\r\n\r\n"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn nginx_that_asks_before_it_passes_on() {
    let backend = Upstream::start(Script::at_head(ok()).then_close());
    let routes = format!(
        "{}methods = [\"GET\"]\n",
        route("/api/read", "http://127.0.0.1:9", "required")
    );
    let gateway = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\nverify.proxy = \"nginx\"\n{routes}"
    ));
    let nginx = nginx(
        "http-api.md",
        &gateway.listen.to_string(),
        host(&backend.url),
    );
    let token = token_through(&nginx, &gateway).await;
    let bearer = format!("Authorization: Bearer {token}\r\n");

    // As a client may ask for a WebSocket, in whatever form: it is asked about as a request.
    for upgrade in [
        "",
        "Upgrade: websocket\r\n",
        "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 8\r\n",
        "Expect: 100-continue\r\n",
    ] {
        let answer = get(&nginx, "/api/x", &format!("{bearer}{FORGED}{upgrade}")).await;
        assert!(
            answer.text.contains("HTTP/1.1 200 OK"),
            "{upgrade}: {}",
            answer.text
        );
        let record = backend.connections().pop().unwrap();
        assert_eq!(
            record.values("x-wx-openid"),
            [hufu::sandbox::openid(APPID, "alice")],
            "{}",
            record.head()
        );
        assert!(
            !record.head().contains("evil")
                && !record.head().contains("6.6.6.6")
                && !record.head().contains(&token),
            "{}",
            record.head()
        );
    }
    let passed = backend.connections().len();
    for (method, path, lines, status, code) in [
        ("GET", "/api/x", String::new(), 401, Some("login_required")),
        (
            "GET",
            "/api/x",
            "Authorization: Bearer rubbish\r\n".to_owned(),
            401,
            Some("token_invalid"),
        ),
        (
            "GET",
            "/api/x",
            "X-Forwarded-Uri: /public\r\nX-Original-URI: /public\r\nX-Forwarded-Method: GET\r\n"
                .to_owned(),
            401,
            Some("login_required"),
        ),
        (
            "DELETE",
            "/api/read",
            bearer.clone(),
            403,
            Some("method_not_allowed"),
        ),
        (
            "A-METHOD-THAT-IS-TOO-LONG",
            "/api/x",
            bearer.clone(),
            403,
            Some("method_not_allowed"),
        ),
        ("TRACE", "/api/x", bearer.clone(), 405, None),
        ("GET", "/auth/verify", bearer.clone(), 404, None),
        ("GET", "/auth/verify/api/x", bearer.clone(), 404, None),
        ("GET", "/auth/./verify/", bearer.clone(), 404, None),
        ("GET", "/_hufu_verify", bearer.clone(), 404, None),
    ] {
        let answer = probe::send(
            nginx.address(),
            format!(
                "{method} {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}Connection: close\r\n\r\n"
            ),
        )
        .await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{method} {path} {lines}: {}",
            answer.text
        );
        assert!(
            !answer.text.to_lowercase().contains("x-wx-openid"),
            "{method} {path}: {}",
            answer.text
        );
    }
    assert_eq!(
        backend.connections().len(),
        passed,
        "the backend was asked nothing of it"
    );
    gateway.access_line("an id of nginx's", |line| {
        line["route"] == "verify" && line["request_id"].as_str().is_some_and(|id| id.len() == 32)
    });
    drop(gateway);
    let answer = get(&nginx, "/api/x", &bearer).await;
    assert_eq!(
        (answer.status, answer.code(), answer.header("retry-after")),
        (503, Some("store_unavailable"), Some("1")),
        "{}",
        answer.text
    );
}
