//! The store's URL: which servers, found how, with which login.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::redis_client::{NodeAddress, RedisLogin, RedisServers, RedisUrl, ServerAddress};
use crate::secret::Secret;

/// Why a text is no store, in the words of an operator; never with a word of the text, which may
/// hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store's URL {what}: {hint}")]
pub struct BadStoreUrl {
    /// What is wrong, as it follows "the URL": `names no host`.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

fn bad<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T, BadStoreUrl> {
    Err(BadStoreUrl {
        what: what.into(),
        hint: hint.into(),
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`: in this process; gone when it ends.
    Memory,
    /// Every other URL: in Redis.
    Redis(RedisUrl),
}

const ANY: &str = "write \"redis://HOST:6379/0\", \"redis+sentinel://HOST:26379,HOST:26379/MASTER/0\", \"redis+cluster://HOST:6379,HOST:6379\" (all of them with \
     rediss for TLS), \"redis+unix:///run/redis/redis.sock?db=0\" or \"memory:\"";
const ONE: &str = "write \"redis://HOST:6379/0\", or \"rediss://HOST:6379/0\" for TLS";
const SOCKET: &str = "write \"redis+unix:///run/redis/redis.sock?db=0\" with the absolute path of the socket; a login belongs into store.username and store.password";
const SENTINEL: &str = "write \"redis+sentinel://HOST:26379,HOST:26379/MASTER/0\" with the addresses of the sentinels and the name that they give the master";
const CLUSTER: &str =
    "write \"redis+cluster://HOST:6379,HOST:6379\" with some of the cluster's nodes";

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// The longest path that the address of a socket holds, in bytes; the last of 108 ends it.
const SOCKET_PATH: usize = 107;

impl StoreUrl {
    /// Reads a store's URL.
    pub fn parse(text: &str) -> Result<Self, BadStoreUrl> {
        let (scheme, rest) = text
            .split_once(':')
            .map_or_else(|| bad("is not a store URL", ANY), Ok)?;
        let read: fn(&str) -> Result<RedisServers, BadStoreUrl> = match scheme {
            "memory" if rest.is_empty() => return Ok(Self::Memory),
            "memory" => {
                return bad("has text after memory:", "write \"memory:\"");
            }
            "redis+unix" => return socket(rest).map(Self::Redis),
            "rediss+unix" => {
                return bad("asks for TLS, which a Unix socket does not have", SOCKET);
            }
            "redis" | "rediss" => one,
            "redis+sentinel" | "rediss+sentinel" => sentinel,
            "redis+cluster" | "rediss+cluster" => cluster,
            _ => return bad("is not a store URL", ANY),
        };
        let rest = rest
            .strip_prefix("//")
            .map_or_else(|| bad("has no // behind its scheme", ANY), Ok)?;
        if rest.contains(['?', '#']) {
            let hint =
                "write connection options as keys of [store]; escape a # of a password as %23";
            return bad("has options behind a ? or #", hint);
        }
        // The last @: passwords with an unescaped one are common, and hosts never have one.
        let (user_info, place) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(user_info, place)| (Some(user_info), place));
        let servers = read(place)?;
        let login = user_info.map_or_else(|| Ok(RedisLogin::default()), login)?;
        Ok(Self::Redis(RedisUrl {
            servers,
            tls: scheme.starts_with("rediss"),
            login,
        }))
    }
}

impl fmt::Display for StoreUrl {
    /// The URL without user and password, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Redis(redis) => redis.fmt(f),
        }
    }
}

/// `host[:port][/db]`.
fn one(place: &str) -> Result<RedisServers, BadStoreUrl> {
    let (authority, db) = place.split_once('/').unwrap_or((place, ""));
    if authority.contains(',') {
        return bad(
            "names several servers",
            format!("for sentinels {SENTINEL}; for a cluster {CLUSTER}"),
        );
    }
    Ok(RedisServers::One {
        at: ServerAddress::Node(address(authority, REDIS_PORT, ONE)?),
        db: database(db, ONE)?,
    })
}

/// `///path[?db=N&user=NAME&pass=WORD]`, as the redis crate and its like read it.
fn socket(rest: &str) -> Result<RedisUrl, BadStoreUrl> {
    let rest = rest
        .strip_prefix("//")
        .map_or_else(|| bad("has no // behind its scheme", SOCKET), Ok)?;
    if rest.contains('#') {
        return bad("has a #", "escape it as %23, in the path and in a password");
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path: Vec<u8> = percent_decode_str(path).collect();
    if path.first() != Some(&b'/') || path.ends_with(b"/") || path.contains(&0) {
        return bad("names no absolute path of a socket", SOCKET);
    }
    if path.len() > SOCKET_PATH {
        return bad(
            format!("has a path longer than the {SOCKET_PATH} bytes that a socket's may have"),
            "have Redis open its socket elsewhere",
        );
    }
    let (mut db, mut login) = (None, RedisLogin::default());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let again = match name {
            "db" => db.replace(database(value, SOCKET)?).is_some(),
            "user" => login.username.replace(word(value)?).is_some(),
            "pass" => login.password.replace(Secret::new(word(value)?)).is_some(),
            _ => {
                return bad("has an option other than db, user and pass", SOCKET);
            }
        };
        if again {
            return bad(format!("names {name} twice"), "name it once");
        }
    }
    let at = ServerAddress::Socket(PathBuf::from(OsString::from_vec(path)));
    Ok(RedisUrl {
        servers: RedisServers::One {
            at,
            db: db.unwrap_or_default(),
        },
        tls: false,
        login,
    })
}

/// A word of a query, in which a plus is a space.
fn word(text: &str) -> Result<String, BadStoreUrl> {
    decoded(&text.replace('+', " "))
}

fn decoded(text: &str) -> Result<String, BadStoreUrl> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => bad(
            "has a login that is not UTF-8",
            "write it into store.username and store.password",
        ),
    }
}

/// `host[:port],host[:port]/master[/db]`.
fn sentinel(place: &str) -> Result<RedisServers, BadStoreUrl> {
    let (authorities, rest) = place.split_once('/').unwrap_or((place, ""));
    let (master, db) = rest.split_once('/').unwrap_or((rest, ""));
    let sentinels = addresses(authorities, SENTINEL_PORT, SENTINEL)?;
    // What Sentinel itself takes for a name.
    if master.is_empty()
        || !master
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        return bad("names no master behind the sentinels", SENTINEL);
    }
    Ok(RedisServers::Sentinel {
        sentinels,
        master: master.to_owned(),
        db: database(db, SENTINEL)?,
    })
}

/// `host[:port],host[:port]`.
fn cluster(place: &str) -> Result<RedisServers, BadStoreUrl> {
    let (authorities, db) = place.split_once('/').unwrap_or((place, ""));
    let nodes = addresses(authorities, REDIS_PORT, CLUSTER)?;
    if database(db, CLUSTER)? != 0 {
        return bad("names a database, and a cluster has number 0 only", CLUSTER);
    }
    Ok(RedisServers::Cluster { nodes })
}

fn addresses(text: &str, default_port: u16, form: &str) -> Result<Vec<NodeAddress>, BadStoreUrl> {
    let all = text
        .split(',')
        .map(|text| address(text, default_port, form))
        .collect::<Result<Vec<_>, _>>()?;
    for (index, address) in all.iter().enumerate() {
        if all[..index].contains(address) {
            return bad(format!("names {address} twice"), "name each server once");
        }
    }
    Ok(all)
}

fn address(text: &str, default_port: u16, form: &str) -> Result<NodeAddress, BadStoreUrl> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .filter(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok())
            .unwrap_or_default(),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_empty() || !text.starts_with('[') && !host.bytes().all(allowed) {
        return bad(
            "has an unreadable host",
            format!("a host is a name, an IPv4 address, or an IPv6 address in brackets; {form}"),
        );
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => Some(default_port),
        digits => digits.and_then(number).filter(|port| *port != 0),
    };
    match port {
        Some(port) => Ok(NodeAddress {
            host: host.to_owned(),
            port,
        }),
        None => bad("has a port that is not a number from 1 to 65535", form),
    }
}

fn database(text: &str, form: &str) -> Result<u32, BadStoreUrl> {
    if text.is_empty() {
        return Ok(0);
    }
    number(text).map_or_else(
        || bad("has something other than a number as its database", form),
        Ok,
    )
}

/// Digits alone, without a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// `user[:password]`, either of which may be empty.
fn login(text: &str) -> Result<RedisLogin, BadStoreUrl> {
    let (username, password) = text.split_once(':').unwrap_or((text, ""));
    let is_given = |text: &String| !text.is_empty();
    Ok(RedisLogin {
        username: Some(decoded(username)?).filter(is_given),
        password: Some(decoded(password)?).filter(is_given).map(Secret::new),
    })
}

#[cfg(test)]
mod tests;
