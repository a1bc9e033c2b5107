//! `hufu keygen`: fresh keys.

use clap::Args;

use crate::crypto::{hash, keyring};

/// Print a new key
///
/// Without options: one sealing key, for `secrets.keys`. docs/operations.md has the steps of a
/// rotation.
#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// As lines for a .env file: HUFU_KEY and HUFU_NAMING_KEY, as in `hufu keygen --env >> .env`
    #[arg(long)]
    env: bool,
    /// Instead of keys: a Redis password, and the ACL line for a user `hufu` with it
    #[arg(long)]
    redis: bool,
    /// Instead of keys: a key for `assertion.keys`, which signs what backends get
    #[arg(long, conflicts_with = "redis")]
    signing: bool,
}

/// Says what the gateway's Redis user may do; tests run the gateway as that user.
const REDIS_CONF: &str = include_str!("../../redis.conf");
/// How the user's line begins there: no password yet.
const REDIS_USER: &str = "user hufu on resetpass ";

pub(crate) fn run(args: &KeygenArgs) -> anyhow::Result<()> {
    let key = keyring::generate_key();
    let text = match (args.env, args.redis) {
        (true, false) if args.signing => format!("HUFU_SIGNING_KEY={key}\n"),
        (false, false) => format!("{key}\n"),
        (true, false) => env_lines(&key, &keyring::generate_key()),
        (false, true) => format!("{key}\n{}\n", acl_line(&key)),
        (true, true) => format!("HUFU_REDIS_PASSWORD={key}\n# {}\n", acl_line(&key)),
    };
    super::print(&text)?;
    if args.redis {
        super::say(
            "The line that begins with `user` goes into Redis's ACL file (or, behind `ACL SETUSER` without `user`, to redis-cli).",
        );
        super::say(
            "In hufu.toml: store.username = \"hufu\", store.password = \"${HUFU_REDIS_PASSWORD}\".",
        );
    }
    Ok(())
}

/// The keys as lines of a `.env`.
pub(super) fn env_lines(key: &str, naming_key: &str) -> String {
    format!("HUFU_KEY={key}\nHUFU_NAMING_KEY={naming_key}\n")
}

/// The redis.conf that we ship, with this password for its user and a beginning that says so.
pub(super) fn redis_conf(password: &str) -> String {
    let settings = REDIS_CONF
        .find("\n### ")
        .and_then(|at| REDIS_CONF.get(at..))
        .unwrap_or(REDIS_CONF);
    let lines = settings.lines().map(|line| {
        if line.starts_with(REDIS_USER) {
            acl_line(password)
        } else {
            line.to_owned()
        }
    });
    let settings = lines.collect::<Vec<_>>().join("\n");
    format!(
        "# Redis for Hufu: one server that holds sessions and nothing else, for Redis 7.0 and later. Written by `hufu init`:\n\
         # the user `hufu` below has the password HUFU_REDIS_PASSWORD of the .env beside this file; only its hash stands here.\n\
         #\n\
         #   redis-server redis.conf\n{settings}\n"
    )
}

/// The ACL line, with the password as the hash that Redis keeps anyway.
fn acl_line(password: &str) -> String {
    let rights = REDIS_CONF
        .lines()
        .find_map(|line| line.strip_prefix(REDIS_USER))
        .unwrap_or_default();
    format!(
        "user hufu on #{} {rights}",
        hash::to_hex(&hash::sha256(password.as_bytes()))
    )
}
