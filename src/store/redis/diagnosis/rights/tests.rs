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
    let user = include_str!("../../../../../redis.conf")
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
    for (code, words, expected) in [
        (
            "NOPERM",
            "User keymaster has no permissions to run the 'get' command",
            Some(Lack::Command),
        ),
        (
            "NOPERM",
            "this user has no permissions to run the 'get' command or its subcommand",
            Some(Lack::Command),
        ),
        ("NOPERM", "No permissions to access a key", Some(Lack::Keys)),
        (
            "NOPERM",
            "this user has no permissions to access one of the keys used as arguments",
            Some(Lack::Keys),
        ),
        ("ERR", "unknown command 'DBSIZE'", Some(Lack::Unknown)),
        (
            "ERR",
            "command 'wait' not support for cluster mode",
            Some(Lack::Unknown),
        ),
        ("ERR", "syntax error", None),
        ("ERR", "wrong number of arguments for 'hset' command", None),
        ("NOSCRIPT", "x", None),
        ("MOVED", "1 h:1", None),
        ("OOM", "not allowed", None),
    ] {
        let refusal = ServerRefusal {
            code: code.to_owned(),
            words: words.to_owned(),
        };
        assert_eq!(lack(&refusal), expected, "{code} {words}");
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
