//! The store's URL: which servers, found how, with which login.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use percent_encoding::{percent_decode, percent_decode_str};

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

impl BadStoreUrl {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
    }
}

/// Where the store is.
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
            .ok_or_else(|| BadStoreUrl::new("is not a store URL", ANY))?;
        let read: fn(&str) -> Result<RedisServers, BadStoreUrl> = match scheme {
            "memory" if rest.is_empty() => return Ok(Self::Memory),
            "memory" => {
                return Err(BadStoreUrl::new(
                    "has text after memory:",
                    "write \"memory:\"",
                ));
            }
            "redis+unix" => return socket(rest).map(Self::Redis),
            "rediss+unix" => {
                return Err(BadStoreUrl::new(
                    "asks for TLS, which a Unix socket does not have",
                    SOCKET,
                ));
            }
            "redis" | "rediss" => one,
            "redis+sentinel" | "rediss+sentinel" => sentinel,
            "redis+cluster" | "rediss+cluster" => cluster,
            _ => return Err(BadStoreUrl::new("is not a store URL", ANY)),
        };
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| BadStoreUrl::new("has no // behind its scheme", ANY))?;
        if rest.contains(['?', '#']) {
            let hint =
                "write connection options as keys of [store]; escape a # of a password as %23";
            return Err(BadStoreUrl::new("has options behind a ? or #", hint));
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
        return Err(BadStoreUrl::new(
            "names several servers",
            format!("for sentinels {SENTINEL}; for a cluster {CLUSTER}"),
        ));
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
        .ok_or_else(|| BadStoreUrl::new("has no // behind its scheme", SOCKET))?;
    if rest.contains('#') {
        return Err(BadStoreUrl::new(
            "has a #",
            "escape it as %23, in the path and in a password",
        ));
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path: Vec<u8> = percent_decode_str(path).collect();
    if path.first() != Some(&b'/') || path.ends_with(b"/") || path.contains(&0) {
        return Err(BadStoreUrl::new(
            "names no absolute path of a socket",
            SOCKET,
        ));
    }
    if path.len() > SOCKET_PATH {
        return Err(BadStoreUrl::new(
            format!("has a path longer than the {SOCKET_PATH} bytes that a socket's may have"),
            "have Redis open its socket elsewhere",
        ));
    }
    let (mut db, mut login) = (None, RedisLogin::default());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let again = match name {
            "db" => db.replace(database(value, SOCKET)?).is_some(),
            "user" => login.username.replace(word(value)?).is_some(),
            "pass" => login.password.replace(Secret::new(word(value)?)).is_some(),
            _ => {
                return Err(BadStoreUrl::new(
                    "has an option other than db, user and pass",
                    SOCKET,
                ));
            }
        };
        if again {
            return Err(BadStoreUrl::new(
                format!("names {name} twice"),
                "name it once",
            ));
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
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes())
        .decode_utf8()
        .map(std::borrow::Cow::into_owned);
    decoded.map_err(|_| {
        BadStoreUrl::new(
            "has a login that is not UTF-8",
            "write it into store.username and store.password",
        )
    })
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
        return Err(BadStoreUrl::new(
            "names no master behind the sentinels",
            SENTINEL,
        ));
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
        return Err(BadStoreUrl::new(
            "names a database, and a cluster has number 0 only",
            CLUSTER,
        ));
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
            return Err(BadStoreUrl::new(
                format!("names {address} twice"),
                "name each server once",
            ));
        }
    }
    Ok(all)
}

fn address(text: &str, default_port: u16, form: &str) -> Result<NodeAddress, BadStoreUrl> {
    let bad_host = || {
        BadStoreUrl::new(
            "has an unreadable host",
            format!("a host is a name, an IPv4 address, or an IPv6 address in brackets; {form}"),
        )
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .filter(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok())
            .ok_or_else(bad_host)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if !text.starts_with('[') && (host.is_empty() || !host.bytes().all(allowed)) {
        return Err(bad_host());
    }
    if port.is_empty() {
        return Ok(NodeAddress {
            host: host.to_owned(),
            port: default_port,
        });
    }
    let digits = port
        .strip_prefix(':')
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match digits
        .and_then(|digits| digits.parse().ok())
        .filter(|port| *port != 0)
    {
        Some(port) => Ok(NodeAddress {
            host: host.to_owned(),
            port,
        }),
        None => Err(BadStoreUrl::new(
            "has a port that is not a number from 1 to 65535",
            form,
        )),
    }
}

fn database(text: &str, form: &str) -> Result<u32, BadStoreUrl> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = Some(text).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    number
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| BadStoreUrl::new("has something other than a number as its database", form))
}

/// `user[:password]`, either of which may be empty.
fn login(text: &str) -> Result<RedisLogin, BadStoreUrl> {
    let decoded = |part: &str| match percent_decode_str(part).decode_utf8() {
        Ok(text) => Ok((!text.is_empty()).then(|| text.into_owned())),
        Err(_) => Err(BadStoreUrl::new(
            "has a login that is not UTF-8",
            "write it into store.username and store.password",
        )),
    };
    let (username, password) = text.split_once(':').unwrap_or((text, ""));
    Ok(RedisLogin {
        username: decoded(username)?,
        password: decoded(password)?.map(Secret::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(url: &str) -> RedisUrl {
        match StoreUrl::parse(url).unwrap() {
            StoreUrl::Redis(redis) => redis,
            StoreUrl::Memory => panic!("{url}"),
        }
    }

    fn node(host: &str, port: u16) -> NodeAddress {
        NodeAddress {
            host: host.to_owned(),
            port,
        }
    }

    fn plain(host: &str, port: u16, tls: bool, db: u32) -> RedisUrl {
        RedisUrl {
            servers: RedisServers::One {
                at: ServerAddress::Node(node(host, port)),
                db,
            },
            tls,
            login: RedisLogin::default(),
        }
    }

    #[test]
    fn one_server_is_read_as_redis_cli_reads_it() {
        assert_eq!(StoreUrl::parse("memory:").unwrap(), StoreUrl::Memory);
        assert_eq!(
            redis("redis://127.0.0.1"),
            plain("127.0.0.1", 6379, false, 0)
        );
        assert_eq!(
            redis("redis://cache.example:7000/3"),
            plain("cache.example", 7000, false, 3)
        );
        assert_eq!(
            redis("rediss://r-1_a.example:6380/"),
            plain("r-1_a.example", 6380, true, 0)
        );
        assert_eq!(redis("redis://[::1]:1/0"), plain("::1", 1, false, 0));
        assert_eq!(redis("redis://[::1]").to_string(), "redis://[::1]:6379/0");
        let with_user = redis("redis://hu%40fu:p%3As@s:s/%2Fword@h:1");
        assert_eq!(with_user.login.username.as_deref(), Some("hu@fu"));
        assert_eq!(
            with_user.login.password,
            Some(Secret::new("p:s@s:s//word".to_owned()))
        );
        let password_only = redis("redis://:tiger@h").login;
        assert_eq!(
            (password_only.username, password_only.password),
            (None, Some(Secret::new("tiger".to_owned())))
        );
        assert_eq!(redis("redis://hufu@h").login.password, None);
    }

    #[test]
    fn a_socket_is_read_as_the_redis_crate_reads_it() {
        for (text, path, db, shown) in [
            (
                "redis+unix:///run/redis.sock",
                "/run/redis.sock",
                0,
                "redis+unix:///run/redis.sock?db=0",
            ),
            (
                "redis+unix:///run/redis.sock?db=3",
                "/run/redis.sock",
                3,
                "redis+unix:///run/redis.sock?db=3",
            ),
            (
                "redis+unix:///run/redis@1.sock",
                "/run/redis@1.sock",
                0,
                "redis+unix:///run/redis@1.sock?db=0",
            ),
            (
                "redis+unix:///a%20b%3F%23%25/%E8%99%8E.sock?",
                "/a b?#%/虎.sock",
                0,
                "redis+unix:///a%20b%3F%23%25/%E8%99%8E.sock?db=0",
            ),
            (
                "redis+unix:///r?user=hu%40fu&pass=p%26%3F%3D+%2A%2B&db=2",
                "/r",
                2,
                "redis+unix:///r?db=2",
            ),
        ] {
            let url = redis(text);
            assert_eq!(
                url.servers,
                RedisServers::One {
                    at: ServerAddress::Socket(path.into()),
                    db
                },
                "{text}"
            );
            assert_eq!((url.to_string().as_str(), url.tls), (shown, false));
            assert_eq!(redis(shown).servers, url.servers);
            let theirs = ::redis::IntoConnectionInfo::into_connection_info(text).unwrap();
            assert_eq!(
                theirs.addr(),
                &::redis::ConnectionAddr::Unix(path.into()),
                "{text}"
            );
            let ours = (
                url.login.username.as_deref(),
                url.login
                    .password
                    .as_ref()
                    .map(|password| password.expose().as_str()),
            );
            assert_eq!(
                (
                    theirs.redis_settings().username(),
                    theirs.redis_settings().password()
                ),
                ours,
                "{text}"
            );
        }
        let login = redis("redis+unix:///r?user=hu%40fu&pass=p%26%3F%3D+%2A%2B").login;
        assert_eq!(
            (login.username.as_deref(), login.password),
            (Some("hu@fu"), Some(Secret::new("p&?= *+".to_owned())))
        );
        assert_eq!(
            ServerAddress::Socket("/run/a b\n.sock".into()).to_string(),
            "unix:/run/a%20b%0A.sock"
        );
    }

    #[test]
    fn sentinels_and_clusters_are_lists() {
        let sentinel = redis("rediss+sentinel://hufu:tiger@s1,[::1]:7,s3:26380/my-master.1/2");
        let sentinels = vec![node("s1", 26379), node("::1", 7), node("s3", 26380)];
        assert_eq!(
            sentinel.servers,
            RedisServers::Sentinel {
                sentinels,
                master: "my-master.1".to_owned(),
                db: 2
            }
        );
        assert!(sentinel.tls && sentinel.login.username.as_deref() == Some("hufu"));
        assert_eq!(
            sentinel.to_string(),
            "rediss+sentinel://s1:26379,[::1]:7,s3:26380/my-master.1/2"
        );
        assert!(matches!(
            redis("redis+sentinel://s/m").servers,
            RedisServers::Sentinel { db: 0, .. }
        ));
        let cluster = redis("redis+cluster://:tiger@a:7000,b");
        assert_eq!(
            cluster.servers,
            RedisServers::Cluster {
                nodes: vec![node("a", 7000), node("b", 6379)]
            }
        );
        assert_eq!(cluster.to_string(), "redis+cluster://a:7000,b:6379");
        assert!(redis("rediss+cluster://a/0").tls && !cluster.tls);
    }

    #[test]
    fn wrong_urls_are_refused_in_the_words_of_an_operator_without_the_password() {
        for (url, what) in [
            ("", "not a store"),
            ("tiger", "not a store"),
            ("localhost:6379", "not a store"),
            ("http://tiger@h", "not a store"),
            ("redis-cluster://tiger@h", "not a store"),
            ("memory://", "after memory:"),
            ("redis:h", "no //"),
            ("redis:/tiger@h", "no //"),
            ("redis://", "unreadable host"),
            ("redis://tiger@", "unreadable host"),
            ("redis://h h", "unreadable host"),
            ("redis://[::1", "unreadable host"),
            ("redis://[tiger]", "unreadable host"),
            ("redis://::1", "unreadable host"),
            ("redis://[::1]x", "port"),
            ("redis://h:0", "port"),
            ("redis://h:65536", "port"),
            ("redis://h:+1", "port"),
            ("redis://h:", "port"),
            ("redis://h/x", "database"),
            ("redis://h/-1", "database"),
            ("redis://h/0/1", "database"),
            ("redis://h/0?a=tiger", "options"),
            ("redis://:tiger#@h", "options"),
            ("redis://:tiger%ff@h", "UTF-8"),
            ("redis://:tiger@h,i", "several servers"),
            ("redis+sentinel://:tiger@h:1", "no master"),
            ("redis+sentinel://:tiger@h:1/", "no master"),
            ("redis+sentinel://:tiger@h:1//0", "no master"),
            ("redis+sentinel://:tiger@h:1/m m", "no master"),
            ("redis+sentinel://:tiger@h:1/m/x", "database"),
            ("redis+sentinel://:tiger@h:1,,i/m", "unreadable host"),
            ("redis+sentinel://:tiger@h:1,h:1/m", "names h:1 twice"),
            ("redis+cluster://:tiger@h:1,", "unreadable host"),
            ("redis+cluster://:tiger@h:1/1", "number 0 only"),
            ("redis+cluster://:tiger@h,h:6379", "names h:6379 twice"),
            ("redis+cluster:///run/redis.sock", "unreadable host"),
            ("redis+sentinel:///run/redis.sock/m", "unreadable host"),
            ("redis:///run/redis.sock?pass=tiger", "options"),
            ("unix:///run/redis.sock?pass=tiger", "not a store"),
            (
                "redis+unix+sentinel:///run/redis.sock?pass=tiger",
                "not a store",
            ),
            (
                "rediss+unix:///run/redis.sock?pass=tiger",
                "TLS on a Unix socket",
            ),
            ("redis+unix:/run/redis.sock?pass=tiger", "no //"),
            ("redis+unix://run/redis.sock?pass=tiger", "no absolute path"),
            ("redis+unix://:tiger@/run/redis.sock", "no absolute path"),
            ("redis+unix://", "no absolute path"),
            ("redis+unix:///", "no absolute path"),
            ("redis+unix:///run/?pass=tiger", "no absolute path"),
            ("redis+unix:///run/a%00b?pass=tiger", "no absolute path"),
            (
                concat!(
                    "redis+unix:///tiger/x",
                    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                ),
                "longer than",
            ),
            ("redis+unix:///run/redis.sock?db=x&pass=tiger", "database"),
            (
                "redis+unix:///run/redis.sock?db=1&db=1&pass=tiger",
                "names db twice",
            ),
            (
                "redis+unix:///run/redis.sock?pass=tiger&pass=tiger",
                "names pass twice",
            ),
            (
                "redis+unix:///run/redis.sock?password=tiger",
                "an option other than",
            ),
            (
                "redis+unix:///run/redis.sock?protocol=3&pass=tiger",
                "an option other than",
            ),
            ("redis+unix:///run/redis.sock?pass=tiger%ff", "UTF-8"),
            ("redis+unix:///run/redis.sock?pass=tiger#", "a #"),
        ] {
            let error = StoreUrl::parse(url).expect_err(url);
            assert!(
                error.what.contains(what) && !error.hint.is_empty(),
                "{url}: {error}"
            );
            assert!(
                !format!("{error} {error:?}").contains("tiger"),
                "{url}: {error}"
            );
        }
    }
}
