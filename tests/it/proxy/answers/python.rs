//! The servers that Python's applications run on. An application that returns a body where there is
//! none makes most of them send it.

use std::path::Path;
use std::process::Command;

use super::held_against;
use crate::helpers::{Gateway, Server, programs::program, route};

/// Answers every path with its number as the status, always with a body.
const APPS: &str = r#"
BODY = b"surplus" * 3

def wsgi(environ, start):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status = environ["PATH_INFO"].strip("/")
    start(status + " Whatever", [] if "nolength" in environ.get("QUERY_STRING", "") else [("Content-Length", str(len(BODY)))])
    return [BODY[:5], BODY[5:]]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    status = int(scope["path"].strip("/"))
    headers = [] if b"nolength" in scope["query_string"] else [(b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": BODY[:5], "more_body": True})
    await send({"type": "http.response.body", "body": BODY[5:]})
"#;

const HTTP_SERVER: &str = r#"
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(int(self.path[1:4]))
        if "nolength" in self.path and (self.command == "HEAD" or self.path[1:4] in ("204", "304")):
            pass
        else:
            self.send_header("Content-Length", "21")
        self.end_headers()
        self.wfile.write(b"surplus")
        self.wfile.write(b"surplus" * 2)

    do_HEAD = do_POST = do_GET

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

fn start(name: &str, arguments: impl Fn(u16) -> Vec<String>) -> Option<Server> {
    let program = program(name)?;
    Some(Server::start(name, |port, folder| {
        std::fs::write(folder.join("apps.py"), APPS).unwrap();
        std::fs::write(folder.join("server.py"), HTTP_SERVER).unwrap();
        command(&program, folder, &arguments(port))
    }))
}

fn command(program: &Path, folder: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("PYTHONPATH", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// One client, who asks for everything in turn on one connection and reads strictly.
async fn is_harmless(name: &str, server: Option<Server>) {
    let Some(server) = server else { return };
    // It accepts connections before it has loaded the application.
    let route = route("/", &format!("http://{}", server.address()), "none")
        .replace("timeout = \"5s\"", "timeout = \"60s\"");
    let gateway = Gateway::start(&route);
    let mut client = gateway.probe().await;
    for _ in 0..5 {
        for target in [
            "/200",
            "/204",
            "/304",
            "/204?nolength",
            "/304?nolength",
            "/200",
        ] {
            // What a server does behind its very first answer of that kind shows in the second
            // request.
            for method in ["HEAD", "GET", "GET", "POST"] {
                if method == "POST" && target.contains("304") {
                    continue;
                }
                client
                    .send(format!(
                        "{method} {target} HTTP/1.1\r\nHost: x\r\n{}\r\n",
                        if method == "POST" {
                            "Content-Length: 0\r\n"
                        } else {
                            ""
                        }
                    ))
                    .await;
                let got = client.answer(method).await;
                // A server may have an error of its own for such an application.
                let expected: u16 = target[1..4].parse().unwrap();
                assert!(
                    got.code().is_none() && (got.status() == expected || got.status() == 500),
                    "{name}: {method} {target}: {got:?} {}",
                    server.output()
                );
                if method == "GET" && expected == 200 {
                    assert_eq!(got.text(), "surplussurplussurplus", "{name}");
                }
                if got.head.closes() {
                    client = gateway.probe().await;
                }
            }
        }
    }
    assert_eq!(held_against(&gateway, true).await, [""; 0], "{name}");
}

#[tokio::test]
async fn bodies_of_bodiless_answers_by_gunicorn() {
    for workers in ["sync", "gthread --threads 4 --keep-alive 5"] {
        is_harmless(
            workers,
            start("gunicorn", |port| {
                words(&format!(
                    "--bind 127.0.0.1:{port} --worker-class {workers} apps:wsgi"
                ))
            }),
        )
        .await;
    }
}

#[tokio::test]
async fn bodies_of_bodiless_answers_by_waitress() {
    is_harmless(
        "waitress",
        start("waitress-serve", |port| {
            words(&format!("--listen=127.0.0.1:{port} apps:wsgi"))
        }),
    )
    .await;
}

#[tokio::test]
async fn bodies_of_bodiless_answers_by_uvicorn() {
    is_harmless(
        "uvicorn",
        start("uvicorn", |port| {
            words(&format!("--host 127.0.0.1 --port {port} apps:asgi"))
        }),
    )
    .await;
}

#[tokio::test]
async fn bodies_of_bodiless_answers_by_hypercorn() {
    is_harmless(
        "hypercorn",
        start("hypercorn", |port| {
            words(&format!("--bind 127.0.0.1:{port} apps:asgi"))
        }),
    )
    .await;
}

#[tokio::test]
async fn bodies_of_bodiless_answers_by_daphne() {
    is_harmless(
        "daphne",
        start("daphne", |port| {
            words(&format!("-b 127.0.0.1 -p {port} apps:asgi"))
        }),
    )
    .await;
}

#[tokio::test]
async fn bodies_of_bodiless_answers_by_pythons_own_server() {
    is_harmless(
        "http.server",
        start("python3", |port| words(&format!("server.py {port}"))),
    )
    .await;
}
