//! `[store]`: where sessions live.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Wrong;
use super::reader::Section;
use super::values::duration;
use crate::secret::Secret;
use crate::upstream::Endpoint;

/// Where sessions live, and the patience with it.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The store.
    pub backend: StoreBackend,
    /// What every key begins with, without the colon behind it.
    pub key_prefix: String,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// A kind of store.
#[derive(Debug, Clone)]
pub enum StoreBackend {
    /// In this process, and gone with it.
    Memory,
    /// One Redis server.
    Redis(RedisSettings),
}

/// How to reach a Redis server.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Its address.
    pub address: Endpoint,
    /// The number of its database.
    pub database: u32,
    /// The ACL user; `None`: the default one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret<String>>,
    /// TLS, for `rediss://`.
    pub tls: Option<RedisTls>,
}

/// The files of a TLS connection, which could be opened when the configuration was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The authority that signed the server's certificate; `None`: those of the operating system.
    pub ca: Option<PathBuf>,
    /// The gateway's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The store, and whether what it holds outlives this process (which can be known of many a broken URL too).
pub(super) fn read(section: &mut Section<'_>) -> (StoreSettings, bool) {
    let url = section.discreet("url");
    let durable = !url.as_ref().is_some_and(|url| url.starts_with("memory"));
    let backend = url.as_ref().and_then(|url| read_url(section, url));
    section.note("url", url.map(|url| shown(&url, backend.as_ref()).into()));
    let key_prefix = section.value("key_prefix", key_prefix);
    let username = section.optional("username", |text| Ok(text.to_owned()));
    let password = section.secret("password", "password_file", "remove it if the store has no password");
    let patience = duration(Duration::from_millis(1));
    let (connect_timeout, timeout) = (section.value("connect_timeout", &patience), section.value("timeout", &patience));
    let tls = section.section("tls", read_tls);
    let backend = backend.map_or(StoreBackend::Memory, |backend| with_login(section, backend, username, password, tls));
    (StoreSettings { backend, key_prefix, connect_timeout, timeout }, durable)
}

fn read_url(section: &Section<'_>, url: &str) -> Option<StoreBackend> {
    match parse_url(url) {
        Ok(backend) => Some(backend),
        Err(wrong) => {
            section.problem("url", &wrong.what, &wrong.hint);
            None
        }
    }
}

/// Reads a store's URL. What is wrong is said without a word of the URL: it may hold a password.
fn parse_url(url: &str) -> Result<StoreBackend, Wrong> {
    let form = "write \"redis://HOST:6379/0\", \"rediss://HOST:6379/0\" (TLS) or \"memory:\"";
    let (scheme, rest) = url.split_once(':').ok_or_else(|| Wrong::new("is not a store", form))?;
    match scheme {
        "memory" if rest.is_empty() => return Ok(StoreBackend::Memory),
        "memory" => return Err(Wrong::new("has something behind memory:", "write \"memory:\"")),
        "redis" | "rediss" => {}
        "redis+sentinel" | "redis+cluster" => return Err(Wrong::new(format!("{scheme}:// is not in this version"), form)),
        _ => return Err(Wrong::new("is not a store", form)),
    }
    let rest = rest.strip_prefix("//").ok_or_else(|| Wrong::new("has no // behind its scheme", form))?;
    if rest.contains(['?', '#']) {
        return Err(Wrong::new("has options behind a ? or #", "what a connection needs has keys of its own in [store]; escape a # of a password as %23"));
    }
    // The last @: passwords with an unescaped one are common, and hosts never have one.
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let (address, database) = place.split_once('/').unwrap_or((place, ""));
    let database = if database.is_empty() { Ok(0) } else { database.parse() };
    let database = database.map_err(|_| Wrong::new("has something other than a number as its database", form))?;
    let has_port = address.rsplit(']').next().is_some_and(|tail| tail.contains(':'));
    let address = if has_port { address.to_owned() } else { format!("{address}:6379") };
    let address = Endpoint::parse(&format!("http://{address}")).map_err(|_| Wrong::new("has no host and port that could be read", form))?;
    let (username, password) = login.map_or(Ok((None, None)), parse_login)?;
    let tls = (scheme == "rediss").then(RedisTls::default);
    Ok(StoreBackend::Redis(RedisSettings { address, database, username, password, tls }))
}

/// `USER:PASSWORD`, either of which may be missing.
type Login = (Option<String>, Option<Secret<String>>);

fn parse_login(login: &str) -> Result<Login, Wrong> {
    let decoded = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.map(std::borrow::Cow::into_owned).map_err(|_| Wrong::new("has a login that is not UTF-8", "write it into store.username and store.password"))
    };
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    let password = password.map(decoded).transpose()?.filter(|password| !password.is_empty());
    Ok((user, password.map(Secret::new)))
}

/// The URL as `--print` shows it: rebuilt from what was understood, without the login.
fn shown(url: &str, backend: Option<&StoreBackend>) -> String {
    match backend {
        Some(StoreBackend::Memory) => "memory:".to_owned(),
        Some(StoreBackend::Redis(redis)) => {
            let scheme = if redis.tls.is_some() { "rediss" } else { "redis" };
            let login = if url.contains('@') { "[hidden]@" } else { "" };
            format!("{scheme}://{login}{}/{}", redis.address, redis.database)
        }
        None => String::new(),
    }
}

fn key_prefix(text: &str) -> Result<String, Wrong> {
    let form = "write a short word of letters, digits, \"-\", \"_\", \".\" and \":\", as in \"hufu\"";
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let good = !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed) && !text.ends_with(':');
    if good { Ok(text.to_owned()) } else { Err(Wrong::new("cannot begin the store's keys", form)) }
}

fn read_tls(section: &mut Section<'_>) -> Option<RedisTls> {
    let (ca, cert, key) = (section.path("ca"), section.path("cert"), section.path("key"));
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if section.has(one) && !section.has(other) {
            section.problem(one, &format!("is set without {other}"), "a certificate and its key go together");
        }
    }
    let given = ["ca", "cert", "key"].iter().any(|key| section.has(key));
    given.then(|| RedisTls { ca, client: cert.zip(key) })
}

/// Joins what stands apart from the URL to it.
fn with_login(section: &Section<'_>, backend: StoreBackend, username: Option<String>, password: Option<Secret<String>>, tls: Option<RedisTls>) -> StoreBackend {
    let StoreBackend::Redis(mut redis) = backend else {
        if username.is_some() || password.is_some() || tls.is_some() {
            section.warn("url", "the store is memory:, so username, password and tls have no effect", "");
        }
        return StoreBackend::Memory;
    };
    for (key, twice) in [("username", redis.username.is_some() && username.is_some()), ("password", redis.password.is_some() && password.is_some())] {
        if twice {
            section.problem(key, &format!("is set, and the URL has a {key} too"), "keep one of the two");
        }
    }
    if tls.is_some() && redis.tls.is_none() {
        section.problem("tls", "is set, and the URL says redis://, which is not encrypted", "write rediss:// in store.url");
    }
    redis.username = redis.username.or(username);
    redis.password = redis.password.or(password);
    redis.tls = redis.tls.map(|none| tls.unwrap_or(none));
    if redis.username.is_some() && redis.password.is_none() && !section.has("password") && !section.has("password_file") {
        section.problem("password", "missing: there is a username", "write password = \"${HUFU_REDIS_PASSWORD}\"");
    }
    StoreBackend::Redis(redis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(url: &str) -> RedisSettings {
        match parse_url(url).unwrap() {
            StoreBackend::Redis(redis) => redis,
            StoreBackend::Memory => panic!("{url} is no Redis"),
        }
    }

    #[test]
    fn urls_are_read_as_redis_cli_reads_them() {
        let plain = redis("redis://127.0.0.1");
        assert_eq!((plain.address.to_string().as_str(), plain.database, plain.tls), ("127.0.0.1:6379", 0, None));
        assert_eq!(redis("redis://[::1]/3").address.to_string(), "[::1]:6379");
        let full = redis("rediss://us%40er:p%3Aa@s:s@redis.internal:6380/2");
        assert_eq!((full.username.as_deref(), full.database), (Some("us@er"), 2));
        assert_eq!(full.password, Some(Secret::new("p:a@s:s".to_owned())));
        assert_eq!((full.address.port, full.tls), (6380, Some(RedisTls::default())));
        assert_eq!(redis("redis://:tiger@h").username, None);
        assert!(matches!(parse_url("memory:"), Ok(StoreBackend::Memory)));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in [
            "",
            "tiger",
            "redis:tiger@h",
            "redis://u:tiger@",
            "redis://u:tiger@h:x",
            "redis://u:tiger@h/x",
            "redis://u:tiger@h/0?protocol=resp3",
            "redis+sentinel://u:tiger@h:1/m/0",
            "redis+cluster://u:tiger@h:1",
            "https://tiger@h",
            "memory:tiger",
            "redis://u:%ff@h/tiger",
        ] {
            let Err(wrong) = parse_url(url) else { panic!("{url} was read") };
            assert!(!wrong.what.contains("tiger") && !wrong.hint.contains("tiger"), "{url}: {}", wrong.what);
        }
    }
}
