//! What stands in the files that `hufu init` writes.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::Context as _;

use crate::cli::keygen;
use crate::config::schema::FILE as SCHEMA;
use crate::crypto::keyring;

/// The `.env`: keys, the password of Redis where there is a user, and a place for the AppSecret.
pub(super) fn env(appid: &str, console: &str, password: Option<&str>) -> String {
    let mut text = keygen::env_lines(&keyring::generate_key(), &keyring::generate_key());
    if let Some(password) = password {
        let _ = writeln!(text, "HUFU_REDIS_PASSWORD={password}");
    }
    text + &format!("# The AppSecret of {appid}, from {console}\nWX_SECRET=\n")
}

/// The configuration. Tables throughout: a key that somebody adds belongs to the table that is
/// written above it.
pub(super) fn config(appid: &str, upstream: &str, redis: &str, user: Option<&str>) -> String {
    let login = user.map_or_else(String::new, |user| {
        format!("username = \"{user}\"\npassword = \"${{HUFU_REDIS_PASSWORD}}\"\n")
    });
    format!(
        "#:schema ./{SCHEMA}\n\
         [store]\n\
         url = \"{redis}\"\n\
         {login}\
         [secrets]\n\
         keys = [\"${{HUFU_KEY}}\"]                  # hufu keygen --env >> .env\n\
         naming_key = \"${{HUFU_NAMING_KEY}}\"\n\
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

/// Writes a file that did not exist; `private`: for its owner alone.
pub(super) fn write_new(name: &str, text: &str, private: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if private {
        options.mode(0o600);
    }
    let written = options
        .open(name)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{name} cannot be written"))
}
