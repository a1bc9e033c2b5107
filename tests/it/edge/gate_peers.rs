//! The table of docs/gate.md: what it says of the gate, of nginx and of Envoy is what each of them
//! answers to the same bytes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::helpers::{Gateway, Nginx, Server, envoy, probe, programs::program, route};

/// A row of the page, by the beginning of its first cell, and requests that it speaks of.
type Row = (&'static str, Vec<String>);

fn get(lines: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: x\r\n{lines}\r\n")
}

fn post(lines: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: x\r\n{lines}\r\n")
}

fn to(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn chunks(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n") + body
}

fn all<const N: usize>(make: fn(&str) -> String, of: [&str; N]) -> Vec<String> {
    of.map(make).to_vec()
}

fn rows() -> Vec<Row> {
    let long = |n: usize| "a".repeat(n);
    let host: fn(&str) -> String = |line| format!("GET /x HTTP/1.1\r\n{line}\r\n");
    let first: fn(&str) -> String = |line| format!("{line}\r\nHost: x\r\n\r\n");
    let sized: fn(&str) -> String = |line| post(line) + "hello";
    let coded: fn(&str) -> String = |line| post(line) + "0\r\n\r\n";
    let websocket: fn(&str) -> String = |lines| {
        get(&format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\n{lines}"
        ))
    };
    let handshake = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    vec![
        (
            "`Content-Length` and",
            vec![coded("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")],
        ),
        (
            "two `Content-Length`",
            all(
                sized,
                [
                    "Content-Length: 5\r\nContent-Length: 5\r\n",
                    "Content-Length: 5\r\nContent-Length: 6\r\n",
                    "Content-Length: +5\r\n",
                    "Content-Length: 5,5\r\n",
                    "Content-Length:\r\n",
                ],
            ),
        ),
        (
            "`Content-Length: 05`",
            vec![sized("Content-Length: 05\r\n")],
        ),
        (
            "`Transfer-Encoding` other",
            all(
                coded,
                [
                    "Transfer-Encoding: gzip, chunked\r\n",
                    "Transfer-Encoding: identity\r\n",
                    "Transfer-Encoding: xchunked\r\n",
                ],
            ),
        ),
        (
            "`Transfer-Encoding: chunked` twice",
            vec![coded(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            )],
        ),
        (
            "HTTP/1.0 with",
            vec![
                "POST /x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            ],
        ),
        (
            "HTTP/1.0 POST",
            vec!["POST /x HTTP/1.0\r\nHost: x\r\n\r\n".into()],
        ),
        (
            "a chunk size of 16",
            all(
                chunks,
                [
                    "0000000000000005\r\nhello\r\n0\r\n\r\n",
                    "5 \r\nhello\r\n0\r\n\r\n",
                ],
            ),
        ),
        (
            "a chunk size with a sign",
            all(
                chunks,
                ["+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n"],
            ),
        ),
        (
            "a chunk extension over",
            vec![chunks(&format!("5;{}\r\nhello\r\n0\r\n\r\n", long(300)))],
        ),
        (
            "trailers over",
            vec![chunks(&format!(
                "5\r\nhello\r\n0\r\nX: {}\r\n\r\n",
                long(9000)
            ))],
        ),
        (
            "a trailer with an invalid name",
            vec![chunks("5\r\nhello\r\n0\r\nX y: z\r\n\r\n")],
        ),
        (
            "a bare LF",
            vec![
                "GET /x HTTP/1.1\nHost: x\n\n".into(),
                "GET /x HTTP/1.1\r\nHost: x\n\r\n".into(),
            ],
        ),
        ("a bare CR", vec![get("X: a\rb\r\n")]),
        ("folded lines", vec![get("X: y\r\n z\r\n")]),
        ("a space before", vec![get("X : y\r\n")]),
        ("NUL in", all(get, ["X: a\0b\r\n"])),
        ("`\\x01`, DEL", all(get, ["X: a\x01b\r\n", "X: a\x7fb\r\n"])),
        ("a space in a header's name", vec![get("X y: z\r\n")]),
        ("`(` or", all(get, ["X(y: z\r\n", "X\u{e9}: z\r\n"])),
        ("no `Host`", vec![host("")]),
        ("two `Host`", vec![host("Host: x\r\nHost: x\r\n")]),
        (
            "a `Host` with userinfo",
            all(
                host,
                [
                    "Host: u@x\r\n",
                    "Host: a,b\r\n",
                    "Host: x:y\r\n",
                    "Host: x:99999\r\n",
                ],
            ),
        ),
        (
            "a `Host` with a space",
            all(host, ["Host: a b\r\n", "Host: x/y\r\n"]),
        ),
        ("`#` in", all(to, ["/a#b", "/?a#b"])),
        (
            "a space, a control",
            all(
                to,
                [
                    "/a b", "/a\x01b", "/a\x7fb", "/?a b", "/?a\x01b", "/?a\x7fb", "/?a\0b",
                    "/?a\tb",
                ],
            ),
        ),
        ("raw non-ASCII in the path", vec![to("/\u{e9}")]),
        (
            "`<`, `>` or `` ` `` in the path",
            all(to, ["/a<b", "/a>b", "/a`b"]),
        ),
        ("`\"`, `^`", all(to, ["/a\"b", "/a^b", "/a{b}", "/a|b"])),
        ("`\\` in the path", vec![to("/a\\b")]),
        ("a `%` without", all(to, ["/a%b", "/a%zzb"])),
        ("raw UTF-8 in the query", vec![to("/?\u{9e21}")]),
        (
            "`\"`, `<` or `>` in the query",
            all(to, ["/?a\"b", "/?a<b", "/?a>b"]),
        ),
        (
            "`` ` ``, `^`",
            all(to, ["/?|", "/?\\", "/?^", "/?`", "/?{a}", "/?a%", "/?%zz"]),
        ),
        ("`http://host/path` as target", vec![to("http://z/y")]),
        ("`*` as target", vec![to("*")]),
        (
            "`OPTIONS *`",
            vec!["OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into()],
        ),
        ("a target over 8 KiB", vec![to(&format!("/{}", long(9000)))]),
        ("over 96 headers", vec![get(&"X: y\r\n".repeat(97))]),
        (
            "a header's name over",
            vec![get(&format!("{}: y\r\n", long(257)))],
        ),
        (
            "CONNECT",
            vec!["CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n".into()],
        ),
        ("TRACE", vec![first("TRACE /x HTTP/1.1")]),
        (
            "`trace`",
            all(first, ["trace /x HTTP/1.1", "connect x:443 HTTP/1.1"]),
        ),
        (
            "methods over",
            vec![first("AMETHODTHATNOBODYKNOWS /x HTTP/1.1")],
        ),
        ("methods with", vec![first("G%T /x HTTP/1.1")]),
        ("HTTP/2.0", vec![first("GET /x HTTP/2.0")]),
        ("HTTP/0.9", vec![first("GET /x HTTP/0.9")]),
        (
            "HTTP/1.2",
            all(first, ["GET /x HTTP/1.2", "GET /x HTTP/1.9"]),
        ),
        (
            "`Upgrade: websocket` with a body",
            vec![
                websocket(&format!("{handshake}Content-Length: 3\r\n")) + "abc",
                websocket("Sec-WebSocket-Version: 13\r\n"),
                get(&format!(
                    "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n{handshake}"
                )),
                post(&format!(
                    "Upgrade: websocket\r\nConnection: Upgrade\r\n{handshake}"
                )),
            ],
        ),
        (
            "a WebSocket of another",
            vec![websocket(&handshake.replace("13", "8"))],
        ),
        (
            "`Expect` other",
            vec![post("Expect: x\r\nContent-Length: 5\r\n") + "hello"],
        ),
    ]
}

/// A backend that takes whatever comes and answers each request once it is whole, on a connection
/// of its own.
async fn lenient() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
                .unwrap_or(0);
            body.len() >= length
                && (!head.contains("transfer-encoding")
                    || body.ends_with("0\r\n\r\n")
                    || (body.contains("0\r\nx") && body.ends_with("\r\n\r\n")))
        });
        if whole {
            break;
        }
        if !matches!(stream.read_buf(&mut seen).await, Ok(1..)) {
            return;
        }
    }
    let _ = stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        .await;
}

/// The rows of the table: the cells without their bars.
fn page() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gate.md"))
        .unwrap();
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("| ---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    // A bar within a code is written `\|`.
    let cells = |line: &str| {
        line.replace("\\|", "\u{1}")
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().replace('\u{1}', "\\|"))
            .collect()
    };
    lines.map(cells).collect()
}

/// The statuses that a cell names; other numbers have other lengths, or stand in codes.
fn statuses(cell: &str) -> BTreeSet<u16> {
    let words = cell
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() == 3);
    words.filter_map(|word| word.parse().ok()).collect()
}

async fn compare(what: &str, at: SocketAddr, column: usize, page: &[Vec<String>]) -> Vec<String> {
    let mut differ = Vec::new();
    for (start, requests) in rows() {
        let row = page
            .iter()
            .find(|row| row[0].starts_with(start))
            .unwrap_or_else(|| panic!("docs/gate.md has no row {start:?}"));
        let mut seen = BTreeSet::new();
        for request in &requests {
            seen.insert(probe::send(at, &request).await.status);
        }
        if seen != statuses(&row[column]) {
            differ.push(format!(
                "{what}: {start}: {seen:?} and not {:?}",
                row[column]
            ));
        }
    }
    differ
}

#[tokio::test]
async fn the_page_says_what_each_of_them_answers() {
    let page = page();
    let known = |row: &Vec<String>| rows().iter().any(|(start, _)| row[0].starts_with(start));
    let other: Vec<&String> = page
        .iter()
        .filter(|row| !known(row))
        .map(|row| &row[0])
        .collect();
    assert!(
        other.iter().all(|row| row.contains("that takes longer")
            || row.contains("falls silent")
            || row.contains("max_request_head")),
        "{other:?}"
    );

    let backend = lenient().await;
    let gateway = Gateway::start(&route("/", &format!("http://{backend}"), "none"));
    let mut differ = compare("Hufu", gateway.listen, 1, &page).await;
    // Other versions answer otherwise, and the page speaks of these.
    let is = |program: &Path, option: &str, version: &str| {
        let told = Command::new(program).arg(option).output().unwrap();
        [told.stdout, told.stderr]
            .iter()
            .any(|text| String::from_utf8_lossy(text).contains(version))
    };
    if is(Path::new("nginx"), "-v", "nginx/1.22.") {
        let nginx = Nginx::start(&format!(
            "location / {{ proxy_pass http://{backend}; proxy_http_version 1.1; }}"
        ));
        differ.extend(compare("nginx", nginx.address(), 2, &page).await);
    } else {
        println!("the nginx here is not 1.22: left out");
    }
    match program("envoy") {
        Some(program) if is(&program, "--version", "/1.40.") => {
            let proxy = Server::start("envoy", |port, folder| {
                envoy::command(&program, folder, port, backend)
            });
            differ.extend(compare("Envoy", proxy.address(), 3, &page).await);
        }
        Some(_) => println!("the Envoy here is not 1.40: left out"),
        None => {}
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
