//! Where the listener may be: beyond this machine with TLS, or a Unix socket.

use reqwest::Certificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{SECRET, client, gateway, with_secret};
use crate::helpers::{Certificates, Client, tls_provider};

#[tokio::test]
async fn with_a_certificate_it_speaks_tls() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let tls = format!(
        "listen = \"0.0.0.0:0\"\ntls = [{{ cert = \"{}\", key = \"{}\" }}]",
        path("server.pem"),
        path("server.key")
    );
    let gateway = gateway(&client("").replace("listen = \"127.0.0.1:0\"", &tls));
    tls_provider();
    let authority = std::fs::read(certificates.path("ca.pem")).unwrap();
    let https = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(&authority).unwrap()])
        .build()
        .unwrap();
    let url = format!(
        "https://127.0.0.1:{}/wxa/test/echo",
        gateway.platform_api().port()
    );
    let answer = Client::new(https).get(url).bearer_auth(SECRET).await;
    assert_eq!(answer.json()["errcode"], 0);
    let metrics = gateway.admin_get("/metrics").await.text();
    let ends = "hufu_tls_certificate_not_after_seconds{listener=\"platform_api\",name=\"";
    assert!(metrics.contains(ends), "{metrics}");
}

#[tokio::test]
async fn it_may_be_a_socket_which_goes_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.sock");
    let listen = format!("listen = \"unix:{}\"", path.display());
    let config = client("").replace("listen = \"127.0.0.1:0\"", &listen);
    let mut gateway = gateway(&format!("server.drain_grace = \"0s\"\n{config}"));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = with_secret("GET /wxa/test/echo", "");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""errcode":0"#), "{answer}");
    gateway.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(gateway.ended().success());
    assert!(!path.exists());
}
