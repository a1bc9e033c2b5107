//! The command line and what each command does.

use std::time::Duration;

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::claims::{self, Setting};
use crate::cli::admin::{AdminClient, GatewayArgs, UserArgs, harmless, number, show_json};
use crate::cli::{UsageError, print, say};
use crate::clock::{Clock as _, SystemClock, UnixMillis};

/// Change the claims of users, and keep users out, through the admin API of a running gateway
///
/// The gateway needs an admin token. Without --admin and a token option, address and token come
/// from the configuration file.
///
/// Exit codes: 0 done, 1 the gateway refused it or cannot be reached, 2 wrong arguments or
/// configuration.
#[derive(Debug, Args)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Print the API's JSON instead of lines for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Show what is kept of a user: a block, changed claims, the number of sessions
    Show(UserArgs),
    /// Change the claims of all sessions of a user
    Claims(ClaimsArgs),
    /// End all sessions of a user, and let the user not log in
    Block(BlockArgs),
    /// Let a user log in again
    Unblock(UserArgs),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").args(["set", "remove"]).required(true).multiple(true)))]
struct ClaimsArgs {
    #[command(flatten)]
    user: UserArgs,
    /// Set a claim: role=staff, vip=true, 'role=["staff","admin"]'; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = claims::setting)]
    set: Vec<Setting>,
    /// Remove a claim; may be repeated
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
}

#[derive(Debug, Args)]
struct BlockArgs {
    #[command(flatten)]
    user: UserArgs,
    /// Until when, such as 2027-01-01T00:00:00+08:00; without it until `unblock`. Ten years at most
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<UnixMillis>,
    /// For how long from now on, such as 30d; ten years at most
    #[arg(long = "for", value_name = "TIME", conflicts_with = "until", value_parser = humantime::parse_duration)]
    span: Option<Duration>,
    /// Why; no client reads it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(crate) fn run(args: &UsersArgs) -> Result<()> {
    let (client, settings) = args.gateway.client()?;
    args.command.user().named().note_doubt(settings.as_ref());
    let answer = actix_web::rt::System::new().block_on(args.command.ask(&client))?;
    if args.json {
        return show_json(answer);
    }
    args.command.show(&answer)
}

impl UsersCommand {
    const fn user(&self) -> &UserArgs {
        match self {
            Self::Show(user) | Self::Unblock(user) => user,
            Self::Claims(change) => &change.user,
            Self::Block(block) => &block.user,
        }
    }

    async fn ask(&self, client: &AdminClient) -> Result<Value> {
        let query = self.user().named().query();
        let (method, path, body) = match self {
            Self::Show(_) => (Method::GET, "/users", None),
            Self::Claims(change) => {
                let patch = claims::patch(&change.set, &change.remove).map_err(|name| {
                    UsageError(format!("the claim {name} is named twice; set or remove it"))
                })?;
                (Method::PATCH, "/users/claims", Some(patch))
            }
            Self::Block(block) => (Method::PUT, "/users/block", Some(block.body())),
            Self::Unblock(_) => (Method::DELETE, "/users/block", None),
        };
        client.call(method, path, &query, body.as_ref()).await
    }

    fn show(&self, answer: &Value) -> Result<()> {
        let text = |key: &str| answer[key].as_str().map(harmless).unwrap_or_default();
        match self {
            Self::Show(_) => print(&shown(answer)),
            Self::Claims(_) => {
                let sessions = number(answer, "sessions")?;
                say(&format!("changed; sessions: {sessions}"));
                let claims = answer["claims"].to_string();
                print(&format!("{}\n", harmless(&claims)))
            }
            Self::Block(_) => {
                let ended = number(answer, "revoked")?;
                say(&format!("blocked until {}", text("until")));
                print(&format!("{ended}\n"))
            }
            Self::Unblock(user) => {
                say(&format!("{} is not blocked", harmless(&user.user)));
                Ok(())
            }
        }
    }
}

impl BlockArgs {
    fn body(&self) -> Value {
        let now = SystemClock.unix_now();
        let until = self.until.or_else(|| Some(now.plus(self.span?)));
        let mut body = json!({ "reason": self.reason });
        if let Some(until) = until {
            body["until"] = until.rfc3339().into();
        }
        body
    }
}

/// One line for each thing that is known.
fn shown(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), harmless);
    let block = &answer["blocked"];
    let changed = answer["changed_claims"].to_string();
    let lines = [
        ("app", text(&answer["app"])),
        ("authorizer_appid", text(&answer["authorizer_appid"])),
        ("provider", text(&answer["provider"])),
        ("user", text(&answer["user"])),
        ("sessions", answer["sessions"].to_string()),
        ("blocked_since", text(&block["since"])),
        ("blocked_until", text(&block["until"])),
        ("reason", text(&block["reason"])),
        ("changed_claims", harmless(&changed)),
        ("changed_until", text(&answer["changed_until"])),
    ];
    lines
        .iter()
        .map(|(name, value)| format!("{name:20} {value}\n"))
        .collect()
}

fn time(text: &str) -> Result<UnixMillis, &'static str> {
    UnixMillis::from_rfc3339(text)
        .ok_or("write a time such as 2027-01-01T00:00:00Z or 2027-01-01T00:00:00+08:00")
}
