//! What a crash of the server loses.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};

use super::conversation::ask;
use super::info::Info;
use crate::diagnostic::Diagnostic;

/// Settings that only `CONFIG GET` returns, which the gateway's own user may not run; `None`:
/// unknown.
#[derive(Debug, Default)]
struct PersistenceSettings {
    /// `appendfsync`.
    fsync: Option<String>,
    /// `save`; empty: no snapshots.
    save: Option<String>,
}

const TURN_ON: &str = "turn on appendonly, as redis.conf does";

pub(super) async fn check(
    connection: &mut MultiplexedConnection,
    info: &Info,
) -> RedisResult<Diagnostic> {
    let told = PersistenceSettings {
        fsync: setting(connection, "appendfsync").await?,
        save: setting(connection, "save").await?,
    };
    Ok(judged(info, &told))
}

async fn setting(
    connection: &mut MultiplexedConnection,
    name: &str,
) -> RedisResult<Option<String>> {
    let pair = ask::<Vec<String>>(connection, cmd("CONFIG").arg("GET").arg(name)).await?;
    Ok(pair.ok().and_then(|pair| pair.into_iter().nth(1)))
}

fn judged(info: &Info, told: &PersistenceSettings) -> Diagnostic {
    let check = "persistence";
    if info.text("aof_enabled").is_empty() {
        return Diagnostic::warn(check, "it does not say whether it keeps anything", TURN_ON);
    }
    if info.is_on("aof_enabled") {
        return append_only(info, told);
    }
    match told.save.as_deref() {
        Some("") => Diagnostic::warn(
            check,
            "nothing is kept: a restart signs everybody out",
            TURN_ON,
        ),
        Some(_) => Diagnostic::warn(check, snapshots(info), TURN_ON),
        None if info.number("rdb_saves") == Some(0) => Diagnostic::warn(
            check,
            "no append-only file, and no snapshot since its start: a restart may sign everybody out",
            TURN_ON,
        ),
        None => Diagnostic::warn(check, snapshots(info), TURN_ON),
    }
}

fn snapshots(info: &Info) -> String {
    let waiting = info
        .number("rdb_changes_since_last_save")
        .map(|changes| format!(" ({changes} changes now)"))
        .unwrap_or_default();
    format!(
        "snapshots only: a crash loses the logins since the last one and brings back the sessions that were ended since{waiting}"
    )
}

fn append_only(info: &Info, told: &PersistenceSettings) -> Diagnostic {
    let check = "persistence";
    if info.text("aof_last_write_status") == "err" {
        return Diagnostic::fail(
            check,
            "the append-only file cannot be written",
            "see the server's log; is its disk full?",
        );
    }
    match told.fsync.as_deref() {
        Some("no") => Diagnostic::warn(
            check,
            "append-only file, written out when the system likes: a crash of the machine loses up to half a minute",
            "set appendfsync to everysec",
        ),
        Some("always") => Diagnostic::ok(
            check,
            "append-only file, appendfsync always: a crash loses nothing that was answered",
        ),
        Some(_) => Diagnostic::ok(
            check,
            "append-only file, appendfsync everysec: a crash of the machine loses about a second",
        ),
        None => Diagnostic::ok(
            check,
            "append-only file: a crash of the machine loses about a second, unless appendfsync is not everysec",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

    #[test]
    fn what_a_crash_loses_is_told() {
        let of = |info: &str, fsync: Option<&str>, save: Option<&str>| {
            let told = PersistenceSettings {
                fsync: fsync.map(str::to_owned),
                save: save.map(str::to_owned),
            };
            let diagnostic = judged(&Info::parse(info), &told);
            (diagnostic.verdict, diagnostic.seen)
        };
        let aof = "aof_enabled:1\r\naof_last_write_status:ok\r\n";
        assert!(matches!(of(aof, None, None), (Verdict::Ok, seen) if seen.contains("unless")));
        assert!(
            matches!(of(aof, Some("everysec"), None), (Verdict::Ok, seen) if seen.ends_with("about a second"))
        );
        assert!(
            matches!(of(aof, Some("always"), None), (Verdict::Ok, seen) if seen.contains("nothing"))
        );
        assert_eq!(of(aof, Some("no"), None).0, Verdict::Warn);
        assert_eq!(
            of("aof_enabled:1\r\naof_last_write_status:err\r\n", None, None).0,
            Verdict::Fail
        );
        assert!(
            matches!(of("aof_enabled:0\r\n", None, Some("")), (Verdict::Warn, seen) if seen.starts_with("nothing is kept"))
        );
        let changes = "aof_enabled:0\r\nrdb_changes_since_last_save:7\r\n";
        assert!(
            matches!(of(changes, None, Some("3600 1")), (Verdict::Warn, seen) if seen.contains("7 changes"))
        );
        assert!(
            matches!(of("aof_enabled:0\r\nrdb_saves:0\r\n", None, None), (Verdict::Warn, seen) if seen.contains("no snapshot"))
        );
        assert_eq!(of("", None, None).0, Verdict::Warn);
    }
}
