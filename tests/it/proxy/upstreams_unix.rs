//! Backends behind Unix sockets: a gunicorn, an nginx, and one by hand that says what it was asked.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::helpers::{Gateway, Nginx, Server, Upstream, programs::program, until, upstream_of};

fn url(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// Answers every request with its head, `/moved` with a redirect.
fn echo(path: &Path) -> JoinSet<()> {
    let listener = UnixListener::bind(path).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                        let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
                        let mut body = vec![0; length.unwrap_or(0)];
                        if stream.read_exact(&mut body).await.is_err() {
                            return;
                        }
                        let answer = if text.starts_with("GET /moved ") {
                            "HTTP/1.1 302 Found\r\nLocation: http://localhost/there\r\nContent-Length: 0\r\n\r\n".to_owned()
                        } else {
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
                        };
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    tasks
}

fn socket() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    (folder, path)
}

#[tokio::test]
async fn a_socket_is_an_endpoint_like_others() {
    let (_folder, path) = socket();
    let _echo = echo(&path);
    let gateway = Gateway::start(&upstream_of(
        &[&url(&path)],
        "none",
        "health = { path = \"/health\", interval = \"50ms\", timeout = \"30s\" }",
    ));
    for _ in 0..3 {
        let seen = gateway
            .raw(b"GET /x HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
            .await;
        assert!(
            seen.status == 200
                && seen
                    .body()
                    .to_ascii_lowercase()
                    .contains("\r\nhost: shop.example\r\n"),
            "{}",
            seen.text
        );
        let posted = gateway.post("/x").body("body").await;
        assert_eq!(posted.status(), 200);
    }
    // As nginx calls it.
    let unnamed = gateway.raw(b"GET /x HTTP/1.0\r\n\r\n").await;
    assert!(
        unnamed
            .body()
            .to_ascii_lowercase()
            .contains("\r\nhost: localhost\r\n"),
        "{}",
        unnamed.text
    );
    let moved = gateway
        .raw(b"GET /moved HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (302, Some("/there"))
    );
    let line = gateway.access_line("a request", |line| line["path"] == "/x");
    assert_eq!(line["endpoint"], url(&path));
    assert_eq!(
        gateway
            .counted(&format!(
                "hufu_upstream_endpoint_up{{upstream=\"many\",endpoint=\"{}\"}}",
                url(&path)
            ))
            .await,
        1
    );
    assert!(
        gateway
            .counted(&format!(
                "hufu_upstream_connections_total{{upstream=\"many\",endpoint=\"{}\"}}",
                url(&path)
            ))
            .await
            < 6,
        "they are kept"
    );
}

#[tokio::test]
async fn beside_others_and_without_anybody_behind_it() {
    let (_folder, path) = socket();
    let well = Upstream::named("well");
    // One that is there may answer late where the machine stalls.
    let settings = "balance = \"round_robin\"\nhealth = { path = \"/health\", interval = \"50ms\", timeout = \"30s\", unhealthy_after = 1, healthy_after = 1 }";
    let gateway = Gateway::start(&upstream_of(&[&url(&path), &well.url], "none", settings));
    // Nothing is there: it goes elsewhere.
    for _ in 0..6 {
        assert_eq!(gateway.post("/x").body("body").await.text(), "well");
    }
    let up = format!(
        "hufu_upstream_endpoint_up{{upstream=\"many\",endpoint=\"{}\"}}",
        url(&path)
    );
    gateway.counts(&up, 0).await;
    gateway.logs("No such file").await;
    let _echo = echo(&path);
    gateway.counts(&up, 1).await;
    until("its turn", async || {
        gateway.get("/x").await.text().contains("GET /x")
    })
    .await;
}

#[tokio::test]
async fn gunicorn_listens_there() {
    let Some(gunicorn) = program("gunicorn") else {
        return;
    };
    let (_folder, path) = socket();
    let app = "def app(environ, start):\n    start('200 OK', [])\n    return [environ['HTTP_HOST'].encode(), environ['wsgi.input'].read()]\n";
    // The helper waits for a port.
    let server = Server::start("gunicorn", |port, folder| {
        std::fs::write(folder.join("app.py"), app).unwrap();
        let mut command = Command::new(&gunicorn);
        command
            .args([
                "--bind",
                &url(&path),
                "--bind",
                &format!("127.0.0.1:{port}"),
                "app:app",
            ])
            .current_dir(folder);
        command
    });
    // It accepts connections before it has loaded the application.
    let gateway = Gateway::start(&upstream_of(&[&url(&path)], "none", "timeout = \"60s\""));
    for _ in 0..5 {
        let answer = gateway
            .post("/x")
            .header("host", "shop.example")
            .body("hello")
            .await;
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, "shop.examplehello"),
            "{}",
            server.output()
        );
    }
}

#[tokio::test]
async fn nginx_listens_there() {
    let (_folder, path) = socket();
    let _nginx = Nginx::configured(|port| {
        let _ = std::fs::remove_file(&path);
        format!(
            "server {{ listen 127.0.0.1:{port}; listen {}; location / {{ return 200 \"$http_host $request_uri\"; }} }}",
            url(&path)
        )
    });
    let gateway = Gateway::start(&upstream_of(&[&url(&path)], "none", ""));
    for _ in 0..5 {
        assert_eq!(
            gateway
                .get("/x?y")
                .header("host", "shop.example")
                .await
                .text(),
            "shop.example /x?y"
        );
    }
}
