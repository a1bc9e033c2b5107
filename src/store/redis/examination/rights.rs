//! What the gateway's ACL user may do, command by command. Each command is really sent, in a form
//! that changes nothing: servers check rights before anything else, and a managed edition that
//! refuses a command in its own way is found too. (`ACL DRYRUN` would need a right that the
//! gateway's user does not have.)

use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};

use super::conversation::{Refusal, ask};
use super::wanted::{Part, Wanted};
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
    /// In a cluster.
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
        Need::For("/readyz calls the store down"),
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

/// The kinds of keys that the gateway uses.
const KINDS: [&str; 4] = ["s", "u", "c", "l"];

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
    wanted: &Wanted<'_>,
) -> RedisResult<Vec<Diagnostic>> {
    let prefix = wanted.settings.key_prefix.as_str();
    let nobodys = |kind: &str| {
        format!(
            "{prefix}:{kind}:{{doctor}}:{}",
            base64url(&random::bytes::<16>())
        )
    };
    let needed = PROBES
        .iter()
        .filter(|(_, need, _)| is_needed(*need, wanted));
    let asked = try_join_all(needed.map(|(right, need, line)| {
        let key = nobodys("s");
        async move {
            Ok::<_, redis::RedisError>((
                *right,
                *need,
                probe(connection.clone(), line, &key).await?,
            ))
        }
    }))
    .await?;
    let kinds =
        try_join_all(KINDS.map(|kind| probe(connection.clone(), "GET K", nobodys(kind)))).await?;
    let keys = kinds.contains(&Some(Lack::Keys))
        || asked.iter().any(|(_, _, lack)| *lack == Some(Lack::Keys));
    let lacking: Vec<_> = asked
        .iter()
        .filter_map(|(right, need, lack)| {
            lack.filter(|lack| *lack != Lack::Keys)
                .map(|lack| (*right, *need, lack))
        })
        .collect();
    Ok(judged(&lacking, keys, asked.len(), wanted.user, prefix))
}

fn is_needed(need: Need, wanted: &Wanted<'_>) -> bool {
    match need {
        Need::Always | Need::For(_) => true,
        Need::Waiting => wanted.settings.wait_replicas > 0,
        Need::Watched => wanted.part == Part::Watched,
        Need::Cluster => wanted.part == Part::OfCluster,
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

/// What a refusal says about rights. Most errors come from the command itself, which has been let
/// through then.
fn lack(refusal: &Refusal) -> Option<Lack> {
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
    let setuser = |rights: &str| {
        format!(
            "on that server: `ACL SETUSER {user} {rights}`, and save it (`ACL SAVE`, or the line in redis.conf)"
        )
    };
    let mut diagnostics = Vec::new();
    let denied: Vec<&str> = lacking
        .iter()
        .filter(|(_, need, lack)| !matches!(need, Need::For(_)) && *lack == Lack::Command)
        .map(|(right, ..)| *right)
        .collect();
    if !denied.is_empty() {
        let plus: Vec<String> = denied.iter().map(|right| format!("+{right}")).collect();
        diagnostics.push(Diagnostic::fail(
            CHECK,
            format!("the ACL user {user} may not run {}", denied.join(", ")),
            setuser(&plus.join(" ")),
        ));
    }
    if keys {
        diagnostics.push(Diagnostic::fail(
            CHECK,
            format!("the ACL user {user} may not touch all of {prefix}:*"),
            setuser(&format!("~{prefix}:*")),
        ));
    }
    diagnostics.extend(
        lacking
            .iter()
            .filter_map(|(right, need, lack)| match (need, lack) {
                (Need::For(what), Lack::Command) => Some(Diagnostic::warn(
                    CHECK,
                    format!("the ACL user {user} may not run {right}: {what}"),
                    setuser(&format!("+{right}")),
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
            }),
    );
    if diagnostics.is_empty() {
        diagnostics.push(Diagnostic::ok(
            CHECK,
            format!("the user {user} may run the {asked} commands that are used, on {prefix}:*"),
        ));
    }
    diagnostics
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::diagnostic::Verdict;

    /// What `redis.conf` allows and is not asked for here: nobody can be denied the login, and
    /// `push` looks at tracking and, where there is none, at subscriptions.
    const ELSEWHERE: [&str; 5] = [
        "auth",
        "hello",
        "client|tracking",
        "subscribe",
        "unsubscribe",
    ];

    #[test]
    fn every_right_of_redis_conf_is_asked_for_and_no_other() {
        let user = include_str!("../../../../redis.conf")
            .lines()
            .find(|line| line.starts_with("user hufu "))
            .unwrap();
        let listed: BTreeSet<&str> = user
            .split(' ')
            .filter_map(|word| word.strip_prefix('+'))
            .collect();
        let asked: BTreeSet<&str> = PROBES
            .iter()
            .map(|(right, ..)| *right)
            .chain(ELSEWHERE)
            .collect();
        assert!(listed.len() > 20);
        assert_eq!(asked, listed);
    }

    #[test]
    fn each_probe_uses_the_right_that_it_is_for() {
        for (right, _, line) in PROBES {
            assert!(
                line.to_lowercase().starts_with(&right.replace('|', " ")),
                "{right}: {line}"
            );
        }
    }

    #[test]
    fn refusals_of_all_servers_are_understood() {
        let of = |code: &str, words: &str| {
            lack(&Refusal {
                code: code.to_owned(),
                words: words.to_owned(),
            })
        };
        assert_eq!(
            of(
                "NOPERM",
                "User keymaster has no permissions to run the 'get' command"
            ),
            Some(Lack::Command)
        );
        assert_eq!(
            of(
                "NOPERM",
                "this user has no permissions to run the 'get' command or its subcommand"
            ),
            Some(Lack::Command)
        );
        assert_eq!(
            of("NOPERM", "No permissions to access a key"),
            Some(Lack::Keys)
        );
        assert_eq!(
            of(
                "NOPERM",
                "this user has no permissions to access one of the keys used as arguments"
            ),
            Some(Lack::Keys)
        );
        assert_eq!(of("ERR", "unknown command 'DBSIZE'"), Some(Lack::Unknown));
        assert_eq!(
            of("ERR", "command 'wait' not support for cluster mode"),
            Some(Lack::Unknown)
        );
        for passed in [
            ("ERR", "syntax error"),
            ("ERR", "wrong number of arguments for 'hset' command"),
            ("NOSCRIPT", "x"),
            ("MOVED", "1 h:1"),
            ("OOM", "not allowed"),
        ] {
            assert_eq!(of(passed.0, passed.1), None, "{passed:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_line_to_add() {
        let lacking = [
            ("evalsha", Need::Always, Lack::Command),
            ("hget", Need::Always, Lack::Command),
            ("dbsize", Need::For("x"), Lack::Command),
        ];
        let diagnostics = judged(&lacking, true, 9, "hufu", "hufu:eu");
        let lines: Vec<_> = diagnostics
            .iter()
            .map(|diagnostic| (diagnostic.verdict, diagnostic.seen.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (Verdict::Fail, "the ACL user hufu may not run evalsha, hget"),
                (
                    Verdict::Fail,
                    "the ACL user hufu may not touch all of hufu:eu:*"
                ),
                (Verdict::Warn, "the ACL user hufu may not run dbsize: x"),
            ]
        );
        assert!(
            diagnostics[0]
                .advice
                .contains("`ACL SETUSER hufu +evalsha +hget`"),
            "{}",
            diagnostics[0].advice
        );
        assert!(diagnostics[1].advice.contains("~hufu:eu:*"));
        assert_eq!(
            judged(&[], false, 9, "hufu", "hufu")[0].verdict,
            Verdict::Ok
        );
        assert_eq!(
            judged(
                &[("wait", Need::Waiting, Lack::Unknown)],
                false,
                9,
                "hufu",
                "hufu"
            )[0]
            .verdict,
            Verdict::Fail
        );
    }
}
