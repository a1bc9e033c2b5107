//! `hufu init`: the least configuration that works, with fresh keys, and a redis.conf that fits it.

mod files;
mod next_steps;

use std::fs;
use std::path::Path;

use clap::Args;

use super::lang::LangArg;
use super::{UsageError, keygen, schema};
use crate::config::schema::FILE as SCHEMA;
use crate::crypto::keyring;
use crate::provider::platform::Platform;
use crate::provider::registry::platform;
use crate::session::ProviderKind;
use crate::store::StoreUrl;
use crate::upstream::Endpoint;

/// Write a hufu.toml, a .env with new keys and a redis.conf into the current folder; overwrites
/// nothing
///
/// It also writes hufu.schema.json, with which editors complete and check hufu.toml.
///
/// `redis-server redis.conf` then starts the Redis of this hufu.toml: its user `hufu` has the
/// password in .env. With --redis an existing Redis is used instead, and no redis.conf is written.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The mini program's AppID, such as wx0123456789abcdef
    #[arg(long, value_name = "WX")]
    appid: String,
    /// Your backend, such as http://127.0.0.1:9000
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// An existing Redis, such as redis://10.0.0.5:6379/0, without a login in the URL
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// The user for its login; put the password into .env as HUFU_REDIS_PASSWORD
    #[arg(long, value_name = "NAME", requires = "redis")]
    redis_user: Option<String>,
    #[command(flatten)]
    lang: LangArg,
}

/// The platform of the app: the default of `apps.NAME.provider`.
const PLATFORM: &Platform = platform(ProviderKind::ALL[0]);
const CONFIG: &str = "hufu.toml";
const ENV: &str = ".env";
const REDIS: &str = "redis.conf";
/// The store of who names none: what redis.conf listens on, and the user that it has.
const OWN_REDIS: (&str, &str) = ("redis://127.0.0.1:6379/0", "hufu");

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<()> {
    check(args)?;
    let files = contents(args);
    let existing: Vec<_> = files
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| Path::new(name).symlink_metadata().is_ok())
        .collect();
    if let Some((last, others)) = existing.split_last() {
        let (names, verb) = if others.is_empty() {
            ((*last).to_owned(), "exists")
        } else {
            (format!("{} and {last}", others.join(", ")), "exist")
        };
        anyhow::bail!("{names} {verb} already; nothing was written");
    }
    for (index, (name, text)) in files.iter().enumerate() {
        if let Err(error) = files::write_new(name, text, *name == ENV) {
            // A part of them would be in the way of the next try.
            files[..index]
                .iter()
                .for_each(|(name, _)| drop(fs::remove_file(name)));
            return Err(error);
        }
    }
    if let Some(odd) = (PLATFORM.appid_doubt)(&args.appid) {
        super::say(&format!(
            "warning: --appid {odd}. Correct it in {CONFIG} if the console shows another one ({})\n",
            PLATFORM.console
        ));
    }
    super::say(&next_steps::text(args.lang.get(), args));
    Ok(())
}

/// Every argument ends up inside a TOML string, so it is held to its alphabet.
fn check(args: &InitArgs) -> Result<(), UsageError> {
    Endpoint::parse(&args.upstream)
        .map_err(|error| UsageError(format!("--upstream {:?}: {error}", args.upstream)))?;
    if let Some(url) = &args.redis {
        check_redis(url)?;
    }
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if let Some(user) = args.redis_user.as_ref().filter(|user| !word(user)) {
        return Err(UsageError(format!(
            "--redis-user {user:?}: write letters, digits, \"-\", \"_\" and \".\""
        )));
    }
    if word(&args.appid) {
        Ok(())
    } else {
        Err(UsageError(format!(
            "--appid {:?} is not an AppID, such as {}",
            args.appid, PLATFORM.appid_example
        )))
    }
}

fn check_redis(url: &str) -> Result<(), UsageError> {
    // What stands before an @ may be a password, and is not shown.
    if url.contains('@') {
        return Err(UsageError("--redis: leave the login out of the URL; --redis-user names the user, and the password goes into .env".to_owned()));
    }
    match StoreUrl::parse(url) {
        Ok(StoreUrl::Redis(_)) if !url.contains(['"', '\\', '$']) => Ok(()),
        Ok(_) => Err(UsageError(format!(
            "--redis {url:?}: write it as in redis://127.0.0.1:6379/0"
        ))),
        Err(wrong) => Err(UsageError(format!(
            "--redis {url:?} {}: {}",
            wrong.what, wrong.hint
        ))),
    }
}

/// The files by their names.
fn contents(args: &InitArgs) -> Vec<(&'static str, String)> {
    let (url, user) = args
        .redis
        .as_ref()
        .map_or((OWN_REDIS.0, Some(OWN_REDIS.1)), |url| {
            (url, args.redis_user.as_deref())
        });
    let fresh = args.redis.is_none().then(keyring::generate_key);
    let password = user.map(|_| fresh.as_deref().unwrap_or_default());
    let mut files = vec![
        (ENV, files::env(&args.appid, PLATFORM.console, password)),
        (
            CONFIG,
            files::config(&args.appid, &args.upstream, url, user),
        ),
        (SCHEMA, schema::text()),
    ];
    if let Some(password) = &fresh {
        files.push((REDIS, keygen::redis_conf(password)));
    }
    files
}
