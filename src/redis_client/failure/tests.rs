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

fn io_error(kind: io::ErrorKind) -> RedisError {
    io::Error::from(kind).into()
}

/// What the library makes of a `SELECT` that was refused.
fn select_refused(words: &str) -> RedisError {
    (
        ServerErrorKind::ResponseError.into(),
        NO_DATABASE,
        words.to_owned(),
    )
        .into()
}

#[test]
fn the_log_says_what_happened_and_what_to_look_at_and_never_an_argument() {
    let alone = About {
        login_keys: "store.password",
        ..PLAIN
    };
    let database = About {
        database: 99,
        ..PLAIN
    };
    let hidden_refusal = (
        ErrorKind::AuthenticationFailed,
        "Password authentication failed",
    );
    let no_handshake = io::Error::new(
        io::ErrorKind::InvalidData,
        "received corrupt message of type InvalidContentType",
    );
    let refused_login = "the server refuses this login (check store.password)";
    for (about, error, told) in [
        (
            PLAIN,
            server_says("OOM command not allowed when used memory > 'maxmemory'."),
            "OOM command not allowed when used memory > 'maxmemory'. (it is full and evicts nothing, as it should: give it more maxmemory)",
        ),
        (
            PLAIN,
            server_says("ERR unknown command 'AUTH', with args beginning with: 'hufu' 'tiger'"),
            "ERR unknown command 'AUTH'",
        ),
        (
            PLAIN,
            io_error(io::ErrorKind::ConnectionRefused),
            "connection refused (is it running, and is store.url right?)",
        ),
        (
            PLAIN,
            io_error(io::ErrorKind::TimedOut),
            "no answer in time",
        ),
        (
            TLS,
            io_error(io::ErrorKind::TimedOut),
            "no answer in time (if it speaks no TLS there, write redis:// in store.url)",
        ),
        (
            TLS,
            no_handshake.into(),
            "it speaks no TLS there (write redis:// in store.url, or the port of TLS)",
        ),
        (
            PLAIN,
            server_says("ERR This instance has cluster support disabled"),
            "ERR This instance has cluster support disabled (it is a single server: write redis:// in store.url)",
        ),
        (
            PLAIN,
            server_says("ERR unknown command 'CLUSTER', with args beginning with: 'SLOTS'"),
            "ERR unknown command 'CLUSTER' (it is a single server: write redis:// in store.url)",
        ),
        (
            PLAIN,
            server_says("ERR unknown command `SENTINEL`, with args beginning with: `x`, "),
            "ERR unknown command `SENTINEL` (it is no Sentinel: write redis:// in store.url, or the port of the sentinels)",
        ),
        (
            PLAIN,
            server_says("MOVED 3999 127.0.0.1:6381"),
            "MOVED 3999 127.0.0.1:6381 (it is a node of a cluster; write redis+cluster:// in store.url)",
        ),
        (alone, hidden_refusal.into(), refused_login),
        (
            alone,
            server_says("WRONGPASS invalid username-password pair or user is disabled."),
            refused_login,
        ),
        (
            PLAIN,
            server_says("NOAUTH HELLO must be called with the client already authenticated"),
            "the server requires a login (NOAUTH) (set store.username and store.password; with `requirepass` the password alone)",
        ),
        (
            database,
            select_refused("DB index is out of range"),
            "no database 99 for us: DB index is out of range (leave the number out of store.url, and tell gateways apart by store.key_prefix)",
        ),
        (
            PLAIN,
            server_says("NOPERM No permissions to access a key"),
            "NOPERM No permissions to access a key (the ACL user may not touch all keys that begin with store.key_prefix: give it the pattern ~<store.key_prefix>:*)",
        ),
        (
            PLAIN,
            server_says(
                "NOPERM this user has no permissions to access one of the keys used as arguments",
            ),
            "NOPERM this user has no permissions to access one of the keys used as arguments (the ACL user may not touch all keys that begin with store.key_prefix: give it the pattern ~<store.key_prefix>:*)",
        ),
        (
            PLAIN,
            server_says("NOPERM User keymaster has no permissions to run the 'get' command"),
            "NOPERM User keymaster has no permissions to run the 'get' command (the ACL user lacks a permission: `hufu doctor` names it, and redis.conf lists what the gateway needs)",
        ),
    ] {
        assert_eq!(reason(&about, &error), format!("redis r:1: {told}"));
    }
}

#[test]
fn a_socket_that_cannot_be_opened_says_what_to_look_at() {
    for (kind, hint) in [
        (io::ErrorKind::NotFound, Some("no such socket")),
        (io::ErrorKind::PermissionDenied, Some("unixsocketperm")),
        (io::ErrorKind::ConnectionRefused, Some("nobody")),
        (io::ErrorKind::TimedOut, None),
    ] {
        match (socket_hint(&io_error(kind)), hint) {
            (Some(told), Some(hint)) => assert!(told.contains(hint), "{told}"),
            (told, hint) => assert_eq!(told, hint, "{kind:?}"),
        }
    }
    assert_eq!(socket_hint(&server_says("NOAUTH x")), None);
}

#[test]
fn a_missing_login_is_told_from_a_missing_right() {
    let out_of_range = select_refused("DB index is out of range");
    assert_eq!(
        database_refusal(&out_of_range),
        Some("DB index is out of range")
    );
    for (error, wanted) in [
        (server_says("NOAUTH Authentication required."), true),
        (server_says("NOAUTH HELLO must be called"), true),
        (
            server_says("ERR Protocol error: unauthenticated multibulk length"),
            true,
        ),
        (select_refused("Authentication required."), true),
        (server_says("NOPERM x"), false),
        (server_says("WRONGPASS x"), false),
        (server_says("ERR Authentication is a word"), false),
    ] {
        assert_eq!(wants_login(&error), wanted, "{error}");
        assert!(wanted || database_refusal(&error).is_none(), "{error}");
    }
}

#[test]
fn a_failure_says_where_to_go_next_and_whether_the_connection_survives() {
    let moved = NextStep::Moved("127.0.0.1:6381".to_owned());
    for (line, next, spoils) in [
        ("MOVED 3999 127.0.0.1:6381", moved, false),
        (
            "ASK 3999 ::1:6381",
            NextStep::Ask("::1:6381".to_owned()),
            false,
        ),
        ("MOVED", NextStep::Nowhere, false),
        ("TRYAGAIN x", NextStep::Later, false),
        ("CLUSTERDOWN x", NextStep::Later, false),
        (
            "ERR Script attempted to access a non local key in a cluster node script: x",
            NextStep::Later,
            false,
        ),
        ("OOM x", NextStep::Nowhere, false),
        ("LOADING x", NextStep::Nowhere, false),
        ("NOPERM x", NextStep::Nowhere, false),
        ("ERR x", NextStep::Nowhere, false),
        ("WRONGTYPE x", NextStep::Nowhere, false),
        ("MISCONF x", NextStep::Nowhere, false),
        ("BUSY x", NextStep::Nowhere, false),
        ("NOSCRIPT x", NextStep::Nowhere, false),
        ("READONLY x", NextStep::Elsewhere, true),
        ("MASTERDOWN x", NextStep::Elsewhere, true),
        ("NOAUTH x", NextStep::Elsewhere, true),
        ("WRONGPASS x", NextStep::Elsewhere, true),
        (
            "ERR Protocol error: unauthenticated multibulk length",
            NextStep::Elsewhere,
            true,
        ),
    ] {
        let error = server_says(line);
        assert_eq!(spoils_connection(&error), spoils, "{line}");
        assert_eq!(Failure::Request(error).next(), next, "{line}");
    }
    let silence = io_error(io::ErrorKind::TimedOut);
    assert!(spoils_connection(&silence));
    assert_eq!(Failure::Request(silence).next(), NextStep::Elsewhere);
}
