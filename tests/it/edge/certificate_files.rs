//! Files that the configuration names and that are none, or begin with a byte order mark.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::path::Path;
use std::process::{Command, Output};

use super::certificates::said;
use crate::helpers::{Certificates, route};

#[test]
fn what_is_no_file_is_an_error_at_once_whatever_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(
        Command::new("mkfifo")
            .arg(at("fifo"))
            .status()
            .unwrap()
            .success()
    );
    std::fs::write(at("long"), vec![b'x'; 2 << 20]).unwrap();
    let (fifo, own) = (
        at("fifo").display().to_string(),
        folder.path().display().to_string(),
    );
    let pair =
        |cert: &str, key: &str| format!("server.tls = [{{ cert = {cert:?}, key = {key:?} }}]\n");
    let certificates = Certificates::new();
    let (cert, key) = (
        certificates.path("server.pem").display().to_string(),
        certificates.path("server.key").display().to_string(),
    );
    let upstream = |ca: &str| {
        format!("[upstreams.u]\nendpoints = [\"https://127.0.0.1:1\"]\ntls = {{ ca = {ca:?} }}\n")
    };
    let mut tried = 0;
    for (path, what) in [
        (&*fifo, "is a FIFO"),
        ("/dev/zero", "is a device"),
        (&*own, "is a directory"),
        ("/nowhere", "does not exist"),
    ] {
        for (of, config) in [
            ("server.tls[0].cert", pair(path, &key)),
            ("server.tls[0].key", pair(&cert, path)),
            ("store.tls.ca", format!("[store.tls]\nca = {path:?}\n")),
            ("upstreams.u.tls.ca", upstream(path)),
            ("admin.token_file", format!("admin.token_file = {path:?}\n")),
            (
                "secrets.naming_key_file",
                format!("secrets.naming_key_file = {path:?}\n"),
            ),
            (
                "secrets.keys_file",
                format!("secrets.keys_file = {path:?}\n"),
            ),
        ] {
            let output = check(folder.path(), &config);
            let said = said(&output);
            assert!(
                output.status.code() == Some(2) && said.contains(&format!("{of}: {path} {what}\n")),
                "{said}"
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 28);
    assert!(
        said(&check(
            folder.path(),
            &pair(&at("long").display().to_string(), &key)
        ))
        .contains("longer than 1 MiB")
    );
    std::fs::rename(at("fifo"), at(".env")).unwrap();
    assert!(said(&check(folder.path(), "")).contains(".env: is a FIFO"));
}

#[test]
fn a_byte_order_mark_before_a_certificate_a_key_or_a_secret_is_read_over() {
    let (folder, certificates) = (tempfile::tempdir().unwrap(), Certificates::new());
    let marked = |name: &str, content: &[u8]| {
        std::fs::write(
            folder.path().join(name),
            [b"\xef\xbb\xbf", content].concat(),
        )
        .unwrap();
    };
    marked("cert", &certificates.read("server.pem"));
    marked("key", &certificates.read("server.key"));
    marked("token", b"an-admin-token-of-a-test-that-is-long\r\n");
    marked(
        "keys",
        format!("{}\r\n", hufu::crypto::keyring::generate_key()).as_bytes(),
    );
    let config = format!(
        "server.tls = [{{ cert = \"cert\", key = \"key\" }}]\nadmin.token_file = \"token\"\nsecrets.keys_file = \"keys\"\n{}",
        route("/", "http://127.0.0.1:1", "none")
    );
    let output = check(folder.path(), &config);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

fn check(folder: &Path, config: &str) -> Output {
    let base = "store.url = \"memory:\"\napps.shop.appid = \"wx1\"\napps.shop.secret = \"s\"\n";
    std::fs::write(folder.join("hufu.toml"), format!("{base}{config}")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_hufu"))
        .arg("check")
        .current_dir(folder)
        .output()
        .unwrap()
}
