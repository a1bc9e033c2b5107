//! Whether the default user lost its permissions together with its login. Redis up to the end of
//! 2025 reads its own append-only file as that user. Where the user has no permissions, Redis silently
//! drops every write of a script at a restart (redis/redis#14541).

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value, cmd, from_redis_value};

use super::conversation::ask;
use super::info::Info;
use crate::diagnostic::Diagnostic;

const CHECK: &str = "default user";

/// `None`: the trap is not there, because nothing is read back.
pub(super) async fn check(
    connection: &mut MultiplexedConnection,
    info: &Info,
) -> RedisResult<Option<Diagnostic>> {
    if !info.is_on("aof_enabled") {
        return Ok(None);
    }
    let said = ask::<Value>(connection, cmd("ACL").arg("GETUSER").arg("default")).await?;
    Ok(Some(said.map_or_else(|_| unseen(), |user| judged(&user))))
}

fn unseen() -> Diagnostic {
    let advice = "if you switched it off, see with `ACL GETUSER default` that it kept `~* &* +@all` (redis.conf says why)";
    Diagnostic::note(
        CHECK,
        "its permissions cannot be seen with this login",
        advice,
    )
}

fn judged(user: &Value) -> Diagnostic {
    match field(user, "commands") {
        Some(commands) if commands.contains("-@all") || !commands.contains("+@all") => {
            Diagnostic::warn(
                CHECK,
                format!(
                    "it lacks permissions ({commands}), and Redis up to the end of 2025 needs them to read its append-only file: a restart loses all sessions"
                ),
                "`ACL SETUSER default off resetpass ~* &* +@all`: off is what keeps strangers out (redis/redis#14541)",
            )
        }
        Some(_) => Diagnostic::ok(
            CHECK,
            "has its permissions, which Redis needs to read its append-only file",
        ),
        None => unseen(),
    }
}

/// A text in the answer, which is a list of names and values, or a map of them.
fn field(user: &Value, name: &str) -> Option<String> {
    let named = |key: &Value| from_redis_value::<String>(key.clone()).is_ok_and(|key| key == name);
    let value = match user {
        Value::Array(parts) => parts
            .chunks_exact(2)
            .find(|pair| named(&pair[0]))
            .map(|pair| &pair[1]),
        Value::Map(pairs) => pairs
            .iter()
            .find(|(key, _)| named(key))
            .map(|(_, value)| value),
        _ => None,
    };
    from_redis_value(value?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

    #[test]
    fn a_default_user_without_permissions_is_a_trap() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let of = |commands: &str| {
            let parts = vec![
                text("flags"),
                Value::Array(vec![text("off")]),
                text("commands"),
                text(commands),
            ];
            judged(&Value::Array(parts)).verdict
        };
        assert_eq!(
            (of("+@all"), of("-@all"), of("-@all +ping"), of("+@read")),
            (Verdict::Ok, Verdict::Warn, Verdict::Warn, Verdict::Warn)
        );
        assert_eq!(
            judged(&Value::Map(vec![(text("commands"), text("-@all"))])).verdict,
            Verdict::Warn
        );
        assert_eq!(judged(&Value::Nil).verdict, Verdict::Note);
    }
}
