//! A real redis-server of the test's own: free port, own folder, gone with the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::programs::port;
use super::wait::until_blocking;

/// An argument that stands for a free port.
pub(crate) const FREE: &str = "{a free port}";

/// A running redis-server; killed when dropped, also by a panic.
pub(crate) struct RedisServer {
    child: Child,
    folder: TempDir,
    port: u16,
    args: Vec<String>,
    tls: Option<Arc<Certificates>>,
}

impl RedisServer {
    /// A server that keeps nothing on disk, with further arguments such as `["--maxmemory",
    /// "3mb"]`.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::launch(tempfile::tempdir().unwrap(), None, args, None)
    }

    /// A replica of this server; [`follows`](super::follows) waits until it has its data.
    pub(crate) fn replica_of(master: &Self) -> Self {
        let port = master.port().to_string();
        Self::start(&[
            "--replicaof",
            "127.0.0.1",
            &port,
            "--repl-diskless-sync-delay",
            "0",
        ])
    }

    /// A server with a configuration file of this content.
    pub(crate) fn start_with_file(content: &str, args: &[&str]) -> Self {
        Self::launch(tempfile::tempdir().unwrap(), Some(content), args, None)
    }

    /// A server that speaks TLS only, with a certificate for 127.0.0.1 from an authority of its
    /// own: [`Self::ca`].
    pub(crate) fn start_tls() -> Self {
        Self::start_with_certificates(
            &Arc::new(Certificates::new()),
            &["--tls-auth-clients", "no"],
        )
    }

    /// A server that speaks TLS only, with these certificates; it asks clients for theirs.
    pub(crate) fn start_with_certificates(certificates: &Arc<Certificates>, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ca.pem", "server.pem", "server.key"] {
            std::fs::copy(certificates.path(name), folder.path().join(name)).unwrap();
        }
        let own = [
            "--tls-cert-file",
            "server.pem",
            "--tls-key-file",
            "server.key",
            "--tls-ca-cert-file",
            "ca.pem",
        ];
        Self::launch(folder, None, &[&own, args].concat(), Some(certificates))
    }

    /// A sentinel with this configuration.
    pub(crate) fn start_sentinel(content: &str) -> Self {
        Self::launch(
            tempfile::tempdir().unwrap(),
            Some(content),
            &["--sentinel"],
            None,
        )
    }

    fn launch(
        folder: TempDir,
        file: Option<&str>,
        extra: &[&str],
        tls: Option<&Arc<Certificates>>,
    ) -> Self {
        let mut args: Vec<String> = Vec::new();
        if let Some(content) = file {
            std::fs::write(folder.path().join("redis.conf"), content).unwrap();
            args.push(folder.path().join("redis.conf").display().to_string());
        } else {
            args.extend(["--save", "", "--appendonly", "no"].map(str::to_owned));
        }
        args.extend(extra.iter().map(|&arg| arg.to_owned()));
        // Another process may take the port before the server does: choose again.
        until_blocking("redis-server on a free port", || {
            let own = port();
            // A cluster's nodes have a second port.
            let args: Vec<_> = args
                .iter()
                .map(|arg| {
                    if arg == FREE {
                        port().to_string()
                    } else {
                        arg.clone()
                    }
                })
                .collect();
            let child = spawn(folder.path(), own, &args, tls.is_some());
            let mut server = Self {
                child,
                folder: tempfile::tempdir().unwrap(),
                port: own,
                args,
                tls: tls.cloned(),
            };
            server.answers().then_some(server)
        })
        .in_folder(folder)
    }

    fn in_folder(mut self, folder: TempDir) -> Self {
        self.folder = folder;
        self
    }

    /// Where it listens.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What stands behind one of its arguments.
    pub(crate) fn argument(&self, name: &str) -> &str {
        let at = self.args.iter().position(|arg| arg == name).unwrap();
        &self.args[at + 1]
    }

    /// The URL of its database 0, with `user:password@` where given.
    pub(crate) fn url(&self, login: &str) -> String {
        format!(
            "{}://{login}127.0.0.1:{}/0",
            if self.tls.is_some() {
                "rediss"
            } else {
                "redis"
            },
            self.port
        )
    }

    /// A connection for looking after it, as this user.
    pub(crate) fn connect(&self, login: &str) -> redis::Connection {
        self.try_connect(login).unwrap()
    }

    /// The same to one that may be gone, or close connections just now.
    pub(crate) fn try_connect(&self, login: &str) -> redis::RedisResult<redis::Connection> {
        let client = match &self.tls {
            None => redis::Client::open(self.url(login)),
            Some(certificates) => {
                redis::Client::build_with_tls(self.url(login), certificates.of_client())
            }
        };
        client?.get_connection_with_timeout(Duration::from_secs(30))
    }

    /// Sends it one command, as the default user.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        redis::cmd(words[0])
            .arg(&words[1..])
            .query(&mut self.try_connect("")?)
    }

    /// The certificate of its authority, in PEM.
    pub(crate) fn ca(&self) -> Vec<u8> {
        std::fs::read(self.path("ca.pem")).unwrap()
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with the same arguments and these.
    pub(crate) fn start_again(&mut self, more: &[&str]) {
        self.args.extend(more.iter().map(|&arg| arg.to_owned()));
        // Somebody else may have looked for a free port and have this one for a moment.
        until_blocking("redis-server to start again", || {
            self.child = spawn(
                self.folder.path(),
                self.port,
                &self.args,
                self.tls.is_some(),
            );
            self.answers()
        });
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until it answers, whatever it answers; `false` if it ends before.
    fn answers(&mut self) -> bool {
        let (port, tls) = (self.port, self.tls.is_some());
        until_blocking("redis-server to answer", || {
            match self.child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => speaks(port, tls).then_some(true),
            }
        })
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, port: u16, args: &[String], tls: bool) -> Child {
    let port = port.to_string();
    let ports = if tls {
        ["--port", "0", "--tls-port", &port]
    } else {
        ["--port", &port, "--tls-port", "0"]
    };
    let mut command = Command::new("redis-server");
    command
        .args(args.iter().take_while(|arg| !arg.starts_with("--")))
        .args(ports)
        .args(["--bind", "127.0.0.1", "--dir"])
        .arg(folder);
    command.args(args.iter().skip_while(|arg| !arg.starts_with("--")));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server is needed for these tests: apt-get install redis-server, or brew install redis")
}

/// Whether a Redis that has read its data answers there: `+PONG`, or `-NOAUTH`, behind which it may
/// still be reading. Behind TLS an accepted connection has to do.
fn speaks(port: u16, tls: bool) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    if tls {
        return true;
    }
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut answer = [0; 3];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && matches!(&answer, b"+PO" | b"-NO")
}

/// An authority, and what it has signed: a server's certificate for 127.0.0.1, and a client's.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        openssl(
            at,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
        );
        let made = Self(folder);
        for who in ["server", "client"] {
            made.sign(who, "IP:127.0.0.1");
        }
        made
    }

    /// Signs a fresh certificate for these names: `who.pem` and `who.key`.
    pub(crate) fn sign(&self, who: &str, names: &str) {
        let at = self.0.path();
        std::fs::write(at.join("names"), format!("subjectAltName={names}\n")).unwrap();
        openssl(
            at,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={who} -keyout {who}.key -out {who}.csr"
            ),
        );
        openssl(
            at,
            &format!(
                "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {who}.pem"
            ),
        );
    }

    /// `ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What a client shows and trusts.
    fn of_client(&self) -> redis::TlsCertificates {
        let client_tls = Some(redis::ClientTlsConfig {
            client_cert: self.read("client.pem"),
            client_key: self.read("client.key"),
        });
        redis::TlsCertificates {
            client_tls,
            root_cert: Some(self.read("ca.pem")),
        }
    }

    /// The same file's content.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// Runs openssl in a folder.
pub(crate) fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl")
        .args(args.split(' '))
        .current_dir(folder)
        .output();
    let output = output.expect("openssl is needed for this test: apt-get install openssl");
    assert!(
        output.status.success(),
        "openssl {args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
