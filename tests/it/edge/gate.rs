//! The gate: what does not come in, over raw sockets, with the numbers of the hostile cases that
//! are tested. Whatever is refused is refused whole and byte by byte, as a connection's first
//! request, its second, and pipelined behind another.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::helpers::gateway::{Gateway, Setup, route};
use crate::helpers::recorder::{Recorder, Reply, ok};
use crate::helpers::servers::echo_upstream;
use crate::helpers::wait::until;
use crate::helpers::wire;

const FIRST: &str = "GET /first HTTP/1.1\r\nHost: x\r\n\r\n";
const WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

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
async fn options_of_the_server_as_a_whole_pass_the_gate_and_find_no_route() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&route("/", &upstream.url, "none"));
    for (method, goes_on) in [("OPTIONS", true), ("GET", false)] {
        let requests = format!(
            "{method} * HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        let answers = wire::send_to_the_end(gateway.listen, requests.as_bytes()).await;
        assert_eq!(
            (answers.status, answers.code()),
            (400, Some("path_invalid")),
            "{method}: {}",
            answers.text
        );
        assert_eq!(
            answers.text.contains("HTTP/1.1 200 OK"),
            goes_on,
            "{method}: {}",
            answers.text
        );
    }
}

#[tokio::test]
async fn what_has_two_readings_is_refused_however_it_comes() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let mut gateway = Gateway::start(&route("/", &upstream.url, "none"));
    let cases = refused();
    assert!(cases.len() > 80);
    for (request, status, code) in &cases {
        let shown: String = request.chars().take(200).collect();
        let smuggling = format!("{request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        let whole = wire::send_to_the_end(gateway.listen, smuggling.as_bytes()).await;
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

        let mut slowly = TcpStream::connect(gateway.listen).await.unwrap();
        slowly.set_nodelay(true).unwrap();
        for byte in request
            .as_bytes()
            .chunks(if request.len() > 1000 { 999 } else { 1 })
        {
            let _ = slowly.write_all(byte).await;
            tokio::task::yield_now().await;
        }
        let slowly = wire::read_to_the_end(&mut slowly).await;
        assert_eq!(
            (slowly.status, slowly.code()),
            (*status, Some(*code)),
            "byte by byte: {shown:?}"
        );

        let behind =
            wire::send_to_the_end(gateway.listen, format!("{FIRST}{smuggling}").as_bytes()).await;
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
    let mut second = TcpStream::connect(gateway.listen).await.unwrap();
    second.write_all(FIRST.as_bytes()).await.unwrap();
    assert_eq!(wire::read(&mut second).await.status, 200);
    second.write_all(cases[0].0.as_bytes()).await.unwrap();
    let second = wire::read_to_the_end(&mut second).await;
    assert_eq!((second.status, second.closed), (400, true));
    let seen: String = upstream
        .connections()
        .iter()
        .map(|c| String::from_utf8_lossy(&c.bytes).into_owned())
        .collect();
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
            let mut client = TcpStream::connect(gateway.listen).await.unwrap();
            client.set_nodelay(true).unwrap();
            client.write_all(&line.as_bytes()[..cut]).await.unwrap();
            // So that the gateway most likely has read the one before the other comes; either way
            // the answer is the same.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            client
                .write_all(format!("{}\r\nHost: x\r\n\r\n", &line[cut..]).as_bytes())
                .await
                .unwrap();
            let answer = wire::read_to_the_end(&mut client).await;
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

#[tokio::test]
async fn refusals_are_counted_logged_and_named() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&route("/", &echo.url, "none"));
    let answer = wire::send(
        gateway.listen,
        b"GET /some/where?secret=1#x HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert!(
        answer.body().contains(&id) && answer.body().contains("urn:hufu:error:path_invalid"),
        "{}",
        answer.text
    );
    let line = gateway.access_line("the refusal", |line| line["request_id"] == id);
    assert_eq!(
        (
            &line["status"],
            &line["error"],
            &line["path"],
            &line["method"]
        ),
        (
            &400.into(),
            &"path_invalid".into(),
            &"/some/where".into(),
            &"GET".into()
        )
    );
    assert_eq!(
        (&line["client"], &line["route"]),
        (&"127.0.0.1".into(), &"none".into())
    );
    assert_eq!(
        gateway
            .counted("hufu_refused_requests_total{code=\"path_invalid\"}")
            .await,
        1
    );
    assert_eq!(
        gateway
            .counted("hufu_requests_total{route=\"none\",status=\"400\"}")
            .await,
        1
    );
    let upgrade = wire::send(
        gateway.listen,
        format!("GET / HTTP/1.1\r\nHost: x\r\n{WEBSOCKET}{KEY}\r\n").as_bytes(),
    )
    .await;
    assert_eq!(
        (upgrade.status, upgrade.header("sec-websocket-version")),
        (426, Some("13"))
    );
    assert!(!gateway.stdout().contains("secret"), "{}", gateway.stdout());
}

#[tokio::test]
async fn ordinary_oddities_come_in() {
    let upstream = Recorder::start(Reply::AtHead(ok())).await;
    let gateway = Gateway::start(&route("/", &upstream.url, "none"));
    let mut client = TcpStream::connect(gateway.listen).await.unwrap();
    for request in [
        "\r\nGET /1 HTTP/1.1\r\nhost:x\r\nEmpty:\r\nTab:\ta\t\r\nUtf: \u{e9}\r\n\r\n",
        "GET http://x/2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x?2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /12 HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET /19 HTTP/1.9\r\nHost: x\r\n\r\n",
        "GET /3 HTTP/1.0\r\nConnection: keep-alive\r\nHost: x\r\n\r\n",
    ] {
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = wire::read(&mut client).await;
        assert_eq!(answer.status, 200, "{request}: {}", answer.text);
    }
    // Case 32: nothing is reached by it, with or without a token.
    let asterisk = wire::send(
        gateway.listen,
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(asterisk.status, 400, "{}", asterisk.text);
    // Case 89: an upgrade that nobody offers is not taken up, and not passed on.
    let h2c =
        wire::send(gateway.listen, b"GET /4 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n").await;
    assert_eq!(
        (
            h2c.status,
            h2c.header("upgrade"),
            h2c.header("connection"),
            h2c.closed
        ),
        (200, None, None, false),
        "{}",
        h2c.text
    );
    // Case 88: nothing behind a handshake is read before its answer, and it is not 101 here.
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\n{WEBSOCKET}Sec-WebSocket-Version: 13\r\n{KEY}\r\n{FIRST}"
    );
    let handshake = wire::send(gateway.listen, handshake.as_bytes()).await;
    assert_eq!(
        (
            handshake.status,
            handshake.closed,
            handshake.text.matches("HTTP/1.1 ").count()
        ),
        (200, true, 1),
        "{}",
        handshake.text
    );
    let seen: String = upstream
        .connections()
        .iter()
        .map(|c| String::from_utf8_lossy(&c.bytes).to_lowercase())
        .collect();
    assert!(
        !seen.contains("h2c") && !seen.contains("http2-settings") && !seen.contains("/first"),
        "{seen}"
    );
}

/// What reads the query, what leaves a token out of it and what the backend gets are one.
#[tokio::test]
async fn queries_go_on_escaped_and_are_read_so() {
    let upstream = Recorder::start(Reply::AtHeadThenClose(ok())).await;
    let config = "session.carriers = [\"query:tok\"]\nserver.trusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = Gateway::start(&format!(
        "{config}{}{}",
        route("/open", &upstream.url, "none"),
        route("/api", &upstream.url, "required")
    ));
    let token = gateway.token("alice").await;
    let ask = async |target: &str| {
        wire::send(
            gateway.listen,
            format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
        )
        .await
    };
    for (query, goes_on) in [
        ("name=\u{9e21}", "?name=%E9%B8%A1"),
        ("q={\"a\":[1,2]}", "?q={%22a%22:[1,2]}"),
        ("<&>", "?%3C&%3E"),
        ("100%&a|b\\c^`{}", "?100%&a|b\\c^`{}"),
        ("%e9%b8%a1&%22", "?%e9%b8%a1&%22"),
    ] {
        // Beside a token, before it and behind it; and without one.
        for (path, query, goes_on) in [
            ("/open", query.to_owned(), goes_on.to_owned()),
            ("/api", format!("{query}&tok={token}"), goes_on.to_owned()),
            ("/api", format!("tok={token}&{query}"), goes_on.to_owned()),
            ("/open", format!("{query}&x=\"{token}"), goes_on.to_owned()),
        ] {
            let answer = ask(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 200, "{query}: {}", answer.text);
            let head = upstream.connections().pop().unwrap().head();
            assert!(
                head.starts_with(&format!("GET {path}{goes_on} HTTP/1.1\r\n")),
                "{query}: {head}"
            );
        }
        let asked = ask(&format!("/auth/verify?{query}&tok={token}")).await;
        assert_eq!(
            (asked.status, asked.header("x-wx-source")),
            (200, Some("hufu")),
            "{query}: {}",
            asked.text
        );
    }
    // A token is itself, and no other name is its own.
    for query in [
        format!("tok=\"{token}\""),
        format!("tok={token}\u{9e21}"),
        format!("tok\"={token}"),
        format!("\u{9e21}tok={token}"),
    ] {
        assert_eq!(ask(&format!("/api?{query}")).await.status, 401, "{query}");
    }
    // Three times as long when it goes on; the limit counts that.
    assert_eq!(
        ask(&format!("/open?{}", "\u{e9}".repeat(1300)))
            .await
            .status,
        200
    );
    assert_eq!(
        ask(&format!("/open?{}", "\u{e9}".repeat(1400)))
            .await
            .status,
        414
    );
    let gbk = wire::send(
        gateway.listen,
        b"GET /open?name=\xbc\xa6 HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    assert_eq!(gbk.status, 400, "{}", gbk.text);
    let no_path = wire::send(
        gateway.listen,
        b"GET http://x?q=\"1\" HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    assert_eq!(no_path.status, 404, "{}", no_path.text);
}

#[tokio::test]
async fn broken_chunks_never_make_a_whole_body() {
    let upstream = Recorder::start(Reply::Never).await;
    let gateway = Gateway::start(&route("/", &upstream.url, "none"));
    let extension = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(5000));
    let bodies = [
        "fffffffffffffffff\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcX",
        "3 \r\nabc\r\n",
        "-3\r\n",
        "\r\n",
        "3\r\nabc\r\n0\r\nX : y\r\n\r\n",
        &extension,
        &trailers,
    ];
    for body in bodies {
        let request = format!(
            "POST /smuggled HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}{FIRST}"
        );
        let answer = wire::send_to_the_end(gateway.listen, request.as_bytes()).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(
            (answer.status, answer.code(), answer.closed),
            (400, Some("body_broken"), true),
            "{shown:?}: {}",
            answer.text
        );
        assert_eq!(
            answer.text.matches("HTTP/1.1 ").count(),
            1,
            "{}",
            answer.text
        );
    }
    until("the upstream's connections to be closed", async || {
        upstream
            .connections()
            .iter()
            .all(|c| c.closed)
            .then_some(())
    })
    .await;
    assert!(
        upstream
            .connections()
            .iter()
            .all(|c| !c.body().ends_with(b"0\r\n\r\n")
                && !String::from_utf8_lossy(&c.bytes).contains("/first"))
    );
}

/// Case 87: what stands behind a body is the next request, and bodies are not.
#[tokio::test]
async fn bodies_and_requests_are_told_apart_however_they_are_cut() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&route("/", &echo.url, "none"));
    let stream = "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /evil HTTP/1.1\r\nPOST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nGET /evil HTTP/1.1\r\n\r\n0\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
    for piece in [1, 7, 64, stream.len()] {
        let mut client = TcpStream::connect(gateway.listen).await.unwrap();
        client.set_nodelay(true).unwrap();
        for bytes in stream.as_bytes().chunks(piece) {
            client.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        let order: Vec<_> = ["/a", "/b", "/c"]
            .map(|path| all.find(&format!("\"path\":\"{path}\"")))
            .into();
        assert!(
            order.iter().all(Option::is_some)
                && order.is_sorted()
                && all.matches("HTTP/1.1 200").count() == 3,
            "{piece}: {all}"
        );
    }
}

#[tokio::test]
async fn the_limit_of_the_head_is_the_configured_one() {
    let echo = echo_upstream();
    let setup = Setup {
        config: format!(
            "server.max_request_head = \"1KiB\"\n{}",
            route("/", &echo.url, "none")
        ),
        ..Setup::default()
    };
    let gateway = Gateway::with(&setup);
    let with = async |n: usize| {
        wire::send(
            gateway.listen,
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
                "y".repeat(n)
            )
            .as_bytes(),
        )
        .await
        .status
    };
    assert_eq!((with(900).await, with(1100).await), (200, 431));
}
