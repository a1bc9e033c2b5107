//! `[store]`: where sessions live.

use std::path::PathBuf;
use std::time::Duration;

use super::parsers::duration;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::store::{RedisLogin, RedisServers, RedisUrl, ServerAddress, StoreUrl};

/// More replicas than anybody has.
const REPLICAS_MAX: u64 = 100;

/// Where sessions live, and the patience with it.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The store, with the login that stands apart from its URL.
    pub url: StoreUrl,
    /// The login at the sentinels.
    pub sentinel_login: RedisLogin,
    /// The files of TLS, for `rediss`.
    pub tls: StoreTlsFiles,
    /// How many replicas must have a revocation before it is answered.
    pub wait_replicas: u32,
    /// What every key begins with, without the colon behind it.
    pub key_prefix: String,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// The files of a TLS connection, which could be opened when the configuration was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreTlsFiles {
    /// The authority that signed the server's certificate; `None`: those of the operating system.
    pub ca: Option<PathBuf>,
    /// The gateway's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The store, and whether what it holds outlives this process (which can be known of many a broken
/// URL too).
pub(super) fn read(section: &mut Section<'_>) -> (StoreSettings, bool) {
    section.takes_restart();
    let text = section.discreet("url");
    let durable = !text.as_ref().is_some_and(|url| url.starts_with("memory"));
    let url = text.as_ref().and_then(|text| read_url(section, text));
    let shown = text.as_ref().map(|text| shown(text, url.as_ref()).into());
    section.note("url", shown);
    section.note_hidden("url", text.unwrap_or_default().as_bytes());
    let key_prefix = section.value("key_prefix", key_prefix);
    let login = read_login(section, "username", "password", "password_file");
    let sentinel_login = read_login(
        section,
        "sentinel_username",
        "sentinel_password",
        "sentinel_password_file",
    );
    let wait_replicas = section.number("wait_replicas", REPLICAS_MAX);
    let patience = duration(Duration::from_millis(1));
    let connect_timeout = section.value("connect_timeout", &patience);
    let timeout = section.value("timeout", &patience);
    let tls = section.section("tls", read_tls);
    let apart = Apart {
        login,
        sentinel_login: &sentinel_login,
        wait_replicas,
        tls: tls.as_ref(),
    };
    let url = url.map_or(StoreUrl::Memory, |url| joined(section, url, apart));
    (
        StoreSettings {
            url,
            sentinel_login,
            tls: tls.unwrap_or_default(),
            wait_replicas,
            key_prefix,
            connect_timeout,
            timeout,
        },
        durable,
    )
}

fn read_url(section: &Section<'_>, text: &str) -> Option<StoreUrl> {
    match StoreUrl::parse(text) {
        Ok(url) => Some(url),
        Err(wrong) => {
            section.problem("url", &wrong.what, &wrong.hint);
            None
        }
    }
}

fn read_login(
    section: &mut Section<'_>,
    username: &'static str,
    password: &'static str,
    password_file: &'static str,
) -> RedisLogin {
    let name = section.optional(username, |text| Ok(text.to_owned()));
    let secret = section.secret(password, password_file, "remove it if there is no password");
    RedisLogin {
        username: name,
        password: secret,
    }
}

/// The URL as `--print` shows it: rebuilt from what was understood, without the login.
fn shown(text: &str, url: Option<&StoreUrl>) -> String {
    let Some(url) = url else { return String::new() };
    let shown = url.to_string();
    if let StoreUrl::Redis(redis) = url
        && is_socket(redis)
    {
        return if redis.login == RedisLogin::default() {
            shown
        } else {
            format!("{shown}&[hidden]")
        };
    }
    if text.contains('@') {
        shown.replacen("://", "://[hidden]@", 1)
    } else {
        shown
    }
}

fn is_socket(redis: &RedisUrl) -> bool {
    matches!(
        redis.servers,
        RedisServers::One {
            at: ServerAddress::Socket(_),
            ..
        }
    )
}

fn key_prefix(text: &str) -> Result<String, Wrong> {
    let form =
        "write a short word of letters, digits, \"-\", \"_\", \".\" and \":\", as in \"hufu\"";
    let good = crate::store::KeyPrefix::new(text).is_ok() && !text.ends_with(':');
    if good {
        Ok(text.to_owned())
    } else {
        refuse("cannot begin the store's keys", form)
    }
}

fn read_tls(section: &mut Section<'_>) -> Option<StoreTlsFiles> {
    let ca = section.path("ca");
    let client = section.certificate_pair();
    let given = ["ca", "cert", "key"].iter().any(|key| section.has(key));
    given.then_some(StoreTlsFiles { ca, client })
}

/// What stands apart from the URL and says more about the same store.
struct Apart<'a> {
    login: RedisLogin,
    sentinel_login: &'a RedisLogin,
    wait_replicas: u32,
    tls: Option<&'a StoreTlsFiles>,
}

/// Joins what stands apart from the URL to it.
fn joined(section: &Section<'_>, url: StoreUrl, apart: Apart<'_>) -> StoreUrl {
    let nobody = RedisLogin::default();
    let StoreUrl::Redis(mut redis) = url else {
        if apart.login != nobody
            || *apart.sentinel_login != nobody
            || apart.wait_replicas > 0
            || apart.tls.is_some()
        {
            section.warn(
                "url",
                "the store is memory:, so logins, wait_replicas and tls have no effect",
                "",
            );
        }
        return StoreUrl::Memory;
    };
    let of_url = &redis.login;
    for (key, in_url, is_apart) in [
        (
            "username",
            of_url.username.is_some(),
            apart.login.username.is_some(),
        ),
        (
            "password",
            of_url.password.is_some(),
            apart.login.password.is_some(),
        ),
    ] {
        if in_url && is_apart {
            section.problem(
                key,
                &format!("is set, and the URL has a {key} too"),
                "keep one of the two",
            );
        }
    }
    if apart.tls.is_some() && is_socket(&redis) {
        section.problem("tls", "is set, and a Unix socket has no TLS", "remove it");
    } else if apart.tls.is_some() && !redis.tls {
        let (plain, encrypted) = schemes(&redis);
        section.problem(
            "tls",
            &format!("is set, and the URL says {plain}://, which is not encrypted"),
            &format!("write {encrypted}:// in store.url"),
        );
    }
    redis.login.username = redis.login.username.or(apart.login.username);
    redis.login.password = redis.login.password.or(apart.login.password);
    needs_password(
        section,
        &redis.login,
        "password",
        "password_file",
        "HUFU_REDIS_PASSWORD",
    );
    if matches!(redis.servers, RedisServers::Sentinel { .. }) {
        needs_password(
            section,
            apart.sentinel_login,
            "sentinel_password",
            "sentinel_password_file",
            "HUFU_SENTINEL_PASSWORD",
        );
    } else {
        for key in [
            "sentinel_username",
            "sentinel_password",
            "sentinel_password_file",
        ] {
            if section.has(key) {
                section.problem(
                    key,
                    "is set, and the URL names no sentinels",
                    "write \"redis+sentinel://HOST:26379,HOST:26379/MASTER/0\" in store.url",
                );
            }
        }
    }
    StoreUrl::Redis(redis)
}

fn schemes(redis: &RedisUrl) -> (&'static str, &'static str) {
    match redis.servers {
        RedisServers::One { .. } => ("redis", "rediss"),
        RedisServers::Sentinel { .. } => ("redis+sentinel", "rediss+sentinel"),
        RedisServers::Cluster { .. } => ("redis+cluster", "rediss+cluster"),
    }
}

fn needs_password(
    section: &Section<'_>,
    login: &RedisLogin,
    key: &str,
    file_key: &str,
    variable: &str,
) {
    if login.username.is_some()
        && login.password.is_none()
        && !section.has(key)
        && !section.has(file_key)
    {
        section.problem(
            key,
            "missing: there is a username",
            &format!("write {key} = \"${{{variable}}}\""),
        );
    }
}
