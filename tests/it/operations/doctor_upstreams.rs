//! `hufu doctor` before backends of every kind; and what the log says of the same.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;

use crate::helpers::servers::refusing;
use crate::helpers::{Certificates, Gateway, Script, Server, Upstream, acceptor, echo_upstream};
use crate::operations::doctor::{Said, doctor};

fn upstream(url: &str, more: &str) -> String {
    format!(
        "[upstreams.other]\nendpoints = [\"{url}\"]\n{more}[[routes]]\npath = \"/other\"\nupstream = \"other\"\nauth = \"none\"\n"
    )
}

fn of(url: &str, more: &str) -> Said {
    doctor("memory:", &upstream(url, more))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_spoken_to_as_requests_will_be() {
    let (certificates, plain) = (Certificates::new(), echo_upstream());
    let encrypted = Upstream::with_tls(Script::named("encrypted"), acceptor(&certificates));
    let at = |scheme: &str| format!("{scheme}://127.0.0.1:{}", encrypted.port);
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"]
        .map(|name| certificates.path(name).display().to_string());
    let trusting =
        format!("[upstreams.other.tls]\nca = \"{ca}\"\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    of(&at("https"), &trusting).has(
        "ok",
        "endpoint",
        &["by TLS with a certificate that is trusted, and speaks HTTP"],
    );
    of(&at("https"), "").has(
        "FAIL",
        "endpoint",
        &["is not trusted", "set upstreams.other.tls.ca"],
    );
    let named = trusting + "server_name = \"another.example\"\n";
    of(&at("https"), &named).has(
        "FAIL",
        "endpoint",
        &[
            "certificate not valid for name",
            "upstreams.other.tls.server_name",
        ],
    );
    of(&at("http"), "").has(
        "FAIL",
        "endpoint",
        &[
            "it speaks TLS there",
            "write https:// in upstreams.other.endpoints",
        ],
    );
    of(&plain.url, "").has("ok", "endpoint", &["connects", "speaks HTTP"]);
    of(&plain.url.replace("http://", "https://"), "").has(
        "FAIL",
        "endpoint",
        &[
            "it speaks no TLS there",
            "write http:// in upstreams.other.endpoints",
        ],
    );
}

/// What an upstream that cannot be reached means for users: it depends on who asks it.
#[test]
fn doctor_says_what_happens_without_the_backend_of_the_login_hook() {
    let (url, _taken) = refusing();
    let hook = |on_failure: &str| {
        format!(
            "[login.hook]\nupstream = \"other\"\npath = \"/hook\"\nsecrets = [\"a-secret-of-a-test-that-is-long-enough\"]\non_failure = \"{on_failure}\"\n"
        )
    };
    let alone = format!("[upstreams.other]\nendpoints = [\"{url}\"]\n");
    let routed = upstream(&url, "");
    for (lines, words) in [
        (routed.clone(), "reached, its requests get 502"),
        (
            hook("refuse") + &alone,
            "reached, logins get 503 login_hook_failed",
        ),
        (
            hook("allow") + &alone,
            "reached, logins go on without the hook's claims",
        ),
        (
            hook("refuse") + &routed,
            "reached, its requests get 502, and logins get 503 login_hook_failed",
        ),
    ] {
        doctor("memory:", &lines).has("FAIL", "endpoint", &[words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signs_itself_is_told_in_words() {
    let certificates = Certificates::new();
    let server = Server::start("openssl s_server", |port, _| {
        let mut command = Command::new("openssl");
        command.args([
            "s_server",
            "-quiet",
            "-www",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ]);
        command
            .arg("-cert")
            .arg(certificates.path("ca.pem"))
            .arg("-key")
            .arg(certificates.path("ca.key"));
        command
    });
    let url = format!("https://{}", server.address());
    of(&url, "").has(
        "FAIL",
        "endpoint",
        &[
            "its certificate is not trusted",
            "upstreams.other.tls.ca",
            "CA:FALSE",
        ],
    );
    let gateway = Gateway::start(&upstream(&url, ""));
    assert_eq!(gateway.get("/other").await.status(), 502);
    gateway.logs("its certificate is not trusted").await;
    gateway.assert_logged("set upstreams.other.tls.ca");
    gateway.assert_not_logged("OtherError");
}

#[test]
fn what_is_no_http_server_is_not_taken_for_one() {
    for (greeting, words) in [
        (&b"SSH-2.0-of a test\r\n"[..], "does not speak HTTP/1.1"),
        (b"", "closes the connection without an answer"),
    ] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            // The question, and whether it speaks TLS.
            for _ in 0..2 {
                let (mut client, _) = listener.accept().unwrap();
                let _ = client.write_all(greeting);
                // What is unread at a close might take the greeting with it.
                if !greeting.is_empty() {
                    let _ = std::io::copy(&mut client, &mut std::io::sink());
                }
            }
        });
        of(&url, "").has("FAIL", "endpoint", &[words]);
        serving.join().unwrap();
    }
}

#[tokio::test]
async fn a_backend_without_an_address_is_not_one_that_refuses() {
    let gateway = Gateway::start(&upstream("http://nothing.invalid:9", ""));
    let answer = gateway.get("/other").await;
    assert_eq!(
        (answer.status(), answer.header("x-hufu-error")),
        (502, "upstream_unreachable")
    );
    let body: serde_json::Value = answer.json();
    assert_eq!(
        body["detail"],
        "The backend of this route has no address yet."
    );
    gateway
        .logs("there is no address yet, and requests get 502")
        .await;
    gateway.assert_logged("no address yet: cannot resolve the host names");
}
