//! What the gateway's ACL user may do, command by command. Doctor really sends each command, in a
//! form that changes nothing, because servers check rights before anything else. So it also finds a
//! managed edition that refuses a command in its own way. (`ACL DRYRUN` would need a right that the
//! gateway's user does not have.)

use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};

use super::conversation::{ServerRefusal, ask};
use super::expected::{Expected, ServerRole};
use crate::crypto::encoding::base64url;
use crate::crypto::random;
use crate::diagnostic::Diagnostic;

const CHECK: &str = "rights";

/// When a command is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Always,
    /// With `store.wait_replicas`.
    Waiting,
    /// Behind sentinels.
    Watched,
    Cluster,
    /// For one thing that fails without it: the gateway's work goes on.
    For(&'static str),
}

/// A right by its name in an ACL, when it is needed, and a command that uses it and changes
/// nothing. `K`: a key that nobody has.
const PROBES: &[(&str, Need, &str)] = &[
    ("ping", Need::Always, "PING"),
    ("time", Need::Always, "TIME"),
    (
        "info",
        Need::For("/readyz cannot tell a replica, and most of this report is missing"),
        "INFO server",
    ),
    (
        "unwatch",
        Need::For("each call of /readyz and of the admin API opens a new connection"),
        "UNWATCH",
    ),
    (
        "dbsize",
        Need::For("`hufu sessions count` without a user fails"),
        "DBSIZE",
    ),
    (
        "evalsha",
        Need::Always,
        "EVALSHA 0000000000000000000000000000000000000000 1 K",
    ),
    ("script|load", Need::Always, "SCRIPT LOAD return''"),
    ("get", Need::Always, "GET K"),
    // NX and XX exclude each other: an error, but not one of rights.
    ("set", Need::Always, "SET K x NX XX"),
    ("del", Need::Always, "DEL K"),
    ("exists", Need::Always, "EXISTS K"),
    ("pttl", Need::Always, "PTTL K"),
    ("pexpireat", Need::Always, "PEXPIREAT K 1"),
    ("hget", Need::Always, "HGET K f"),
    ("hmget", Need::Always, "HMGET K f"),
    // A field without its value.
    ("hset", Need::Always, "HSET K f x f"),
    ("hdel", Need::Always, "HDEL K f"),
    ("hgetall", Need::Always, "HGETALL K"),
    ("zadd", Need::For(PUSHES), "ZADD K XX 0 x"),
    ("zrem", Need::For(PUSHES), "ZREM K x"),
    ("zcard", Need::For(PUSHES), "ZCARD K"),
    ("zrangebyscore", Need::For(PUSHES), "ZRANGEBYSCORE K 0 0"),
    // A channel that nobody listens to.
    (
        "publish",
        Need::For(
            "gateways to which Redis cannot push learn of revocations only after session.near_cache.max_stale",
        ),
        "PUBLISH K x",
    ),
    ("wait", Need::Waiting, "WAIT 0 1"),
    ("role", Need::Watched, "ROLE"),
    ("asking", Need::Cluster, "ASKING"),
    ("cluster|slots", Need::Cluster, "CLUSTER SLOTS"),
];

/// What fails without the commands of kept messages.
const PUSHES: &str = "pushed messages ([apps.NAME.push]) cannot be kept";

/// The kinds of keys that the gateway uses.
const KINDS: [&str; 7] = ["s", "u", "a", "c", "l", "t", "p"];

/// Why a command cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// The user may not run it.
    Command,
    /// The user may run it, but not on our keys.
    Keys,
    /// The server does not know it.
    Unknown,
}

pub(super) async fn check(
    connection: &MultiplexedConnection,
    expected: &Expected<'_>,
) -> RedisResult<Vec<Diagnostic>> {
    let prefix = expected.settings.key_prefix.as_str();
    let nobodys = |kind: &str| {
        format!(
            "{prefix}:{kind}:{{doctor}}:{}",
            base64url(&random::bytes::<16>())
        )
    };
    let needed = PROBES
        .iter()
        .filter(|(_, need, _)| is_needed(*need, expected));
    let needed: Vec<_> = needed.collect();
    let probes = needed
        .iter()
        .map(|(_, _, line)| probe(connection.clone(), line, nobodys("s")));
    let lacks = try_join_all(probes).await?;
    let kinds =
        try_join_all(KINDS.map(|kind| probe(connection.clone(), "GET K", nobodys(kind)))).await?;
    let keys = kinds
        .iter()
        .chain(&lacks)
        .any(|lack| *lack == Some(Lack::Keys));
    let lacking: Vec<_> = needed
        .iter()
        .zip(lacks)
        .filter_map(|((right, need, _), lack)| Some((*right, *need, lack?)))
        .filter(|(_, _, lack)| *lack != Lack::Keys)
        .collect();
    Ok(judged(&lacking, keys, needed.len(), expected.user, prefix))
}

fn is_needed(need: Need, expected: &Expected<'_>) -> bool {
    match need {
        Need::Always | Need::For(_) => true,
        Need::Waiting => expected.settings.wait_replicas > 0,
        Need::Watched => expected.role == ServerRole::OfSentinels,
        Need::Cluster => expected.role == ServerRole::OfCluster,
    }
}

async fn probe(
    mut connection: MultiplexedConnection,
    line: &str,
    key: impl AsRef<str>,
) -> RedisResult<Option<Lack>> {
    let mut command = Cmd::new();
    for word in line.split(' ') {
        command.arg(if word == "K" { key.as_ref() } else { word });
    }
    Ok(ask::<Value>(&mut connection, &command)
        .await?
        .err()
        .and_then(|refusal| lack(&refusal)))
}

/// What a refusal says about rights. Most errors come from the command itself: then the server has
/// let it through.
fn lack(refusal: &ServerRefusal) -> Option<Lack> {
    let words = refusal.words.to_ascii_lowercase();
    match refusal.code.as_str() {
        "NOPERM" if words.contains("permissions to run") => Some(Lack::Command),
        "NOPERM" => Some(Lack::Keys),
        "ERR"
            if [
                "unknown command",
                "unknown subcommand",
                "not support",
                "not allow",
            ]
            .iter()
            .any(|sign| words.contains(sign)) =>
        {
            Some(Lack::Unknown)
        }
        _ => None,
    }
}

fn judged(
    lacking: &[(&'static str, Need, Lack)],
    keys: bool,
    asked: usize,
    user: &str,
    prefix: &str,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let denied: Vec<&str> = lacking
        .iter()
        .filter(|(_, need, lack)| !matches!(need, Need::For(_)) && *lack == Lack::Command)
        .map(|(right, ..)| *right)
        .collect();
    if !denied.is_empty() {
        diagnostics.push(Diagnostic::fail(
            CHECK,
            format!("the ACL user {user} may not run {}", denied.join(", ")),
            setuser(user, &format!("+{}", denied.join(" +"))),
        ));
    }
    if keys {
        diagnostics.push(Diagnostic::fail(
            CHECK,
            format!("the ACL user {user} may not touch all of {prefix}:*"),
            setuser(user, &format!("~{prefix}:*")),
        ));
    }
    let alone = lacking
        .iter()
        .filter_map(|(right, need, lack)| judged_alone(right, *need, *lack, user));
    diagnostics.extend(alone);
    if diagnostics.is_empty() {
        diagnostics.push(Diagnostic::ok(
            CHECK,
            format!("the user {user} may run the {asked} commands that are used, on {prefix}:*"),
        ));
    }
    diagnostics
}

/// What is said of one right that is lacking; `None`: it is named together with others.
fn judged_alone(right: &str, need: Need, lack: Lack, user: &str) -> Option<Diagnostic> {
    match (need, lack) {
        (Need::For(what), Lack::Command) => Some(Diagnostic::warn(
            CHECK,
            format!("the ACL user {user} may not run {right}: {what}"),
            setuser(user, &format!("+{right}")),
        )),
        (Need::For(what), _) => Some(Diagnostic::warn(
            CHECK,
            format!("the server has no {right}: {what}"),
            "",
        )),
        (_, Lack::Unknown) => Some(Diagnostic::fail(
            CHECK,
            format!("the server has no {right}"),
            "it was renamed there, or this edition lacks it; the gateway needs it",
        )),
        _ => None,
    }
}

fn setuser(user: &str, rights: &str) -> String {
    format!(
        "on that server: `ACL SETUSER {user} {rights}`, and save it (`ACL SAVE`, or the line in redis.conf)"
    )
}

#[cfg(test)]
mod tests;
