//! The simulator and the echo upstream on a port of their own, stopped and gone when the value is
//! dropped.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::{Server, ServerHandle};
use hufu::clock::{ManualClock, UnixMillis};
use hufu::sandbox::{Platform, SandboxSettings, echo};

/// A server on a thread of its own.
pub(crate) struct Running {
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
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

/// Starts an echo upstream.
pub(crate) fn echo_upstream() -> Running {
    Running::start(echo::serve)
}

/// The process's TLS provider, which clients need even for plain HTTP.
pub(crate) fn tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for tests.
pub(crate) fn http() -> reqwest::Client {
    tls_provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
