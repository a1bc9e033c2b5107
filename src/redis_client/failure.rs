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
/// What is said where nobody listens.
const REFUSED: &str = "connection refused";
/// What is said by a server that answers nobody who has not logged in.
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
pub(crate) enum Next {
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
    pub(crate) fn next(&self) -> Next {
        let Self::Request(error) = self else {
            return Next::Elsewhere;
        };
        let Some(said) = said_by_server(error) else {
            return Next::Elsewhere;
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
            ("MOVED", Some(target)) => Next::Moved(target),
            ("ASK", Some(target)) => Next::Ask(target),
            ("TRYAGAIN" | "CLUSTERDOWN", _) => Next::Later,
            // A script that deletes a key of a slot on the move and looks at it again. It may be
            // repeated, as all are.
            ("ERR", _) if lost_half_way() => Next::Later,
            _ if spoils_connection(error) => Next::Elsewhere,
            _ => Next::Nowhere,
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

/// Whether the server answers nobody who has not logged in, and we have not.
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
mod tests {
    use redis::parse_redis_value;

    use super::*;

    const PLAIN: About<'_> = About {
        server: "r:1",
        login_keys: "store.username and store.password",
        tls: false,
        has_ca: false,
        database: 0,
    };
    const TLS: About<'_> = About { tls: true, ..PLAIN };

    fn server_says(line: &str) -> RedisError {
        parse_redis_value(format!("-{line}\r\n").as_bytes())
            .unwrap()
            .extract_error()
            .unwrap_err()
    }

    #[test]
    fn the_log_says_what_to_look_at_and_never_an_argument() {
        let oom = reason(
            &PLAIN,
            &server_says("OOM command not allowed when used memory > 'maxmemory'."),
        );
        assert!(
            oom.starts_with("redis r:1: OOM command not allowed") && oom.contains("maxmemory)"),
            "{oom}"
        );
        let unknown = reason(
            &PLAIN,
            &server_says("ERR unknown command 'AUTH', with args beginning with: 'hufu' 'tiger'"),
        );
        assert_eq!(unknown, "redis r:1: ERR unknown command 'AUTH'");
        let refused = reason(
            &PLAIN,
            &std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into(),
        );
        assert_eq!(
            refused,
            "redis r:1: connection refused (is it running, and is store.url right?)"
        );
        assert_eq!(
            reason(
                &PLAIN,
                &std::io::Error::from(std::io::ErrorKind::TimedOut).into()
            ),
            "redis r:1: no answer in time"
        );
    }

    #[test]
    fn a_server_of_another_kind_than_the_scheme_is_for_is_named() {
        for (said, advice) in [
            (
                "ERR This instance has cluster support disabled",
                "a single server: write redis://",
            ),
            (
                "ERR unknown command 'CLUSTER', with args beginning with: 'SLOTS'",
                "a single server: write redis://",
            ),
            (
                "ERR unknown command `SENTINEL`, with args beginning with: `x`, ",
                "no Sentinel: write redis://",
            ),
            ("MOVED 3999 127.0.0.1:6381", "write redis+cluster://"),
        ] {
            let told = reason(&PLAIN, &server_says(said));
            assert!(told.contains(advice), "{told}");
        }
        let silent = reason(
            &TLS,
            &std::io::Error::from(std::io::ErrorKind::TimedOut).into(),
        );
        assert_eq!(
            silent,
            "redis r:1: no answer in time (if it speaks no TLS there, write redis:// in store.url)"
        );
        let answered = std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "received corrupt message of type InvalidContentType",
        );
        assert!(
            reason(&TLS, &answered.into())
                .starts_with("redis r:1: it speaks no TLS there (write redis:// in store.url")
        );
    }

    #[test]
    fn a_refusal_has_one_wording_whatever_the_connection_was_opened_with() {
        let hidden = RedisError::from((
            ErrorKind::AuthenticationFailed,
            "Password authentication failed",
        ));
        let open = server_says("WRONGPASS invalid username-password pair or user is disabled.");
        let alone = About {
            login_keys: "store.password",
            ..PLAIN
        };
        for error in [hidden, open] {
            assert_eq!(
                reason(&alone, &error),
                "redis r:1: the server refuses this login (check store.password)"
            );
        }
        let wanted = reason(
            &PLAIN,
            &server_says(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user>",
            ),
        );
        assert_eq!(
            wanted,
            "redis r:1: the server requires a login (NOAUTH) (set store.username and store.password; with `requirepass` the password alone)"
        );
        let select = RedisError::from((
            ServerErrorKind::ResponseError.into(),
            NO_DATABASE,
            "DB index is out of range".to_owned(),
        ));
        let database = reason(
            &About {
                database: 99,
                ..PLAIN
            },
            &select,
        );
        assert!(database.starts_with("redis r:1: no database 99 for us: DB index is out of range (leave the number out of store.url"), "{database}");
    }

    #[test]
    fn a_missing_right_to_keys_is_told_from_one_to_a_command() {
        for (said, advice) in [
            (
                "NOPERM No permissions to access a key",
                "~<store.key_prefix>:*",
            ),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                "~<store.key_prefix>:*",
            ),
            (
                "NOPERM User keymaster has no permissions to run the 'get' command",
                "`hufu doctor` names it",
            ),
        ] {
            let told = reason(&PLAIN, &server_says(said));
            assert!(told.contains(advice), "{told}");
        }
    }

    #[test]
    fn a_socket_that_cannot_be_opened_says_what_to_look_at() {
        for (kind, hint) in [
            (io::ErrorKind::NotFound, "no such socket"),
            (io::ErrorKind::PermissionDenied, "unixsocketperm"),
            (io::ErrorKind::ConnectionRefused, "nobody"),
        ] {
            assert!(
                socket_hint(&io::Error::from(kind).into()).is_some_and(|said| said.contains(hint)),
                "{kind:?}"
            );
        }
        assert_eq!(
            socket_hint(&io::Error::from(io::ErrorKind::TimedOut).into()),
            None
        );
        assert_eq!(socket_hint(&server_says("NOAUTH x")), None);
    }

    #[test]
    fn a_missing_login_is_told_from_a_missing_right() {
        for wanted in [
            "NOAUTH Authentication required.",
            "NOAUTH HELLO must be called",
            "ERR Protocol error: unauthenticated multibulk length",
        ] {
            assert!(wants_login(&server_says(wanted)), "{wanted}");
        }
        let select = |words: &str| {
            RedisError::from((
                ServerErrorKind::ResponseError.into(),
                NO_DATABASE,
                words.to_owned(),
            ))
        };
        assert!(wants_login(&select("Authentication required.")));
        assert_eq!(
            database_refusal(&select("DB index is out of range")),
            Some("DB index is out of range")
        );
        for other in ["NOPERM x", "WRONGPASS x", "ERR Authentication is a word"] {
            assert!(
                !wants_login(&server_says(other))
                    && database_refusal(&server_says(other)).is_none(),
                "{other}"
            );
        }
    }

    #[test]
    fn a_failure_says_where_to_go_next() {
        let next = |line: &str| Failure::Request(server_says(line)).next();
        assert_eq!(
            next("MOVED 3999 127.0.0.1:6381"),
            Next::Moved("127.0.0.1:6381".to_owned())
        );
        assert_eq!(next("ASK 3999 ::1:6381"), Next::Ask("::1:6381".to_owned()));
        assert_eq!(next("MOVED"), Next::Nowhere);
        for later in [
            "TRYAGAIN x",
            "CLUSTERDOWN x",
            "ERR Script attempted to access a non local key in a cluster node script: x",
        ] {
            assert_eq!(next(later), Next::Later, "{later}");
        }
        for elsewhere in ["READONLY x", "MASTERDOWN x"] {
            assert_eq!(next(elsewhere), Next::Elsewhere, "{elsewhere}");
        }
        for nowhere in ["OOM x", "LOADING x", "ERR x", "WRONGTYPE x"] {
            assert_eq!(next(nowhere), Next::Nowhere, "{nowhere}");
        }
        assert_eq!(
            Failure::Request(std::io::Error::from(std::io::ErrorKind::TimedOut).into()).next(),
            Next::Elsewhere
        );
    }

    #[test]
    fn a_connection_outlives_what_is_wrong_with_one_command() {
        for survives in [
            "OOM x",
            "LOADING x",
            "NOPERM x",
            "ERR x",
            "WRONGTYPE x",
            "MISCONF x",
            "BUSY x",
            "NOSCRIPT x",
        ] {
            assert!(!spoils_connection(&server_says(survives)), "{survives}");
        }
        for spoilt in [
            "READONLY x",
            "NOAUTH x",
            "WRONGPASS x",
            "MASTERDOWN x",
            "ERR Protocol error: unauthenticated multibulk length",
        ] {
            assert!(spoils_connection(&server_says(spoilt)), "{spoilt}");
        }
        assert!(spoils_connection(
            &std::io::Error::from(std::io::ErrorKind::TimedOut).into()
        ));
    }
}
