//! A gateway in named steps: a test says what is to be different, everything else stands here.

use std::process::Stdio;
use std::sync::Arc;

use hufu::crypto::keyring::generate_key;
use hufu::sandbox::SandboxSettings;

use super::gateway::Gateway;
use super::servers::{Sandbox, sandbox};
use super::upstream::Upstream;

/// The appid of the one app.
pub(crate) const APPID: &str = "wx0123456789abcdef";
/// Its secret, which must never be seen anywhere.
pub(crate) const APP_SECRET: &str = "app-secret-that-nobody-may-see";

/// The product's own times for a store that may not answer at all. Without these lines a gateway of
/// a test has [`PATIENCE`].
pub(crate) const HASTY: &str = "store.connect_timeout = \"1s\"\nstore.timeout = \"500ms\"\n";
/// For sentinels and clusters: longer than a machine stands still, and not as long as one may wait for
/// a master that has none of its own.
pub(crate) const STEADY: &str = "store.connect_timeout = \"5s\"\nstore.timeout = \"5s\"\n";
/// How long a Redis that a test lets live may take: a busy machine stalls it for a second or two.
const PATIENCE: [(&str, &str); 2] = [
    ("store.connect_timeout", "store.connect_timeout = \"10s\"\n"),
    ("store.timeout", "store.timeout = \"10s\"\n"),
];

/// A memory store and no routes, until it is told otherwise.
#[derive(Clone, Default)]
pub(crate) struct GatewayBuilder {
    store: Option<String>,
    config: String,
    pub(super) descriptors: Option<u32>,
    pub(super) has_blocked_stdout: bool,
}

impl GatewayBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The store's URL.
    pub(crate) fn store(mut self, url: impl Into<String>) -> Self {
        self.store = Some(url.into());
        self
    }

    /// Further lines of configuration: top-level keys (dotted), then tables.
    pub(crate) fn config(mut self, lines: impl AsRef<str>) -> Self {
        self.config.push_str(lines.as_ref());
        self
    }

    /// It may open so many files and connections and no more.
    pub(crate) fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Its access lines go into a pipe that nobody reads.
    pub(crate) fn blocked_stdout(mut self) -> Self {
        self.has_blocked_stdout = true;
        self
    }

    pub(super) fn stdout(&self) -> Option<Stdio> {
        self.has_blocked_stdout.then(Stdio::piped)
    }

    /// The gateway, with a WeChat of its own.
    pub(crate) fn start(&self) -> Gateway {
        self.start_with(Arc::new(sandbox(SandboxSettings {
            accept_unknown_codes: true,
            logins_per_minute: 10_000,
            ..SandboxSettings::default()
        })))
    }

    /// The gateway, with this WeChat.
    pub(crate) fn start_with(&self, wechat: Arc<Sandbox>) -> Gateway {
        Gateway::run(&self.text(&wechat.server.url), wechat, self)
    }

    /// The text of its configuration, where WeChat is at this URL.
    pub(crate) fn text(&self, wechat: &str) -> String {
        let store = self.store.as_deref().unwrap_or("memory:");
        let mut lines = format!(
            "store.url = \"{store}\"\nadmin.listen = \"127.0.0.1:0\"\nserver.workers = 2\nlog.format = \"json\"\n\
             apps.shop.appid = \"{APPID}\"\napps.shop.secret = \"{APP_SECRET}\"\napps.shop.base_url = \"{wechat}\"\n"
        );
        let mut unless_set = |key: &str, line: &str| {
            if !self.config.contains(key) {
                lines.push_str(line);
            }
        };
        if store != "memory:" {
            let keys = format!(
                "secrets.keys = [\"{}\"]\nsecrets.naming_key = \"{}\"\n",
                generate_key(),
                generate_key()
            );
            unless_set("secrets.keys", &keys);
        }
        // Sentinels and clusters wait so long for another master.
        if ["redis:", "rediss:", "redis+unix:"]
            .iter()
            .any(|kind| store.starts_with(kind))
        {
            for (key, line) in PATIENCE {
                unless_set(key, line);
            }
        }
        // A code comes again later than it should where the machine stalls.
        unless_set("login.replay_window", "login.replay_window = \"5m\"\n");
        // Tests come from one address, and some log one user in again and again; those of the
        // limits set their own.
        let unlimited = "login.rate_limit = { per_ip = \"off\", per_user = \"off\" }\n";
        unless_set("login.rate_limit", unlimited);
        unless_set("server.listen", "server.listen = \"127.0.0.1:0\"\n");
        lines + &self.config
    }
}

/// How long a connection to a backend may take, with its handshake: the test's process has both the
/// backend and what keeps it busy.
const CONNECT: &str = "connect_timeout = \"30s\"\n";

/// A route of the configuration, with an upstream of its own.
pub(crate) fn route(path: &str, upstream_url: &str, auth: &str) -> String {
    let name = format!(
        "u{}",
        path.bytes().map(|b| format!("{b:02x}")).collect::<String>()
    );
    format!(
        "\n[upstreams.{name}]\nendpoints = [\"{upstream_url}\"]\ntimeout = \"5s\"\n{CONNECT}[[routes]]\npath = \"{path}\"\nupstream = \"{name}\"\nauth = \"{auth}\"\n"
    )
}

/// An upstream of several backends, with a route to it. `settings` are further lines of its table.
pub(crate) fn upstream(backends: &[&Upstream], auth: &str, settings: &str) -> String {
    let urls: Vec<_> = backends.iter().map(|one| one.url.as_str()).collect();
    upstream_of(&urls, auth, settings)
}

/// The same of URLs.
pub(crate) fn upstream_of(urls: &[&str], auth: &str, settings: &str) -> String {
    let timeout = if settings.contains("timeout = ") {
        ""
    } else {
        "timeout = \"10s\"\n"
    };
    let connect = if settings.contains("connect_timeout") {
        ""
    } else {
        CONNECT
    };
    format!(
        "\n[[routes]]\npath = \"/\"\nupstream = \"many\"\nauth = \"{auth}\"\n[upstreams.many]\nendpoints = {urls:?}\n{connect}{timeout}{settings}\n"
    )
}
