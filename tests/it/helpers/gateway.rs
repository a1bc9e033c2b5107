//! The real binary under test, on ports of its own, with everything that it writes kept.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::builder::{APPID, GatewayBuilder};
use super::client::{HttpAnswer, Request, http};
use super::message::Answer;
use super::probe::{self, Probe};
use super::servers::Sandbox;
use super::wait::{until, until_blocking};

/// A running gateway with its own WeChat; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    folder: TempDir,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) wechat: Arc<Sandbox>,
}

impl Gateway {
    /// A gateway with a memory store and these lines of configuration.
    pub(crate) fn start(config: &str) -> Self {
        GatewayBuilder::new().config(config).start()
    }

    /// The same with this store.
    pub(crate) fn on(store: &str, config: &str) -> Self {
        GatewayBuilder::new().store(store).config(config).start()
    }

    /// Another process with the same file: the same store, keys and WeChat, on ports of its own.
    pub(crate) fn sibling(&self) -> Self {
        self.with_file(&self.stored("hufu.toml"))
    }

    /// The same over another way to the store.
    pub(crate) fn sibling_over(&self, store: &str) -> Self {
        let text = self.stored("hufu.toml");
        let (_, rest) = text.split_once('\n').unwrap();
        self.with_file(&format!("store.url = \"{store}\"\n{rest}"))
    }

    fn with_file(&self, text: &str) -> Self {
        Self::run(text, self.wechat.clone(), &GatewayBuilder::new())
    }

    /// A process with another file and the same WeChat.
    pub(crate) fn successor(&self, other: &GatewayBuilder) -> Self {
        other.start_with(self.wechat.clone())
    }

    pub(super) fn run(text: &str, wechat: Arc<Sandbox>, built: &GatewayBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("hufu.toml");
        std::fs::write(&config, text).unwrap();
        let file = |name: &str| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let limit = built
            .descriptors
            .map_or_else(String::new, |limit| format!("ulimit -n {limit}; "));
        let child = Command::new("sh")
            .args([
                "-c",
                &format!("{limit}exec \"$0\" \"$@\""),
                env!("CARGO_BIN_EXE_hufu"),
                "serve",
                "--config",
            ])
            .arg(&config)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(built.stdout().unwrap_or_else(|| file("stdout")))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let mut gateway = Self {
            child,
            folder,
            listen: "0.0.0.0:0".parse().unwrap(),
            admin: "0.0.0.0:0".parse().unwrap(),
            wechat,
        };
        (gateway.listen, gateway.admin) = gateway.addresses();
        gateway
    }

    fn addresses(&mut self) -> (SocketAddr, SocketAddr) {
        until_blocking("the gateway to listen", || {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "the gateway ended: {}",
                self.stderr()
            );
            let log = self.stderr();
            let line = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find(|line| line["listen"].is_string())?;
            // A Unix socket has no address.
            let listen = line["listen"]
                .as_str()?
                .parse()
                .unwrap_or_else(|_| "0.0.0.0:0".parse().unwrap());
            Some((listen, line["admin"].as_str()?.parse().ok()?))
        })
    }

    /// Where it answers backends that call the platform.
    pub(crate) fn platform_api(&self) -> SocketAddr {
        until_blocking("the listener for backends", || {
            let log = self.stderr();
            log.lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find_map(|line| line["platform_api"].as_str()?.parse().ok())
        })
    }

    /// A request to the public listener.
    pub(crate) fn get(&self, path: &str) -> Request {
        http().get(self.at(path))
    }

    pub(crate) fn post(&self, path: &str) -> Request {
        http().post(self.at(path))
    }

    pub(crate) fn put(&self, path: &str) -> Request {
        http().put(self.at(path))
    }

    /// A request to the admin listener.
    pub(crate) fn admin_get(&self, path: &str) -> Request {
        http().get(self.admin_at(path))
    }

    /// What the public listener answers to these bytes.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        probe::send(self.listen, bytes).await
    }

    /// A connection to the public listener.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listen).await.unwrap()
    }

    /// The same, read strictly.
    pub(crate) async fn probe(&self) -> Probe {
        Probe::connect(self.listen).await
    }

    /// A client that has sent the beginning of this request with this token.
    pub(crate) async fn asking(&self, request: &str, token: &str, rest: &str) -> Probe {
        let mut client = self.probe().await;
        client
            .send(format!(
                "{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{rest}"
            ))
            .await;
        client
    }

    /// A URL on the public listener.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// A URL on the admin listener.
    pub(crate) fn admin_at(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// What it has logged.
    pub(crate) fn stderr(&self) -> String {
        self.stored("stderr")
    }

    /// Its access lines.
    pub(crate) fn stdout(&self) -> String {
        self.stored("stdout")
    }

    /// A file of its folder.
    pub(crate) fn stored(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The first access line that a test looks for, once it is written.
    pub(crate) fn access_line(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        until_blocking(what, || {
            self.stdout()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(|line| matches(line))
        })
    }

    /// A code for a login of this user.
    pub(crate) fn code(&self, user: &str) -> String {
        self.wechat.platform.login_code(APPID, user)
    }

    /// Logs a user in.
    pub(crate) async fn login(&self, user: &str) -> Value {
        let answer = self.login_with(json!({ "code": self.code(user) })).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// A token for a user.
    pub(crate) async fn token(&self, user: &str) -> String {
        self.login(user).await["token"].as_str().unwrap().to_owned()
    }

    /// Sends a login body.
    pub(crate) async fn login_with(&self, body: Value) -> HttpAnswer {
        self.post("/auth/login").json(&body).await
    }

    /// Has WeChat answer otherwise than it would: an order to the sandbox.
    pub(crate) async fn fault(&self, order: Value) {
        let url = self.wechat.server.at("/sandbox/faults");
        let ordered = http().post(url).json(&order).await;
        assert!(ordered.is_success(), "{ordered:?}");
    }

    /// Waits until it has logged this.
    pub(crate) async fn logs(&self, text: &str) {
        until(&format!("{text:?} in the log"), async || {
            self.stderr().contains(text)
        })
        .await;
    }

    /// The same, where nothing of the test's own has to go on meanwhile.
    pub(crate) fn assert_logged(&self, text: &str) {
        until_blocking(&format!("{text:?} in the log"), || {
            self.stderr().contains(text)
        });
    }

    #[track_caller]
    pub(crate) fn assert_not_logged(&self, text: &str) {
        let log = self.stderr();
        assert!(!log.contains(text), "{text:?} is in {log}");
    }

    /// Waits until a counter has this value.
    pub(crate) async fn counts(&self, series: &str, value: u64) {
        let what = format!("{series} to be {value}");
        until(&what, async || self.counted(series).await == value).await;
    }

    /// Ends the session of a token.
    pub(crate) async fn sign_out(&self, token: &str) {
        let answer = self.post("/auth/logout").bearer_auth(token).await;
        assert_eq!(answer.status(), 204, "{}", answer.text());
    }

    /// Writes a file beside the configuration.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Has another configuration read, and waits for the outcome, which is one of
    /// `hufu_reloads_total`.
    pub(crate) async fn reload(&self, config: &str, outcome: &str) {
        let built = GatewayBuilder::new().config(config);
        self.write("hufu.toml", &built.text(&self.wechat.server.url));
        self.reload_as_it_is(outcome).await;
    }

    /// The same with the file as it is.
    pub(crate) async fn reload_as_it_is(&self, outcome: &str) {
        let all = async || {
            (
                self.counted("hufu_reloads_total{outcome=\"applied\"}")
                    .await,
                self.counted("hufu_reloads_total{outcome=\"refused\"}")
                    .await,
            )
        };
        let before = all().await;
        self.signal(Signal::SIGHUP);
        let after = until("the configuration to be read again", async || {
            Some(all().await).filter(|after| *after != before)
        })
        .await;
        let expected = if outcome == "applied" {
            (before.0 + 1, before.1)
        } else {
            (before.0, before.1 + 1)
        };
        assert_eq!(after, expected, "{}", self.stderr());
    }

    /// How readiness says that a part is.
    pub(crate) async fn part(&self, name: &str) -> Value {
        let ready = self.admin_get("/readyz").await.json();
        ready["parts"][name].clone()
    }

    /// How readiness says that the store is, and why.
    pub(crate) async fn store_state(&self) -> (String, String) {
        let store = self.part("store").await;
        (
            store["state"].as_str().unwrap().to_owned(),
            store["reason"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// The value of a counter on the metrics page; 0 before it has counted anything.
    pub(crate) async fn counted(&self, series: &str) -> u64 {
        let name = series.split('{').next().unwrap_or_default();
        let family = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        let known = hufu::metrics::Metrics::new().names();
        assert!(
            known.iter().any(|metric| metric == family),
            "no metric is called {family}"
        );
        let page = self.admin_get("/metrics").await.text();
        page.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Memory that the process has in use, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap_or_default();
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0)
    }

    /// Connections that the process has open, its listeners among them.
    pub(crate) fn sockets(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let what =
            |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
        open.filter_map(what)
            .filter(|what| what.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Processor time that the process has used, in hundredths of a second.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        fields[11..13]
            .iter()
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum()
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Waits for the process to end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until_blocking("the gateway to end", || self.child.try_wait().unwrap())
    }

    /// Whether the process still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Whatever a test does to it.
        assert!(
            std::thread::panicking() || !self.stderr().contains("panic at"),
            "{}",
            self.stderr()
        );
    }
}
