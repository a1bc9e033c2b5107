//! What the configuration says about the store.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::secret::Secret;

/// Why the store's settings cannot be used, in the words of an operator; never with a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadStoreSettings {
    /// What is wrong and what to write instead.
    pub reason: String,
}

impl BadStoreSettings {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// The `[store]` section.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where the store is (`store.url`, with `store.username` and `store.password` in their places).
    pub url: StoreUrl,
    /// What every key begins with (`store.key_prefix`).
    pub key_prefix: KeyPrefix,
    /// How long a connection may take, TLS and login included (`store.connect_timeout`).
    pub connect_timeout: Duration,
    /// How long an answer may take (`store.timeout`).
    pub timeout: Duration,
    /// Certificates for `rediss://` (`store.tls`).
    pub tls: StoreTls,
}

impl StoreSettings {
    /// The defaults over a URL: prefix `hufu`, one second to connect, half a second for an answer: together with one
    /// repetition over a fresh connection, two seconds at most.
    #[must_use]
    pub fn new(url: StoreUrl) -> Self {
        Self { url, key_prefix: KeyPrefix::default(), connect_timeout: Duration::from_secs(1), timeout: Duration::from_millis(500), tls: StoreTls::default() }
    }
}

/// Certificates for `rediss://`, in PEM. Nothing set: the system's authorities, and no certificate of our own.
#[derive(Clone, Default)]
pub struct StoreTls {
    /// The authorities that may have signed the server's certificate, instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// The gateway's certificate, for servers that ask for one.
    pub cert: Option<Vec<u8>>,
    /// The certificate's key.
    pub key: Option<Secret<Vec<u8>>>,
}

impl fmt::Debug for StoreTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreTls").field("ca", &self.ca.is_some()).field("cert", &self.cert.is_some()).field("key", &self.key).finish()
    }
}

/// What every key begins with: letters, digits, `-`, `_`, `.` and `:`. Braces would move the cluster's hash tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Longest prefix: it is paid for in every key of every session.
    pub const MAX: usize = 32;

    /// Checks a prefix.
    pub fn new(text: &str) -> Result<Self, BadStoreSettings> {
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadStoreSettings::new(format!("a key prefix has 1 to {} letters, digits, `-`, `_`, `.` or `:`, such as `hufu`", Self::MAX)))
        }
    }

    /// The prefix, without the colon that follows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("hufu".to_owned())
    }
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`: in this process; gone when it ends.
    Memory,
    /// `redis://` or `rediss://`: one Redis server.
    Redis(RedisAddress),
}

/// One Redis server and who logs in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, 6379 unless told.
    pub port: u16,
    /// Whether the connection is encrypted (`rediss://`).
    pub tls: bool,
    /// The database number, 0 unless told.
    pub db: u32,
    /// The ACL user; without one the server's default user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret<String>>,
}

impl RedisAddress {
    const PORT: u16 = 6379;

    /// Host and port as in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

impl StoreUrl {
    /// Reads a store URL. The message of an error never holds what stands before the `@`.
    pub fn parse(text: &str) -> Result<Self, BadStoreSettings> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err(BadStoreSettings::new("the memory store is written `memory:`, with nothing after the colon")),
            Some(("redis", rest)) => address(rest, false).map(Self::Redis),
            Some(("rediss", rest)) => address(rest, true).map(Self::Redis),
            Some(("redis+sentinel" | "redis+cluster", _)) => Err(BadStoreSettings::new(
                "this version does not speak to Redis Sentinel or Redis Cluster yet; name one server: `redis://host:6379/0` (for Sentinel, the master)",
            )),
            _ => Err(BadStoreSettings::new("a store is `memory:`, `redis://host:6379/0` or `rediss://host:6379/0`")),
        }
    }
}

impl fmt::Display for StoreUrl {
    /// The URL without user and password, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Redis(at) => write!(f, "{}://{}/{}", if at.tls { "rediss" } else { "redis" }, at.authority(), at.db),
        }
    }
}

/// Reads `//[user[:password]@]host[:port][/db]`.
fn address(rest: &str, tls: bool) -> Result<RedisAddress, BadStoreSettings> {
    let rest = rest.strip_prefix("//").ok_or_else(|| BadStoreSettings::new("two slashes follow the colon: `redis://host:6379/0`"))?;
    if rest.contains(['?', '#']) {
        return Err(BadStoreSettings::new(
            "a store URL has no `?` and no `#`: options are keys of their own, and a password with such characters goes to `store.password`",
        ));
    }
    let (user_info, rest) = match rest.split_once('@') {
        Some((user_info, rest)) => (Some(user_info), rest),
        None => (None, rest),
    };
    if rest.contains('@') {
        return Err(BadStoreSettings::new("there are two `@` in the URL; a password that holds one goes to `store.password`"));
    }
    let (username, password) = user_info.map_or(Ok((None, None)), credentials)?;
    let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = host_and_port(authority)?;
    Ok(RedisAddress { host, port, tls, db: database(db)?, username, password })
}

fn credentials(text: &str) -> Result<(Option<String>, Option<Secret<String>>), BadStoreSettings> {
    let decoded = |part: &str| match percent_decode_str(part).decode_utf8() {
        Ok(text) => Ok((!text.is_empty()).then(|| text.into_owned())),
        Err(_) => Err(BadStoreSettings::new("user and password are percent-encoded UTF-8; or use `store.username` and `store.password`")),
    };
    let (username, password) = text.split_once(':').unwrap_or((text, ""));
    Ok((decoded(username)?, decoded(password)?.map(Secret::new)))
}

fn host_and_port(text: &str) -> Result<(String, u16), BadStoreSettings> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(bad_host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| bad_host())?;
            (host, after)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, after) = text.split_at(end);
            if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
                return Err(bad_host());
            }
            (host, after)
        }
    };
    Ok((host.to_owned(), port_after(port)?))
}

fn bad_host() -> BadStoreSettings {
    BadStoreSettings::new("the host is a name, an IPv4 address or an IPv6 address in brackets, then perhaps `:port`")
}

fn port_after(text: &str) -> Result<u16, BadStoreSettings> {
    if text.is_empty() {
        return Ok(RedisAddress::PORT);
    }
    let number = text.strip_prefix(':').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|digits| digits.parse().ok()) {
        Some(port) if port > 0 => Ok(port),
        _ => Err(BadStoreSettings::new("the port is a number from 1 to 65535")),
    }
}

fn database(text: &str) -> Result<u32, BadStoreSettings> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = Some(text).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    number.and_then(|digits| digits.parse().ok()).ok_or_else(|| BadStoreSettings::new("what follows the host is the number of the database, such as `/0`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(url: &str) -> RedisAddress {
        match StoreUrl::parse(url).unwrap() {
            StoreUrl::Redis(address) => address,
            StoreUrl::Memory => panic!("{url}"),
        }
    }

    fn plain(host: &str, port: u16, tls: bool, db: u32) -> RedisAddress {
        RedisAddress { host: host.to_owned(), port, tls, db, username: None, password: None }
    }

    #[test]
    fn urls_are_read() {
        assert_eq!(StoreUrl::parse("memory:").unwrap(), StoreUrl::Memory);
        assert_eq!(redis("redis://127.0.0.1"), plain("127.0.0.1", 6379, false, 0));
        assert_eq!(redis("redis://cache.example:7000/3"), plain("cache.example", 7000, false, 3));
        assert_eq!(redis("rediss://r-1_a.example:6380/"), plain("r-1_a.example", 6380, true, 0));
        assert_eq!(redis("redis://[::1]:1/0"), plain("::1", 1, false, 0));
        assert_eq!(redis("redis://[::1]").authority(), "[::1]:6379");
        let with_user = redis("redis://hufu:p%40ss%2Fword@h:1");
        assert_eq!(with_user.username.as_deref(), Some("hufu"));
        assert_eq!(with_user.password, Some(Secret::new("p@ss/word".to_owned())));
        let password_only = redis("redis://:tiger@h");
        assert_eq!((password_only.username, password_only.password), (None, Some(Secret::new("tiger".to_owned()))));
        assert_eq!(redis("redis://hufu@h").password, None);
    }

    #[test]
    fn wrong_urls_are_refused_without_showing_the_password() {
        let wrong = [
            "",
            "memory",
            "memory://",
            "localhost:6379",
            "http://tiger@h",
            "redis:h",
            "redis:/tiger@h",
            "redis://",
            "redis://tiger@",
            "redis://h:0",
            "redis://h:65536",
            "redis://h:+1",
            "redis://h:",
            "redis://h/x",
            "redis://h/-1",
            "redis://h/0/1",
            "redis://h/0?a=tiger",
            "redis://:tiger#@h",
            "redis://:tig@er@h",
            "redis://:tiger%ff@h",
            "redis://[::1",
            "redis://[tiger]",
            "redis://[::1]x",
            "redis://::1",
            "redis://h h",
            "redis+sentinel://:tiger@h:1/m/0",
            "redis+cluster://:tiger@h:1",
            "rediss+cluster://:tiger@h",
        ];
        for url in wrong {
            let error = StoreUrl::parse(url).expect_err(url);
            assert!(!format!("{error} {error:?}").contains("tiger"), "{url}: {error}");
        }
        assert!(StoreUrl::parse("redis+cluster://h:1").unwrap_err().reason.contains("does not speak"));
    }

    #[test]
    fn nothing_prints_a_password() {
        let mut settings = StoreSettings::new(StoreUrl::parse("rediss://hufu:tiger@h:1/2").unwrap());
        settings.tls.key = Some(Secret::new(b"tiger".to_vec()));
        assert!(!format!("{settings:?} {}", settings.url).contains("tiger"));
        assert_eq!(settings.url.to_string(), "rediss://h:1/2");
    }

    #[test]
    fn a_prefix_cannot_move_the_hash_tag() {
        assert_eq!(KeyPrefix::new("hufu:eu-1").unwrap().as_str(), "hufu:eu-1");
        for wrong in ["", "a b", "{a}", "a*", "a\n", "ü", &"a".repeat(33)] {
            assert!(KeyPrefix::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
