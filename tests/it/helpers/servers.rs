//! The simulator and the echo upstream on a port of their own, stopped and gone when the value is
//! dropped.

use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::{Server, ServerHandle};
use hufu::clock::{ManualClock, SystemClock, UnixMillis};
use hufu::sandbox::{Platform, SandboxSettings, echo};
use tokio::net::TcpSocket;

use super::builder::route;
use super::wait::until_blocking;

/// A server on a thread of its own.
pub(crate) struct Running {
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// A route of the configuration to it.
    pub(crate) fn route(&self, path: &str, auth: &str) -> String {
        route(path, &self.url, auth)
    }

    /// Starts what `serve` makes of a free port.
    pub(crate) fn start(
        serve: impl FnOnce(TcpListener) -> io::Result<Server> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (started, waiting) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = serve(listener).unwrap();
                started.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self {
            url,
            handle: waiting.recv().unwrap(),
            thread: Some(thread),
        }
    }

    /// A path on it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command is sent when it is made; the thread ends when the server has stopped.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The simulator, its platform and its clock, which stands still.
pub(crate) struct Sandbox {
    pub(crate) server: Running,
    pub(crate) platform: Arc<Platform>,
    pub(crate) clock: ManualClock,
}

/// Starts a simulator.
pub(crate) fn sandbox(settings: SandboxSettings) -> Sandbox {
    let clock = ManualClock::at(UnixMillis(1_700_000_000_000));
    let platform = Platform::new(settings, Arc::new(clock.clone()));
    let shared = platform.clone();
    Sandbox {
        server: Running::start(move |listener| hufu::sandbox::serve(listener, shared)),
        platform,
        clock,
    }
}

/// The same on the time of this machine; its own clock shows nothing.
pub(crate) fn live_sandbox(settings: SandboxSettings) -> Sandbox {
    let platform = Platform::new(settings, Arc::new(SystemClock));
    let shared = platform.clone();
    Sandbox {
        server: Running::start(move |listener| hufu::sandbox::serve(listener, shared)),
        platform,
        clock: ManualClock::at(UnixMillis(0)),
    }
}

/// Starts an echo upstream.
pub(crate) fn echo_upstream() -> Running {
    Running::start(echo::serve)
}

/// The process's TLS provider, which clients need even for plain HTTP.
pub(crate) fn tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// `hufu echo` as a process; killed when dropped.
pub(crate) struct EchoProcess {
    child: Child,
    pub(crate) address: String,
}

impl EchoProcess {
    /// At an address; port 0 for a free one.
    pub(crate) fn start(address: &str) -> Self {
        // For a moment some client may have the port.
        until_blocking("an echo to listen", || Self::try_start(address))
    }

    fn try_start(address: &str) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hufu"))
            .args(["echo", "--listen", address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(address) = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split(". ").next())
        else {
            let _ = child.wait();
            return None;
        };
        Some(Self {
            child,
            address: address.to_owned(),
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for EchoProcess {
    /// SIGKILL: nobody is told.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address where every connection is refused: the port is taken, and nobody listens.
pub(crate) fn refusing() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}
