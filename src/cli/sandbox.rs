//! `hufu sandbox`: the platforms' simulator alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::say;
use super::serve::{address, listener};
use crate::clock::SystemClock;
use crate::lifecycle::run_until_signal;
use crate::sandbox::{self, AcceptedApps, Platform, SandboxApp, SandboxSettings};
use crate::secret::Secret;

/// Run the simulator of the platforms, for your own tests: it simulates WeChat and Douyin
///
/// Set apps.NAME.base_url to it. POST /sandbox/code creates login codes for users that you name.
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// The address to listen on, such as 127.0.0.1:9001
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// An app and its secret; once for each app. Other apps and secrets are refused with the
    /// platform's number (WeChat: 40013, 40125). Without this option any app with any secret
    #[arg(long = "app", value_name = "APPID=SECRET", value_parser = app)]
    pub(crate) apps: Vec<SandboxApp>,
    /// Accept a code that was never issued once, for the user with that name
    #[arg(long)]
    pub(crate) unknown_codes: bool,
    /// How long a code is valid
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "5m")]
    pub(crate) code_lifetime: Duration,
    /// How old a session_key must be before a login replaces it; 0s: every login does
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1m")]
    pub(crate) key_rotation: Duration,
    /// Exchanges per user and minute; further ones are refused (WeChat: 45011)
    #[arg(long, value_name = "N", default_value_t = SandboxSettings::default().logins_per_minute)]
    pub(crate) logins_per_minute: u32,
    /// How long an access_token lives
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "2h")]
    pub(crate) token_lifetime: Duration,
}

impl SandboxArgs {
    fn settings(&self) -> SandboxSettings {
        SandboxSettings {
            apps: if self.apps.is_empty() {
                AcceptedApps::Any
            } else {
                AcceptedApps::Only(self.apps.clone())
            },
            accept_unknown_codes: self.unknown_codes,
            code_ttl: self.code_lifetime,
            rotate_after: self.key_rotation,
            logins_per_minute: self.logins_per_minute,
            token_life: self.token_lifetime,
        }
    }
}

fn app(text: &str) -> Result<SandboxApp, &'static str> {
    let parts = text
        .split_once('=')
        .filter(|(appid, secret)| !appid.is_empty() && !secret.is_empty());
    let (appid, secret) = parts.ok_or(
        "write the appid, an equals sign and the secret, such as wx0123456789abcdef=secret",
    )?;
    Ok(SandboxApp {
        appid: appid.to_owned(),
        secret: Secret::new(secret.to_owned()),
    })
}

fn span(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "write a number with a unit, such as 30s or 5m")
}

pub(crate) fn run(args: &SandboxArgs) -> Result<()> {
    let listener = listener(args.listen, "--listen")?;
    let address = listener.local_addr()?;
    let app = args
        .apps
        .first()
        .map_or("wx0123456789abcdef", |app| &app.appid);
    // The client that posts messages wants one, even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    actix_web::rt::System::new().block_on(async {
        let server = sandbox::serve(listener, Platform::new(args.settings(), Arc::new(SystemClock)))?;
        say(&format!(
            "hufu sandbox: the platforms' stand-in on http://{address}\n\
             In hufu.toml, under the app:  base_url = \"http://{address}\"\n\
             A login code for the user alice:\n\
             curl -s http://{address}/sandbox/code -H 'Content-Type: application/json' -d '{{\"app\":\"{app}\",\"user\":\"alice\"}}'\n\
             All endpoints: docs/sandbox.md. Ctrl-C ends it."
        ));
        Ok(run_until_signal(server).await?)
    })
}
