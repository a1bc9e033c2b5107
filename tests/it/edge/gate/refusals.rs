//! What has two readings, and is refused however it comes.

use tokio::io::AsyncWriteExt as _;

use super::{FIRST, KEY, WEBSOCKET};
use crate::helpers::{Gateway, Upstream, probe};

/// Requests that no server should take, and the answers to them.
fn refused() -> Vec<(String, u16, &'static str)> {
    let get = |lines: &str| format!("GET /smuggled HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    let post = |lines: &str| format!("POST /smuggled HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    let to = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let long = |n: usize| "a".repeat(n);
    let mut cases: Vec<(String, u16, &'static str)> = Vec::new();
    let mut add = |status, code, requests: Vec<String>| {
        cases.extend(requests.into_iter().map(|request| (request, status, code)));
    };
    // 82 to 85: two framings, odd lengths, odd codings.
    let framings = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5,5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 05\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n",
    ];
    add(400, "request_invalid", framings.map(post).to_vec());
    add(
        400,
        "request_invalid",
        vec![
            "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            "POST / HTTP/1.0\r\nHost: x\r\n\r\n".into(),
        ],
    );
    // Lines and names: folding, bare CR and LF, control characters, odd names.
    let lines = [
        " folded\r\n",
        "X: y\r\n z\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X: a\x7fb\r\n",
        "X : y\r\n",
        "X y: z\r\n",
        ": y\r\n",
        "X\0: y\r\n",
        "X\u{e9}: y\r\n",
        "X\r\n",
    ];
    add(400, "request_invalid", lines.map(get).to_vec());
    let bare = [
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    add(400, "request_invalid", bare.map(str::to_owned).to_vec());
    // 94: hosts.
    let hosts = [
        "",
        "Host:\r\n",
        "Host: x\r\nHost: x\r\n",
        "Host: x\r\nHost: y\r\n",
        "Host: u@x\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: x:99999\r\n",
        "Host: x/y\r\n",
    ];
    add(
        400,
        "request_invalid",
        hosts
            .map(|host| format!("GET / HTTP/1.1\r\n{host}\r\n"))
            .to_vec(),
    );
    // 30, 31, 34: targets.
    let targets = [
        "/a#b",
        "/?a#b",
        "/a<b",
        "/a>b",
        "/a\u{e9}",
        "/a\u{e9}?b",
        "/a?\u{e9}#b",
        "*",
        "http://y/",
        "http://u@x/",
        "ftp://x/",
        "x",
        "http:x",
        "http://y?x",
        "http://x#y",
    ];
    add(400, "path_invalid", targets.map(to).to_vec());
    add(
        400,
        "request_invalid",
        [
            "/a b",
            "/a\tb",
            "/a\0b",
            " /a",
            "/a\r\nb",
            "/?a b",
            "/?a\tb",
            "/?a\0b",
            "/?a\x7fb",
            "/?a\x01b",
            "/?a\r\nb",
            "/?\u{e9} x",
        ]
        .map(to)
        .to_vec(),
    );
    add(
        414,
        "uri_too_long",
        vec![
            to(&format!("/{}", long(64 * 1024))),
            to(&format!("/{}", long(8192))),
        ],
    );
    // 93 and versions.
    let methods = [
        "CONNECT x:443",
        "connect x:443",
        "Connect /",
        "TRACE /",
        "trace /",
        "tRace /",
        "G%T /",
        "AMETHODTHATNOBODYKNOWS /",
        "REFUSED-BY-THE-GATE-ITSELF /",
    ];
    add(
        405,
        "method_not_allowed",
        methods
            .map(|start| format!("{start} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .to_vec(),
    );
    add(
        505,
        "version_unsupported",
        vec![
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
            "GET / HTTP/2.0\r\nHost: x\r\n\r\n".into(),
            "GET / HTTP/0.9\r\nHost: x\r\n\r\n".into(),
        ],
    );
    add(
        400,
        "request_invalid",
        vec![
            "GET / HTTP/1.10\r\nHost: x\r\n\r\n".into(),
            "GET / HTTP/1.a\r\nHost: x\r\n\r\n".into(),
            "GET / HTPP/1.1\r\nHost: x\r\n\r\n".into(),
            "GET /\r\n\r\n".into(),
            "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n".into(),
        ],
    );
    // 96: too many, too long.
    add(
        431,
        "head_too_large",
        vec![
            get(&"X: y\r\n".repeat(200)),
            get(&format!("X: {}\r\n", long(64 * 1024))),
            get(&format!("{}: y\r\n", long(70_000))),
            get(&format!("{}: y\r\n", long(300))),
        ],
    );
    // 89 and 90: upgrades, and expectations.
    add(
        400,
        "upgrade_invalid",
        vec![
            post(&format!(
                "{WEBSOCKET}Sec-WebSocket-Version: 13\r\n{KEY}Content-Length: 3\r\n"
            )),
            get(&format!(
                "{WEBSOCKET}Sec-WebSocket-Version: 13\r\n{KEY}Content-Length: 1\r\n"
            )),
            post(&format!(
                "{WEBSOCKET}Sec-WebSocket-Version: 13\r\n{KEY}Content-Length: 0\r\n"
            )),
            get(&format!(
                "{WEBSOCKET}Sec-WebSocket-Version: 13\r\n{KEY}Transfer-Encoding: chunked\r\n"
            )),
            get(&format!("{WEBSOCKET}Sec-WebSocket-Version: 13\r\n")),
            get(&format!(
                "{WEBSOCKET}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"
            )),
            get(&format!(
                "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}"
            )),
            get(&format!(
                "{WEBSOCKET}Upgrade: h2c\r\nSec-WebSocket-Version: 13\r\n{KEY}"
            )),
            get(&format!(
                "Upgrade:\r\n{WEBSOCKET}Sec-WebSocket-Version: 13\r\n{KEY}"
            )),
            get(&format!(
                "Upgrade: h2c\r\nUpgrade: websocket/13\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}"
            )),
        ],
    );
    add(
        426,
        "websocket_version_unsupported",
        vec![
            get(&format!("{WEBSOCKET}Sec-WebSocket-Version: 8\r\n{KEY}")),
            get(&format!("{WEBSOCKET}{KEY}")),
        ],
    );
    add(
        417,
        "expectation_failed",
        vec![
            post("Expect: miracles\r\nContent-Length: 1\r\n"),
            post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n"),
        ],
    );
    cases
}

#[tokio::test]
async fn what_has_two_readings_is_refused_however_it_comes() {
    let upstream = Upstream::ok();
    let mut gateway = Gateway::start(&upstream.route("/", "none"));
    let cases = refused();
    assert!(cases.len() > 80);
    for (request, status, code) in &cases {
        let shown: String = request.chars().take(200).collect();
        let smuggling = format!("{request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        let whole = probe::send_to_the_end(gateway.listen, &smuggling).await;
        assert_eq!(
            (whole.status, whole.code(), whole.closed),
            (*status, Some(*code), true),
            "{shown:?}\n{}",
            whole.text
        );
        assert_eq!(whole.header("connection"), Some("close"), "{shown:?}");
        assert_eq!(
            whole.header("content-type"),
            Some("application/problem+json")
        );
        assert!(
            whole.header("x-request-id").is_some() && !whole.text.contains("HTTP/1.1 200"),
            "{}",
            whole.text
        );

        let mut slowly = gateway.connect().await;
        slowly.set_nodelay(true).unwrap();
        for byte in request
            .as_bytes()
            .chunks(if request.len() > 1000 { 999 } else { 1 })
        {
            let _ = slowly.write_all(byte).await;
            tokio::task::yield_now().await;
        }
        let slowly = probe::read_to_the_end(&mut slowly).await;
        assert_eq!(
            (slowly.status, slowly.code()),
            (*status, Some(*code)),
            "byte by byte: {shown:?}"
        );

        let behind = probe::send_to_the_end(gateway.listen, format!("{FIRST}{smuggling}")).await;
        let refusal = behind.text.find(&format!("HTTP/1.1 {status}"));
        assert!(
            behind.text.starts_with("HTTP/1.1 200 OK") && refusal > behind.text.find("\r\n\r\nok"),
            "pipelined: {shown:?}\n{}",
            behind.text
        );
        assert!(
            behind.closed && behind.text.matches("\r\nx-request-id: ").count() == 2,
            "pipelined: {shown:?}\n{}",
            behind.text
        );
    }
    let mut second = gateway.connect().await;
    second.write_all(FIRST.as_bytes()).await.unwrap();
    assert_eq!(probe::read(&mut second).await.status, 200);
    second.write_all(cases[0].0.as_bytes()).await.unwrap();
    let second = probe::read_to_the_end(&mut second).await;
    assert_eq!((second.status, second.closed), (400, true));
    let seen = upstream.text();
    assert_eq!(
        (
            seen.matches("GET /first ").count(),
            seen.matches("smuggled").count()
        ),
        (cases.len() + 1, 0),
        "{seen}"
    );
    assert!(
        gateway.runs() && !gateway.stderr().contains("panic"),
        "{}",
        gateway.stderr()
    );
}

/// Which refusal it is does not hang on how its line was cut.
#[tokio::test]
async fn another_version_is_told_from_none_however_it_comes() {
    let gateway = Gateway::start("");
    for (line, status) in [("GET / HTTP/2.0", 505), ("GET / HTPP/1.1", 400)] {
        for cut in 1..line.len() {
            let mut client = gateway.connect().await;
            client.set_nodelay(true).unwrap();
            client.write_all(&line.as_bytes()[..cut]).await.unwrap();
            // So that the gateway most likely has read the one before the other comes; either way
            // the answer is the same.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            client
                .write_all(format!("{}\r\nHost: x\r\n\r\n", &line[cut..]).as_bytes())
                .await
                .unwrap();
            let answer = probe::read_to_the_end(&mut client).await;
            assert_eq!(
                (answer.status, answer.closed),
                (status, true),
                "{:?}: {}",
                line.split_at(cut),
                answer.text
            );
        }
    }
}
