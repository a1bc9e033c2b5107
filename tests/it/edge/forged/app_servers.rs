//! The headers that backends believe, against the servers that believe them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use hufu::assertion::believed::{Speaker, speaker};
use serde_json::Value;

use super::believed::{AT_ONCE, get, lines, names, spelled};
use super::folded;
use crate::helpers::programs::program;
use crate::helpers::{Answer, Gateway, Nginx, Server, route};

/// Asks a server that says what it makes of a request: by itself with the header that it believes,
/// and through the gateway with all of the list.
async fn holds(
    server: &Server,
    address: std::net::SocketAddr,
    believes: &str,
    moved: impl Fn(&Value) -> bool,
) {
    let url = format!("http://{address}");
    let json = |answer: &Answer| {
        serde_json::from_str(answer.body())
            .unwrap_or_else(|_| panic!("{}\n{}", answer.text, server.output()))
    };
    let direct: Value = json(&get(address, "/public/admin/x", believes).await);
    assert!(
        moved(&direct),
        "without the gateway it believes {believes}: {direct}"
    );
    let gateway =
        Gateway::start(&(route("/public", &url, "none") + &route("/admin", &url, "required")));
    assert_eq!(
        get(gateway.listen, "/admin/x", believes).await.code(),
        Some("login_required")
    );
    let all = names(Speaker::Nobody);
    for with in [None, Some('-'), Some('_')] {
        let sent: Vec<_> = all
            .iter()
            .map(|name| with.map_or(name.clone(), |with| spelled(name, with)))
            .collect();
        for sent in sent.chunks(AT_ONCE) {
            let seen: Value = json(
                &get(
                    gateway.listen,
                    "/public/admin/x",
                    &format!("{}{believes}", lines(sent)),
                )
                .await,
            );
            assert_eq!(seen["path"], "/public/admin/x", "{seen}");
            let names: Vec<String> = serde_json::from_value(seen["names"].clone()).unwrap();
            assert!(
                names
                    .iter()
                    .any(|name| folded(name) == "http-host" || folded(name) == "host"),
                "{names:?}"
            );
            let arrived: Vec<_> = names
                .iter()
                .filter(|name| speaker(name.as_bytes()) == Some(Speaker::Nobody))
                .collect();
            assert!(arrived.is_empty(), "{arrived:?}");
        }
    }
}

/// The names of the variables that came from headers, without what CGI puts before them.
const WSGI: &str = r#"
import json

def application(environ, start_response):
    names = [name[5:] for name in environ if name.startswith("HTTP_")]
    body = json.dumps({"path": environ["PATH_INFO"], "scheme": environ["wsgi.url_scheme"], "names": names}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"#;

const ASGI: &str = r#"
import json

async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    names = [name.decode() for name, _ in scope["headers"]]
    body = json.dumps({"path": scope["path"], "root": scope["root_path"], "scheme": scope["scheme"], "names": names}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"#;

const DJANGO: &str = r#"
import json
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import re_path

def say(request):
    names = [name[5:] for name in request.META if name.startswith("HTTP_")]
    body = json.dumps({"path": request.path_info, "names": names})
    return HttpResponse(body, headers={"Content-Length": str(len(body))})

urlpatterns = [re_path("^", say)]
application = get_asgi_application()
"#;

const RACK: &str = r#"
require "json"
run lambda { |env|
  names = env.keys.select { |name| name.start_with?("HTTP_") }.map { |name| name[5..] }
  [200, { "content-type" => "text/plain" }, [JSON.dump({ path: env["PATH_INFO"], names: names })]]
}
"#;

const PHP: &str = r#"<?php
$names = array_map(fn($name) => substr($name, 5), array_values(array_filter(array_keys($_SERVER), fn($name) => str_starts_with($name, "HTTP_"))));
$body = json_encode(["path" => $_SERVER["REQUEST_URI"], "names" => $names]);
header("Content-Length: " . strlen($body));
echo $body;
"#;

/// A Python server that runs `source`.
fn python(name: &str, source: &str, arguments: impl Fn(u16) -> Vec<String>) -> Option<Server> {
    let found = program(name)?;
    Some(Server::start(name, |port, folder| {
        std::fs::write(folder.join("app.py"), source).unwrap();
        let mut command = Command::new(&found);
        command
            .args(arguments(port))
            .arg("app:application")
            .current_dir(folder);
        command
            .env("HOME", folder)
            .env("PYTHONPATH", folder)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }))
}

#[tokio::test]
async fn gunicorn_serves_the_path_that_was_let_in() {
    let Some(server) = python("gunicorn", WSGI, |port| {
        vec!["--bind".to_owned(), format!("127.0.0.1:{port}")]
    }) else {
        return;
    };
    holds(
        &server,
        server.address(),
        "SCRIPT_NAME: /public\r\n",
        |seen| seen["path"] == "/admin/x",
    )
    .await;
}

#[tokio::test]
async fn daphne_with_django_serves_the_path_that_was_let_in() {
    let Some(server) = python("daphne", DJANGO, |port| {
        ["-b", "127.0.0.1", "-p", &port.to_string()]
            .map(str::to_owned)
            .into()
    }) else {
        return;
    };
    holds(
        &server,
        server.address(),
        "Daphne-Root-Path: /public\r\n",
        |seen| seen["path"] == "/admin/x",
    )
    .await;
}

#[tokio::test]
async fn uvicorn_has_the_scheme_from_the_gateway() {
    let Some(server) = python("uvicorn", ASGI, |port| {
        ["--host", "127.0.0.1", "--port", &port.to_string()]
            .map(str::to_owned)
            .into()
    }) else {
        return;
    };
    holds(
        &server,
        server.address(),
        "X-Forwarded-Proto: https\r\n",
        |seen| seen["scheme"] == "https",
    )
    .await;
    let gateway = Gateway::start(&route(
        "/public",
        &format!("http://{}", server.address()),
        "none",
    ));
    let seen = get(
        gateway.listen,
        "/public",
        "X-Forwarded-Proto: https\r\nX-Scheme: https\r\nFront-End-Https: on\r\n",
    )
    .await;
    assert!(
        seen.body().contains("\"scheme\": \"http\"") && seen.body().contains("\"root\": \"\""),
        "{}",
        seen.text
    );
}

fn sees(name: &'static str) -> impl Fn(&Value) -> bool {
    move |seen| {
        seen["names"]
            .as_array()
            .is_some_and(|names| names.iter().any(|own| own == name))
    }
}

#[tokio::test]
async fn puma_is_told_of_no_file_to_send() {
    let Some(puma) = program("puma") else { return };
    let server = Server::start("puma", |port, folder| {
        std::fs::write(folder.join("config.ru"), RACK).unwrap();
        let mut command = Command::new(&puma);
        command
            .args([
                "--bind",
                &format!("tcp://127.0.0.1:{port}"),
                "--threads",
                "1:2",
                "config.ru",
            ])
            .current_dir(folder)
            .env("HOME", folder);
        command
    });
    holds(
        &server,
        server.address(),
        "X-Sendfile-Type: X-Accel-Redirect\r\nX-Accel-Mapping: /=/\r\n",
        sees("X_ACCEL_MAPPING"),
    )
    .await;
}

#[tokio::test]
async fn php_gets_no_other_path() {
    let Some(fpm) = program("php-fpm") else {
        return;
    };
    let scripts = tempfile::tempdir().unwrap();
    let script = scripts.path().join("index.php");
    std::fs::write(&script, PHP).unwrap();
    let server = Server::start("php-fpm", |port, folder| php_fpm(&fpm, port, folder));
    let nginx = Nginx::start(&format!(
        "underscores_in_headers on; ignore_invalid_headers off;\n\
         location / {{ fastcgi_pass {}; fastcgi_param SCRIPT_FILENAME {}; fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI $request_uri; }}",
        server.address(),
        script.display()
    ));
    holds(
        &server,
        nginx.address(),
        "X-Rewrite-URL: /admin/x\r\n",
        sees("X_REWRITE_URL"),
    )
    .await;
}

fn php_fpm(program: &Path, port: u16, folder: &Path) -> Command {
    // Root's process must be told that it may serve as root: the folder of the test is nobody
    // else's.
    let user = if std::fs::metadata(folder).unwrap().uid() == 0 {
        "user = root\ngroup = root\n"
    } else {
        ""
    };
    let config = folder.join("fpm.conf");
    let at = folder.display();
    let text = format!(
        "[global]\nerror_log = {at}/log\npid = {at}/pid\n[www]\n{user}listen = 127.0.0.1:{port}\npm = static\npm.max_children = 2\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(program);
    command
        .args(["--nodaemonize", "--allow-to-run-as-root", "--fpm-config"])
        .arg(config)
        .env("HOME", folder);
    command
}
