//! What an operator should read when a call fails, and whether the connection survives it.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};

use super::error::ClientError;
use crate::peer::{self, CertificateKeys};

/// Longest server message that goes to the log.
const DETAIL_MAX: usize = 160;

/// What is said of an answer that is not in Redis's protocol.
const NO_REDIS: &str = "the server there is not Redis";
/// The same of an answer to a TLS handshake: the words of [`peer::plainly`].
const NO_TLS: &str = "it speaks no TLS there";
/// The text where nothing listens.
const REFUSED: &str = "connection refused";
/// The text for a server that requires a login.
pub(crate) const NO_LOGIN: &str = "the server requires a login (NOAUTH)";
/// How the library begins the error of a `SELECT`.
const NO_DATABASE: &str = "Redis server refused to switch database";

/// The server that a failure is about, as far as the words depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) server: &'a str,
    /// The configuration keys of its login.
    pub(crate) login_keys: &'a str,
    pub(crate) tls: bool,
    /// Whether `store.tls.ca` is set.
    pub(crate) has_ca: bool,
    /// Which of its databases is used.
    pub(crate) database: i64,
}

/// Why a call failed, for the log: the server's own words and what to look at; never an argument of
/// the call.
pub(crate) fn reason(about: &About<'_>, error: &RedisError) -> String {
    match told(about, error) {
        (words, hint) if hint.is_empty() => format!("redis {}: {words}", about.server),
        (words, hint) => format!("redis {}: {words} ({hint})", about.server),
    }
}

/// What is wrong, and what to look at.
fn told(about: &About<'_>, error: &RedisError) -> (String, Cow<'static, str>) {
    let keys = about.login_keys;
    if wants_login(error) {
        return (
            NO_LOGIN.to_owned(),
            format!("set {keys}; with `requirepass` the password alone").into(),
        );
    }
    if let Some(words) = database_refusal(error) {
        return no_database(about.database, words);
    }
    let said = said_by_server(error);
    let code = said.as_ref().map_or("", ServerError::code);
    // Which of the two comes depends on how the connection was opened.
    if code == "WRONGPASS" || error.kind() == ErrorKind::AuthenticationFailed {
        return (
            "the server refuses this login".to_owned(),
            format!("check {keys}").into(),
        );
    }
    let words = match &said {
        Some(said) => format!(
            "{code} {}",
            without_arguments(said.details().unwrap_or_default())
        ),
        None if error.is_timeout() => "no answer in time".to_owned(),
        // The library tells of the byte that it stumbled over.
        None if error.kind() == ErrorKind::Parse => NO_REDIS.to_owned(),
        None if error.is_connection_refusal() => REFUSED.to_owned(),
        None => without_arguments(&peer::plainly(&error.to_string())),
    };
    let certificate = CertificateKeys {
        ca: "store.tls.ca",
        is_ca_set: about.has_ca,
        for_name: "write a name that it has in store.url",
    };
    let hint = match peer::cure(peer::trouble(&error.to_string()), &certificate) {
        Some(cure) => cure.into(),
        None if error.is_timeout() => of_silence(about.tls).into(),
        None => of_another_kind(&words)
            .unwrap_or_else(|| hint(code, &words))
            .into(),
    };
    (words, hint)
}

/// The same where the server does not let us into the database of `store.url`, by its words.
pub(crate) fn no_database(database: i64, words: &str) -> (String, Cow<'static, str>) {
    let hint = if words.contains("permission") {
        "give the ACL user `+select`, or leave the number out of store.url and tell gateways apart by store.key_prefix"
    } else {
        "leave the number out of store.url, and tell gateways apart by store.key_prefix"
    };
    (
        format!(
            "no database {database} for us: {}",
            without_arguments(words)
        ),
        hint.into(),
    )
}

/// What to look at where a Unix socket cannot be opened.
pub(crate) fn socket_hint(error: &RedisError) -> Option<&'static str> {
    let held: &Arc<dyn Error + Send + Sync> = error.source()?.downcast_ref()?;
    match held.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::NotFound => Some(
            "there is no such socket: does redis-server run, with this path as its unixsocket?",
        ),
        io::ErrorKind::PermissionDenied => Some(
            "the gateway's user may not open it: set unixsocketperm 770 and give both users a group; each folder above it must let them through",
        ),
        io::ErrorKind::ConnectionRefused => {
            Some("nobody listens there: is it a socket that a redis-server left behind?")
        }
        _ => None,
    }
}

/// What to look at when `store.url` is for another kind of server than the one that says this.
pub(crate) fn of_another_kind(words: &str) -> Option<&'static str> {
    let lower = words.to_ascii_lowercase();
    // Redis 7 quotes a command's name in another way than Redis 6.
    let is_unknown = |command: &str| lower.contains("unknown command") && lower.contains(command);
    Some(match words {
        NO_TLS => "write redis:// in store.url, or the port of TLS",
        NO_REDIS => "are host and port in store.url right? If it speaks TLS, write rediss://",
        REFUSED => "is it running, and is store.url right?",
        _ if words.contains("name does not resolve") => {
            "is the host in store.url right, and do the name servers of this machine know it?"
        }
        _ if lower.contains("cluster support disabled") || is_unknown("cluster") => {
            "it is a single server: write redis:// in store.url"
        }
        _ if is_unknown("sentinel") => {
            "it is no Sentinel: write redis:// in store.url, or the port of the sentinels"
        }
        _ => return None,
    })
}

/// The same for a server that says nothing: a Redis without TLS waits for the end of the line that
/// a handshake looks like to it.
pub(crate) fn of_silence(tls: bool) -> &'static str {
    if tls {
        "if it speaks no TLS there, write redis:// in store.url"
    } else {
        ""
    }
}

/// Why a request to one node came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no connection to be had, so nothing was sent.
    NoConnection(ClientError),
    /// It was sent, or was about to be.
    Request(RedisError),
}

/// What a failure means for where the request goes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The slot has gone to this node for good.
    Moved(String),
    /// The slot is on its way there, and this key has arrived.
    Ask(String),
    /// The cluster is busy with itself: the same again in a moment.
    Later,
    /// This server is gone, silent, or no master any more: another one may have taken its place.
    Elsewhere,
    /// Another server would say the same.
    Nowhere,
}

impl Failure {
    pub(crate) fn next(&self) -> NextStep {
        let Self::Request(error) = self else {
            return NextStep::Elsewhere;
        };
        let Some(said) = said_by_server(error) else {
            return NextStep::Elsewhere;
        };
        // "3999 127.0.0.1:6381"
        let target = || {
            said.details()
                .and_then(|details| details.split_once(' '))
                .map(|(_, target)| target.to_owned())
        };
        let lost_half_way = || {
            said.details().is_some_and(|words| {
                words.starts_with("Script attempted to access a non local key")
            })
        };
        match (said.code(), target()) {
            ("MOVED", Some(target)) => NextStep::Moved(target),
            ("ASK", Some(target)) => NextStep::Ask(target),
            ("TRYAGAIN" | "CLUSTERDOWN", _) => NextStep::Later,
            // A script that deletes a key of a slot on the move and looks at it again. It may be
            // repeated, as all are.
            ("ERR", _) if lost_half_way() => NextStep::Later,
            _ if spoils_connection(error) => NextStep::Elsewhere,
            _ => NextStep::Nowhere,
        }
    }
}

/// Whether the connection must be thrown away. What the server said about one command does not hurt
/// it, unless it says that this is the wrong server or the wrong user: a demoted master goes on
/// answering PING, and only a new connection finds its successor.
pub(crate) fn spoils_connection(error: &RedisError) -> bool {
    match said_by_server(error) {
        Some(said) => {
            matches!(
                said.code(),
                "READONLY" | "MASTERDOWN" | "NOAUTH" | "WRONGPASS"
            ) || is_long_before_login(&said)
        }
        None => true,
    }
}

/// Whether the server requires a login that this connection lacks.
pub(crate) fn wants_login(error: &RedisError) -> bool {
    // Of the refusal to change to another database the library keeps the words alone.
    let words = error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
        && error
            .detail()
            .is_some_and(|words| words.starts_with("Authentication required"));
    words
        || said_by_server(error)
            .is_some_and(|said| said.code() == "NOAUTH" || is_long_before_login(&said))
}

/// Why the server does not let us into the database of `store.url`; `None`: something else went
/// wrong.
pub(crate) fn database_refusal(error: &RedisError) -> Option<&str> {
    let is_it = error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
        && error.to_string().starts_with(NO_DATABASE);
    is_it.then(|| error.detail().unwrap_or_default())
}

/// Before the login Redis cuts off whoever sends more than ten arguments, and says so in words of
/// its own.
fn is_long_before_login(said: &ServerError) -> bool {
    said.details()
        .is_some_and(|words| words.starts_with("Protocol error: unauthenticated"))
}

/// The server's error, of several commands sent together the first; `None`: the trouble is on the
/// way to it.
pub(crate) fn said_by_server(error: &RedisError) -> Option<ServerError> {
    error
        .clone()
        .into_server_errors()?
        .first()
        .map(|(_, said)| said.clone())
}

/// Redis repeats the arguments of a command that it does not know; a renamed AUTH would put the
/// password into the log.
pub(crate) fn without_arguments(message: &str) -> String {
    let end = message.find(", with args").unwrap_or(message.len());
    let message = &message[..end];
    message[..message.floor_char_boundary(DETAIL_MAX)].to_owned()
}

fn hint(code: &str, words: &str) -> &'static str {
    match code {
        "OOM" => "it is full and evicts nothing, as it should: give it more maxmemory",
        "READONLY" => "it is a replica; the URL must name the master",
        "CLUSTERDOWN" => "some of its slots have no master; CLUSTER INFO says more",
        "CROSSSLOT" | "MOVED" => "it is a node of a cluster; write redis+cluster:// in store.url",
        "LOADING" => "it is reading its data after a start; it will answer by itself",
        "MISCONF" => "it cannot write to its disk",
        // "No permissions to access a key", or "... one of the keys used as arguments".
        "NOPERM" if words.contains("key") && !words.contains("permissions to run") => {
            "the ACL user may not touch all keys that begin with store.key_prefix: give it the pattern ~<store.key_prefix>:*"
        }
        "NOPERM" => {
            "the ACL user lacks a permission: `hufu doctor` names it, and redis.conf lists what the gateway needs"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests;
