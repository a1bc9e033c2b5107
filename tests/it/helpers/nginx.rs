//! A real nginx of the test's own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::programs::port;
use super::wait::until_blocking;

/// A running nginx; killed when dropped.
pub(crate) struct Nginx {
    child: Child,
    _folder: TempDir,
    port: u16,
}

impl Nginx {
    /// An nginx with these locations.
    pub(crate) fn start(locations: &str) -> Self {
        Self::configured(|port| format!("server {{ listen 127.0.0.1:{port};\n{locations}\n}}"))
    }

    /// An nginx whose `http` block has this, which listens on the port that it gets.
    pub(crate) fn configured(http: impl Fn(u16) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        // Another process may take the port before nginx does: choose again.
        let (child, port) = until_blocking("nginx on a free port", || {
            let port = port();
            let config = format!(
                "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; \
                 fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{}\n}}\n",
                http(port)
            );
            std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
            let spawned = Command::new("nginx")
                .arg("-p")
                .arg(folder.path())
                .arg("-e")
                .arg(folder.path().join("error.log"))
                .arg("-c")
                .arg(folder.path().join("nginx.conf"))
                .stderr(Stdio::null())
                .spawn();
            let mut child = spawned.expect(
                "nginx is needed: run make test, which installs it, or apt-get install nginx",
            );
            let up = until_blocking("nginx to listen or to end", || {
                match child.try_wait().unwrap() {
                    Some(_) => Some(false),
                    None => answers_as_nginx(port),
                }
            });
            if !up {
                let _ = child.kill();
                let _ = child.wait();
            }
            up.then_some((child, port))
        });
        Self {
            child,
            _folder: folder,
            port,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A URL on it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// Whether it is nginx that has the port; `None`: nobody has it yet. nginx tries for seconds to get
/// a port that another test was faster to take.
fn answers_as_nginx(port: u16) -> Option<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let mut answer = Vec::new();
    // Not HTTP: whoever it is answers at once, and no location sees it.
    let _ = stream
        .write_all(b"X\r\n\r\n")
        .and_then(|()| stream.read_to_end(&mut answer));
    Some(answer.windows(5).any(|part| part == b"nginx"))
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
