//! A real Caddy that passes everything on to one server.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Caddy on this port, before that server, with its files in `folder`.
pub(crate) fn command(caddy: &Path, folder: &Path, port: u16, backend: SocketAddr) -> Command {
    let config = folder.join("Caddyfile");
    let text = format!(
        "{{\nadmin off\nauto_https off\n}}\nhttp://:{port} {{\nreverse_proxy {backend}\n}}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(caddy);
    command
        .arg("run")
        .arg("--config")
        .arg(config)
        .env("HOME", folder);
    command
}
