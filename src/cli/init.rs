//! `hufu init`: the least configuration that works, with fresh keys.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;

use super::{UsageError, keygen};
use crate::crypto::keyring;
use crate::upstream::Endpoint;

/// Write a hufu.toml and a .env with fresh keys into the current folder; overwrites nothing
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The mini program's AppID, such as wx0123456789abcdef
    #[arg(long, value_name = "WX")]
    appid: String,
    /// Your backend, such as http://127.0.0.1:9000
    #[arg(long, value_name = "URL")]
    upstream: String,
}

const CONFIG: &str = "hufu.toml";
const ENV: &str = ".env";

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<()> {
    check(args)?;
    let existing: Vec<_> = [CONFIG, ENV].into_iter().filter(|name| Path::new(name).symlink_metadata().is_ok()).collect();
    if !existing.is_empty() {
        let verb = if existing.len() == 1 { "exists" } else { "exist" };
        anyhow::bail!("{} {verb} already; nothing was written", existing.join(" and "));
    }
    let keys = keygen::env_lines(&keyring::generate_key(), &keyring::generate_key());
    write_new(ENV, &format!("{keys}# The AppSecret of {}, from mp.weixin.qq.com: 开发管理 → 开发设置 (Development Settings)\nWX_SECRET=\n", args.appid))?;
    if let Err(error) = write_new(CONFIG, &config(args)) {
        // Half of the two would be in the way of the next try.
        let _ = fs::remove_file(ENV);
        return Err(error);
    }
    super::say(&format!(
        "Wrote {CONFIG} and {ENV} (which holds the keys: keep it out of version control).\n\n\
         Next:\n  \
         1. write the AppSecret behind WX_SECRET= in {ENV}\n  \
         2. have Redis at redis://127.0.0.1:6379, or name another in store.url\n  \
         3. hufu doctor\n  \
         4. hufu serve"
    ));
    Ok(())
}

/// Both arguments end up inside TOML strings, so they are held to their alphabets.
fn check(args: &InitArgs) -> Result<(), UsageError> {
    Endpoint::parse(&args.upstream).map_err(|error| UsageError(format!("--upstream {:?}: {error}", args.upstream)))?;
    let good = !args.appid.is_empty() && args.appid.len() <= 64 && args.appid.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if good { Ok(()) } else { Err(UsageError(format!("--appid {:?} is not an AppID, such as wx0123456789abcdef", args.appid))) }
}

fn config(args: &InitArgs) -> String {
    let InitArgs { appid, upstream } = args;
    format!(
        "store.url = \"redis://127.0.0.1:6379/0\"\n\
         secrets.keys = [\"${{HUFU_KEY}}\"]          # hufu keygen --env >> .env\n\
         secrets.naming_key = \"${{HUFU_NAMING_KEY}}\"\n\
         [apps.shop]\n\
         appid = \"{appid}\"\n\
         secret = \"${{WX_SECRET}}\"                 # never in the mini program\n\
         [upstreams.api]\n\
         endpoints = [\"{upstream}\"]\n\
         [[routes]]\n\
         path = \"/api\"                           # the backend reads X-WX-OPENID\n\
         upstream = \"api\"\n"
    )
}

/// Writes a file that did not exist, for its owner alone.
fn write_new(name: &str, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if name == ENV {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = options.open(name).and_then(|mut file: File| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{name} cannot be written"))
}
