//! What an operator should read when a call fails, and whether the connection survives it.

use redis::{ErrorKind, RedisError, ServerError};

/// Longest server message that goes to the log.
const DETAIL_MAX: usize = 160;

/// Why a call failed, for the log: the server's own words and what to look at; never an argument of the call.
pub(in crate::store) fn reason(server: &str, error: &RedisError) -> String {
    let said = said_by_server(error);
    let code = said.as_ref().map_or("", |said| if is_long_before_login(said) { "NOAUTH" } else { said.code() });
    let words = match &said {
        Some(said) => format!("{code} {}", without_arguments(said.details().unwrap_or_default())),
        None if error.is_timeout() => "no answer in time".to_owned(),
        None => without_arguments(&error.to_string()),
    };
    match hint(code, error.kind()) {
        "" => format!("redis {server}: {words}"),
        hint => format!("redis {server}: {words} ({hint})"),
    }
}

/// Whether the connection must be thrown away. What the server said about one command does not hurt it, unless it
/// says that this is the wrong server or the wrong user: a demoted master goes on answering PING, and only a new
/// connection finds its successor.
pub(super) fn spoils_connection(error: &RedisError) -> bool {
    match said_by_server(error) {
        Some(said) => matches!(said.code(), "READONLY" | "MASTERDOWN" | "NOAUTH" | "WRONGPASS") || is_long_before_login(&said),
        None => true,
    }
}

/// Before the login Redis cuts off whoever sends more than ten arguments, and says so in words of its own.
fn is_long_before_login(said: &ServerError) -> bool {
    said.details().is_some_and(|words| words.starts_with("Protocol error: unauthenticated"))
}

/// The server's error, of several commands sent together the first; `None`: the trouble is on the way to it.
fn said_by_server(error: &RedisError) -> Option<ServerError> {
    error.clone().into_server_errors()?.first().map(|(_, said)| said.clone())
}

/// Redis repeats the arguments of a command that it does not know; a renamed AUTH would put the password into the log.
fn without_arguments(message: &str) -> String {
    let end = message.find(", with args").unwrap_or(message.len());
    let message = &message[..end];
    message[..message.floor_char_boundary(DETAIL_MAX)].to_owned()
}

fn hint(code: &str, kind: ErrorKind) -> &'static str {
    match code {
        "OOM" => "it is full and evicts nothing, as it should: give it more maxmemory",
        "READONLY" => "it is a replica; the URL must name the master",
        "LOADING" => "it is reading its data after a start; it will answer by itself",
        "MISCONF" => "it cannot write to its disk",
        "NOAUTH" | "WRONGPASS" => "check store.username and store.password",
        "NOPERM" => "the ACL user lacks a permission; redis.conf lists what the gateway needs",
        _ if kind == ErrorKind::AuthenticationFailed => "check store.username and store.password",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn server_says(line: &str) -> RedisError {
        parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn the_log_says_what_to_look_at_and_never_an_argument() {
        let oom = reason("r:1", &server_says("OOM command not allowed when used memory > 'maxmemory'."));
        assert!(oom.starts_with("redis r:1: OOM command not allowed") && oom.contains("maxmemory)"), "{oom}");
        let unknown = reason("r:1", &server_says("ERR unknown command 'AUTH', with args beginning with: 'hufu' 'tiger'"));
        assert_eq!(unknown, "redis r:1: ERR unknown command 'AUTH'");
        let refused = reason("r:1", &std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
        assert_eq!(refused, "redis r:1: connection refused");
        assert_eq!(reason("r:1", &std::io::Error::from(std::io::ErrorKind::TimedOut).into()), "redis r:1: no answer in time");
    }

    #[test]
    fn a_connection_outlives_what_is_wrong_with_one_command() {
        for survives in ["OOM x", "LOADING x", "NOPERM x", "ERR x", "WRONGTYPE x", "MISCONF x", "BUSY x", "NOSCRIPT x"] {
            assert!(!spoils_connection(&server_says(survives)), "{survives}");
        }
        for spoilt in ["READONLY x", "NOAUTH x", "WRONGPASS x", "MASTERDOWN x", "ERR Protocol error: unauthenticated multibulk length"] {
            assert!(spoils_connection(&server_says(spoilt)), "{spoilt}");
        }
        assert!(spoils_connection(&std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
    }
}
