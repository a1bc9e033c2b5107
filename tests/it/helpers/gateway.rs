//! The real binary under test, on ports of its own, with everything that it writes kept.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use hufu::sandbox::SandboxSettings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::servers::{Sandbox, http, sandbox};
use super::wait::{until, until_blocking};

/// The appid of the one app.
pub(crate) const APPID: &str = "wx0123456789abcdef";
/// Its secret, which must never be seen anywhere.
pub(crate) const APP_SECRET: &str = "app-secret-that-nobody-may-see";

/// A running gateway with its own WeChat; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    folder: TempDir,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) wechat: Arc<Sandbox>,
}

/// What a test wants to be different.
pub(crate) struct Setup {
    /// The store's URL.
    pub(crate) store: String,
    /// Further lines of configuration, top-level keys (dotted) and tables.
    pub(crate) config: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            store: "memory:".to_owned(),
            config: String::new(),
        }
    }
}

/// A route of the configuration, with an upstream of its own.
pub(crate) fn route(path: &str, upstream_url: &str, auth: &str) -> String {
    let name = format!(
        "u{}",
        path.bytes().map(|b| format!("{b:02x}")).collect::<String>()
    );
    format!(
        "\n[upstreams.{name}]\nendpoints = [\"{upstream_url}\"]\ntimeout = \"5s\"\n[[routes]]\npath = \"{path}\"\nupstream = \"{name}\"\nauth = \"{auth}\"\n"
    )
}

impl Gateway {
    /// A gateway with a memory store and these routes.
    pub(crate) fn start(routes: &str) -> Self {
        Self::with(&Setup {
            config: routes.to_owned(),
            ..Setup::default()
        })
    }

    /// A gateway whose access lines go into a pipe that nobody reads.
    pub(crate) fn with_blocked_stdout(config: &str) -> Self {
        Self::launch(
            &Setup {
                config: config.to_owned(),
                ..Setup::default()
            },
            Some(Stdio::piped()),
        )
    }

    /// A gateway as the setup says.
    pub(crate) fn with(setup: &Setup) -> Self {
        Self::launch(setup, None)
    }

    fn launch(setup: &Setup, stdout: Option<Stdio>) -> Self {
        let wechat = sandbox(SandboxSettings {
            accept_unknown_codes: true,
            logins_per_minute: 10_000,
            ..SandboxSettings::default()
        });
        let text = configuration(setup, &wechat.server.url);
        Self::run(&text, Arc::new(wechat), stdout, None)
    }

    /// Another process with the same file: the same store, keys and WeChat, on ports of its own.
    pub(crate) fn sibling(&self) -> Self {
        Self::run(&self.stored("hufu.toml"), self.wechat.clone(), None, None)
    }

    /// A process with another file and the same WeChat.
    pub(crate) fn successor(&self, setup: &Setup) -> Self {
        Self::run(
            &configuration(setup, &self.wechat.server.url),
            self.wechat.clone(),
            None,
            None,
        )
    }

    /// The same over another way to the store.
    pub(crate) fn sibling_over(&self, store: &str) -> Self {
        let text = self.stored("hufu.toml");
        let (_, rest) = text.split_once('\n').unwrap();
        Self::run(
            &format!("store.url = \"{store}\"\n{rest}"),
            self.wechat.clone(),
            None,
            None,
        )
    }

    /// A gateway that may open so many files and connections and no more.
    pub(crate) fn with_descriptors(setup: &Setup, limit: u32) -> Self {
        let wechat = sandbox(SandboxSettings::default());
        Self::run(
            &configuration(setup, &wechat.server.url),
            Arc::new(wechat),
            None,
            Some(limit),
        )
    }

    fn run(
        text: &str,
        wechat: Arc<Sandbox>,
        stdout: Option<Stdio>,
        descriptors: Option<u32>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("hufu.toml");
        std::fs::write(&config, text).unwrap();
        let file = |name: &str| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let limit = descriptors.map_or_else(String::new, |limit| format!("ulimit -n {limit}; "));
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
            .stdout(stdout.unwrap_or_else(|| file("stdout")))
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

    /// Logs a user in.
    pub(crate) async fn login(&self, user: &str) -> Value {
        let code = self.wechat.platform.login_code(APPID, user);
        let answer = self.login_with(json!({ "code": code })).await;
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// A token for a user.
    pub(crate) async fn token(&self, user: &str) -> String {
        self.login(user).await["token"].as_str().unwrap().to_owned()
    }

    /// Sends a login body.
    pub(crate) async fn login_with(&self, body: Value) -> reqwest::Response {
        http()
            .post(self.at("/auth/login"))
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    /// Writes a file beside the configuration.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Has another configuration read, and waits for the outcome, which is one of
    /// `hufu_reloads_total`.
    pub(crate) async fn reload(&self, config: &str, outcome: &str) {
        let setup = Setup {
            config: config.to_owned(),
            ..Setup::default()
        };
        self.write("hufu.toml", &configuration(&setup, &self.wechat.server.url));
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
        let ready: Value = http()
            .get(self.admin_at("/readyz"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
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

    /// The value of a counter on the metrics page.
    pub(crate) async fn counted(&self, series: &str) -> u64 {
        let page = http()
            .get(self.admin_at("/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
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

/// The text of a configuration.
pub(crate) fn configuration(setup: &Setup, wechat: &str) -> String {
    let keys = if setup.store == "memory:" || setup.config.contains("secrets.keys") {
        String::new()
    } else {
        let key = hufu::crypto::keyring::generate_key;
        format!(
            "secrets.keys = [\"{}\"]\nsecrets.naming_key = \"{}\"\n",
            key(),
            key()
        )
    };
    // Tests come from one address, and some log one user in again and again; those of the limits
    // set their own.
    let unlimited = "login.rate_limit = { per_ip = \"off\", per_user = \"off\" }\n";
    let limits = if setup.config.contains("login.rate_limit") {
        ""
    } else {
        unlimited
    };
    let listen = if setup.config.contains("server.listen") {
        ""
    } else {
        "server.listen = \"127.0.0.1:0\"\n"
    };
    format!(
        "store.url = \"{}\"\n{keys}{limits}{listen}admin.listen = \"127.0.0.1:0\"\nserver.workers = 2\nlog.format = \"json\"\n\
         apps.shop.appid = \"{APPID}\"\napps.shop.secret = \"{APP_SECRET}\"\napps.shop.base_url = \"{wechat}\"\n{}",
        setup.store, setup.config
    )
}
