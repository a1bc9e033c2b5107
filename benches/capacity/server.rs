//! A Redis of the bench's own, and what it says about itself.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hufu::clock::monotonic_now;
use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};
use tempfile::TempDir;

/// How long a server may take to be ready, or to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long between two looks.
const STEP: Duration = Duration::from_millis(20);
/// So many looks that show the same are rest: half a second of Redis's own housekeeping.
const AT_REST: usize = 25;
/// How often a process's time is counted in a second.
const TICKS: f64 = 100.0;

/// A process that ends with its owner.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) port: u16,
}

impl Process {
    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start(command: &mut Command, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = Self {
            child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")),
            port,
        };
        let started = monotonic_now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "{command:?} does not listen");
            std::thread::sleep(STEP);
        }
        process
    }

    /// The processor time that it has used, in microseconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .expect("this measures on Linux");
        // Behind the name in parentheses: user time is the 12th field, system time the 13th.
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse().ok())
            .collect();
        fields.iter().sum::<f64>() / TICKS * 1e6
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
        .port()
}

/// An empty Redis, version 7 or later, that keeps nothing on disk.
pub(crate) struct Redis {
    pub(crate) process: Process,
    _folder: TempDir,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let (folder, port) = (
            tempfile::tempdir().expect("a folder can be made"),
            free_port(),
        );
        let mut command = Command::new("redis-server");
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--enable-debug-command",
                "local",
                "--dir",
            ])
            .arg(folder.path());
        Self {
            process: Process::start(&mut command, port),
            _folder: folder,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.process.port)
    }

    pub(crate) async fn connect(&self, resp3: bool) -> MultiplexedConnection {
        let url = if resp3 {
            format!("{}?protocol=resp3", self.url())
        } else {
            self.url()
        };
        Client::open(url)
            .expect("the URL is right")
            .get_multiplexed_async_connection()
            .await
            .expect("it answers")
    }

    pub(crate) async fn version(&self) -> String {
        format!("Redis {}", self.info("redis_version").await)
    }

    /// Memory in use, once nothing moves any more: tables that grow are copied bit by bit, and what
    /// clients needed goes back a little later.
    pub(crate) async fn memory(&self) -> f64 {
        let (started, mut first, mut alike) = (monotonic_now(), f64::NAN, 0);
        while alike < AT_REST {
            let now: f64 = self.info("used_memory").await.parse().expect("a number");
            let rests = (now - first).abs() < 4096.0 && !self.is_copying().await;
            (first, alike) = if rests { (first, alike + 1) } else { (now, 0) };
            assert!(
                started.elapsed() < PATIENCE,
                "the memory of Redis does not come to rest"
            );
            tokio::time::sleep(STEP).await;
        }
        first
    }

    /// Whether a table of keys or of expiries is on its way into a larger or smaller one.
    async fn is_copying(&self) -> bool {
        let stats: String = cmd("DEBUG")
            .arg("HTSTATS")
            .arg(0)
            .query_async(&mut self.connect(false).await)
            .await
            .expect("it answers");
        stats.contains("rehashing")
    }

    async fn info(&self, name: &str) -> String {
        let info: String = cmd("INFO")
            .query_async(&mut self.connect(false).await)
            .await
            .expect("it answers");
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("INFO has it").trim().to_owned()
    }
}
