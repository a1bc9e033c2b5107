//! Requests that come back to the gateway that has sent them: over itself, over nginx, over another
//! process, over another gateway.

use hufu::crypto::keyring::generate_key;

use crate::helpers::{
    Answer, Gateway, GatewayBuilder, Nginx, Script, Upstream, route, script::ok, until,
};

async fn get(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    gateway
        .raw(format!(
            "GET {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}Connection: close\r\n\r\n"
        ))
        .await
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}", gateway.listen)
}

/// How often a gateway was asked for this path, and how it answered itself.
async fn asked(gateway: &Gateway, path: &str, times: usize) {
    gateway.access_line("the request that came back", |line| {
        line["path"] == path && line["error"] == "loop_detected" && line["status"] == 508
    });
    let lines = || {
        gateway
            .stdout()
            .lines()
            .filter(|line| line.contains(&format!("\"{path}\"")))
            .count()
    };
    until("the line of every request", async || lines() >= times).await;
    assert_eq!(lines(), times, "{}", gateway.stdout());
}

#[tokio::test]
async fn a_request_goes_round_once() {
    let gateway = Gateway::start(&route("/", "http://127.0.0.1:1", "none"));
    let nginx = Nginx::start(&format!("location / {{ proxy_pass {}; }}", url(&gateway)));
    let config = route("/", &url(&gateway), "none") + &route("/nginx", &nginx.at(""), "none");
    gateway.reload(&config, "applied").await;
    for path in ["/itself", "/nginx"] {
        let answer = get(&gateway, path, "").await;
        assert_eq!(answer.status, 508, "{}", answer.text);
        asked(&gateway, path, 2).await;
    }
    let posted = gateway
        .raw(
            b"POST /posted HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        )
        .await;
    assert_eq!(posted.status, 508, "{}", posted.text);
    let handshake = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let opened = gateway
        .raw(format!(
            "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{handshake}\r\n"
        ))
        .await;
    assert_eq!(opened.status, 508, "{}", opened.text);
    for told in ["request loop", "loop_detected have the path\""] {
        gateway.logs(told).await;
    }
    let told = gateway.stderr();
    assert!(
        !told.contains("forwards requests, but"),
        "the gateway takes itself for a proxy: {told}"
    );
}

#[tokio::test]
async fn another_process_of_the_deployment_refuses_it_too() {
    let keys = format!(
        "secrets.keys = [\"{}\"]\nsecrets.naming_key = \"{}\"\n",
        generate_key(),
        generate_key()
    );
    let config = |url: &str| keys.clone() + &route("/", url, "none");
    let one = Gateway::start(&config("http://127.0.0.1:1"));
    let other = one.successor(&GatewayBuilder::new().config(config(&url(&one))));
    one.reload(&config(&url(&other)), "applied").await;
    assert_eq!(get(&one, "/x", "").await.status, 508);
    asked(&other, "/x", 1).await;
    let line = one.access_line("the request that went out", |line| line["path"] == "/x");
    assert!(line["status"] == 508 && line["error"].is_null(), "{line}");
}

#[tokio::test]
async fn gateways_with_other_keys_make_a_chain_and_no_ring() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let last = Gateway::start(&upstream.route("/", "none"));
    let middle = Gateway::start(&route("/", &url(&last), "none"));
    let first = Gateway::start(&route("/", &url(&middle), "none"));
    assert_eq!(get(&first, "/chain", "").await.status, 200);
    let marks = upstream.connections().pop().unwrap().values("hufu-via");
    assert!(
        marks.len() == 1 && marks[0].split(", ").count() == 3,
        "{marks:?}"
    );
    last.reload(&route("/", &url(&first), "none"), "applied")
        .await;
    assert_eq!(get(&first, "/ring", "").await.status, 508);
    asked(&first, "/ring", 2).await;
}

#[tokio::test]
async fn no_client_makes_the_gateway_refuse_others_or_itself() {
    let upstream = Upstream::start(Script::at_head(ok()).then_close());
    let gateway = Gateway::start(&upstream.route("/", "none"));
    for lines in [
        "Hufu-Via: hufu\r\n",
        "Hufu-Via: \r\nHufu-Via: ,,\r\n",
        "Hufu-Via: AAAAAAAAAAAAAAAAAAAAAA\r\nConnection: Hufu-Via\r\n",
        "HUFU_VIA: AAAAAAAAAAAAAAAAAAAAAA\r\nhufu.via: evil\r\n",
        "Hufu-Via: evil; AAAAAAAAAAAAAAAAAAAAAA\r\n",
    ] {
        let answer = get(&gateway, "/x", lines).await;
        assert_eq!(answer.status, 200, "{lines}: {}", answer.text);
        assert!(
            !answer.text.to_lowercase().contains("hufu-via"),
            "{}",
            answer.text
        );
        let seen = upstream.connections().pop().unwrap();
        let marks = seen.values("hufu-via");
        let passed = usize::from(lines.starts_with("Hufu-Via: AAAA"));
        assert!(
            marks.len() == 1 && marks[0].split(", ").count() == 1 + passed,
            "{lines}: {}",
            seen.head()
        );
        assert!(
            !seen.head().contains("evil") && !seen.head().contains("hufu_via"),
            "{}",
            seen.head()
        );
    }
    // The own mark, which a backend has seen: refused on routes, and no reason to refuse what a
    // proxy asks about on its way.
    let own = upstream.connections()[0].values("hufu-via").remove(0);
    let refused = get(&gateway, "/x", &format!("Hufu-Via: {own}\r\n")).await;
    assert_eq!(
        (
            refused.status,
            refused.code(),
            refused.header("content-type")
        ),
        (508, Some("loop_detected"), Some("application/problem+json"))
    );
    assert_eq!(
        get(&gateway, "/auth/healthz", &format!("Hufu-Via: {own}\r\n"))
            .await
            .status,
        200
    );
    assert_eq!(get(&gateway, "/x", "").await.status, 200);
    let trusting = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        upstream.route("/", "none")
    ));
    assert_eq!(get(&trusting, "/y", "").await.status, 200);
    let own = upstream
        .connections()
        .pop()
        .unwrap()
        .values("hufu-via")
        .remove(0);
    let (with, without) = (
        get(&trusting, "/auth/verify", &format!("Hufu-Via: {own}\r\n")).await,
        get(&trusting, "/auth/verify", "").await,
    );
    assert_eq!((with.status, with.code()), (without.status, without.code()));
    assert!(!with.text.contains(&own), "{}", with.text);
}
