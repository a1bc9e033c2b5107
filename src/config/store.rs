//! `[store]`: where sessions live.

use std::path::PathBuf;
use std::time::Duration;

use super::parsers::duration;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::store::{
    KeyPrefix, RedisLogin, RedisServers, RedisUrl, ServerAddress, StoreSettings, StoreUrl,
};

/// More replicas than anybody has.
const REPLICAS_MAX: u64 = 100;

/// The files of a TLS connection, which could be opened when the configuration was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreTlsFiles {
    /// The authority that signed the server's certificate; `None`: those of the operating system.
    pub ca: Option<PathBuf>,
    /// The gateway's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

struct LoginKeys {
    username: &'static str,
    password: &'static str,
    password_file: &'static str,
    /// The environment variable that messages propose for the password.
    variable: &'static str,
}

const STORE_LOGIN: LoginKeys = LoginKeys {
    username: "username",
    password: "password",
    password_file: "password_file",
    variable: "HUFU_REDIS_PASSWORD",
};
const SENTINEL_LOGIN: LoginKeys = LoginKeys {
    username: "sentinel_username",
    password: "sentinel_password",
    password_file: "sentinel_password_file",
    variable: "HUFU_SENTINEL_PASSWORD",
};

/// The store, without what its TLS files hold and without a near cache; the files; and whether
/// what it holds outlives this process, which can be known of many a broken URL too.
pub(super) fn read(section: &mut Section<'_>) -> (StoreSettings, StoreTlsFiles, bool) {
    section.takes_restart();
    let text = section.discreet("url");
    let durable = !text.as_ref().is_some_and(|url| url.starts_with("memory"));
    let url = text.as_ref().and_then(|text| read_url(section, text));
    if let Some(StoreUrl::Redis(redis)) = &url
        && let Some(password) = &redis.login.password
    {
        section.place_secret("url", password);
    }
    let shown = text.as_ref().map(|text| shown(text, url.as_ref()).into());
    section.note("url", shown);
    section.note_hidden("url", text.unwrap_or_default().as_bytes());
    let key_prefix = section.value("key_prefix", key_prefix);
    let login = read_login(section, &STORE_LOGIN);
    let sentinel_login = read_login(section, &SENTINEL_LOGIN);
    let wait_replicas = section.number("wait_replicas", REPLICAS_MAX);
    let patience = duration(Duration::from_millis(1));
    let mut settings = StoreSettings {
        key_prefix,
        sentinel_login,
        wait_replicas,
        connect_timeout: section.value("connect_timeout", &patience),
        timeout: section.value("timeout", &patience),
        ..StoreSettings::new(StoreUrl::Memory)
    };
    let tls = section.section("tls", read_tls);
    match url {
        Some(StoreUrl::Redis(redis)) => {
            let redis = joined(
                section,
                redis,
                login,
                &settings.sentinel_login,
                tls.is_some(),
            );
            settings.url = StoreUrl::Redis(redis);
        }
        Some(StoreUrl::Memory) if has_more(&login, &settings, tls.is_some()) => section.warn(
            "url",
            "the store is memory:, so logins, wait_replicas and tls have no effect",
            "",
        ),
        Some(StoreUrl::Memory) | None => {}
    }
    (settings, tls.unwrap_or_default(), durable)
}

fn read_url(section: &Section<'_>, text: &str) -> Option<StoreUrl> {
    StoreUrl::parse(text)
        .map_err(|wrong| section.problem("url", &wrong.what, &wrong.hint))
        .ok()
}

fn read_login(section: &mut Section<'_>, keys: &LoginKeys) -> RedisLogin {
    let hint = "remove it if there is no password";
    RedisLogin {
        username: section.optional(keys.username, |text| Ok(text.to_owned())),
        password: section.secret(keys.password, keys.password_file, hint),
    }
}

/// The URL as `--print` shows it: rebuilt from what was understood, without the login.
fn shown(text: &str, url: Option<&StoreUrl>) -> String {
    let Some(url) = url else { return String::new() };
    let shown = url.to_string();
    match url {
        StoreUrl::Redis(redis) if is_socket(redis) && redis.login == RedisLogin::default() => shown,
        StoreUrl::Redis(redis) if is_socket(redis) => format!("{shown}&[hidden]"),
        _ if text.contains('@') => shown.replacen("://", "://[hidden]@", 1),
        _ => shown,
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

fn key_prefix(text: &str) -> Result<KeyPrefix, Wrong> {
    match KeyPrefix::new(text) {
        Ok(prefix) if !text.ends_with(':') => Ok(prefix),
        _ => refuse(
            "cannot begin the store's keys",
            "write a short word of letters, digits, \"-\", \"_\", \".\" and \":\", as in \"hufu\"",
        ),
    }
}

fn read_tls(section: &mut Section<'_>) -> Option<StoreTlsFiles> {
    let ca = section.path("ca");
    let client = section.certificate_pair();
    let given = ["ca", "cert", "key"].iter().any(|key| section.has(key));
    given.then_some(StoreTlsFiles { ca, client })
}

/// Whether something is set that only a Redis has.
fn has_more(login: &RedisLogin, settings: &StoreSettings, has_tls: bool) -> bool {
    let nobody = RedisLogin::default();
    *login != nobody || settings.sentinel_login != nobody || settings.wait_replicas > 0 || has_tls
}

/// Joins what stands apart from the URL to it.
fn joined(
    section: &Section<'_>,
    mut redis: RedisUrl,
    login: RedisLogin,
    sentinel_login: &RedisLogin,
    has_tls: bool,
) -> RedisUrl {
    let of_url = &redis.login;
    for (key, in_both) in [
        (
            "username",
            of_url.username.is_some() && login.username.is_some(),
        ),
        (
            "password",
            of_url.password.is_some() && login.password.is_some(),
        ),
    ] {
        if in_both {
            section.problem(
                key,
                &format!("is set, and the URL has a {key} too"),
                "keep one of the two",
            );
        }
    }
    if has_tls {
        check_tls(section, &redis);
    }
    redis.login.username = redis.login.username.or(login.username);
    redis.login.password = redis.login.password.or(login.password);
    needs_password(section, &redis.login, &STORE_LOGIN);
    if matches!(redis.servers, RedisServers::Sentinel { .. }) {
        needs_password(section, sentinel_login, &SENTINEL_LOGIN);
    } else {
        refuse_sentinel_login(section);
    }
    redis
}

fn check_tls(section: &Section<'_>, redis: &RedisUrl) {
    if is_socket(redis) {
        section.problem("tls", "is set, and a Unix socket has no TLS", "remove it");
    } else if !redis.tls {
        let kind = match redis.servers {
            RedisServers::One { .. } => "",
            RedisServers::Sentinel { .. } => "+sentinel",
            RedisServers::Cluster { .. } => "+cluster",
        };
        section.problem(
            "tls",
            &format!("is set, and the URL says redis{kind}://, which is not encrypted"),
            &format!("write rediss{kind}:// in store.url"),
        );
    }
}

fn refuse_sentinel_login(section: &Section<'_>) {
    let LoginKeys {
        username,
        password,
        password_file,
        ..
    } = SENTINEL_LOGIN;
    for key in [username, password, password_file] {
        if section.has(key) {
            section.problem(
                key,
                "is set, and the URL names no sentinels",
                "write \"redis+sentinel://HOST:26379,HOST:26379/MASTER/0\" in store.url",
            );
        }
    }
}

fn needs_password(section: &Section<'_>, login: &RedisLogin, keys: &LoginKeys) {
    let LoginKeys {
        password,
        password_file,
        variable,
        ..
    } = *keys;
    if login.username.is_some()
        && login.password.is_none()
        && !section.has(password)
        && !section.has(password_file)
    {
        section.problem(
            password,
            "missing: there is a username",
            &format!("write {password} = \"${{{variable}}}\""),
        );
    }
}
