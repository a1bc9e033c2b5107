//! The command line and what each command does.

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::table;
use crate::cli::admin::{AdminClient, GatewayArgs, NamedUser, UserArgs, number, show_json};
use crate::cli::{print, say};
use crate::session::SessionId;

/// Show and end users' sessions, through the admin API of a running gateway
///
/// The gateway needs an admin token. Without --admin and a token option, address and token come
/// from the configuration file.
///
/// Exit codes: 0 done, 1 the gateway refused it, cannot be reached, or has no such session, 2 wrong
/// arguments or configuration.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Print the API's JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List the sessions of a user, newest first
    List(UserArgs),
    /// Show a session: its user and its expiry
    Show(SessionArg),
    /// End a session
    Revoke(SessionArg),
    /// End all sessions of a user
    RevokeAll(UserArgs),
    /// Count the sessions of a user, or of all users
    ///
    /// A user's sessions are counted exactly. For all users there are two bounds, from the number
    /// of keys in Redis, because nothing is scanned.
    Count(CountArgs),
}

#[derive(Debug, Args)]
struct CountArgs {
    /// The app's name in the configuration; required if there are several
    #[arg(long, value_name = "NAME", requires = "user")]
    app: Option<String>,
    /// The id of the user's app, if the configured one acts for it
    #[arg(long, value_name = "APPID", requires = "user")]
    authorizer: Option<String>,
    /// The user: an openid; without it, all users
    #[arg(long, value_name = "OPENID")]
    user: Option<String>,
}

#[derive(Debug, Args)]
struct SessionArg {
    /// The session's public id, as in access lines and X-Hufu-Session
    #[arg(long, value_name = "ID", value_parser = session_id, allow_hyphen_values = true)]
    session: SessionId,
}

pub(crate) fn run(args: &SessionsArgs) -> Result<()> {
    let (client, settings) = args.gateway.client()?;
    args.command.user().note_doubt(settings.as_ref());
    let answer = actix_web::rt::System::new().block_on(args.command.ask(&client))?;
    if args.json {
        return show_json(answer);
    }
    args.command.show(&answer)
}

impl CountArgs {
    fn named(&self) -> NamedUser<'_> {
        NamedUser {
            app: self.app.as_deref(),
            authorizer: self.authorizer.as_deref(),
            user: self.user.as_deref(),
        }
    }
}

impl SessionsCommand {
    /// The user that it is about; a session's id says that by itself.
    fn user(&self) -> NamedUser<'_> {
        match self {
            Self::List(user) | Self::RevokeAll(user) => user.named(),
            Self::Count(user) => user.named(),
            Self::Show(_) | Self::Revoke(_) => NamedUser::default(),
        }
    }

    async fn ask(&self, client: &AdminClient) -> Result<Value> {
        let method = match self {
            Self::List(_) | Self::Show(_) | Self::Count(_) => Method::GET,
            Self::Revoke(_) | Self::RevokeAll(_) => Method::DELETE,
        };
        let path = match self {
            Self::List(_) | Self::RevokeAll(_) => "/sessions".to_owned(),
            Self::Count(_) => "/sessions/count".to_owned(),
            Self::Show(one) | Self::Revoke(one) => format!("/sessions/{}", one.session),
        };
        let query = self.user().query();
        client.call(method, &path, &query, None).await
    }

    fn show(&self, answer: &Value) -> Result<()> {
        match self {
            Self::List(_) => {
                let sessions = answer["sessions"]
                    .as_array()
                    .context("the gateway's answer has no list of sessions")?;
                if sessions.is_empty() {
                    say("no sessions");
                    return Ok(());
                }
                print(&table::of_sessions(sessions))
            }
            Self::Show(_) => print(&table::of_session(answer)),
            Self::Revoke(session) => {
                say(&format!("ended {}", session.session));
                Ok(())
            }
            Self::RevokeAll(_) => print(&format!("{}\n", number(answer, "revoked")?)),
            Self::Count(_) => {
                let least = number(answer, "at_least")?;
                let most = number(answer, "at_most")?;
                print(&if least == most {
                    format!("{least}\n")
                } else {
                    format!("{least} to {most}\n")
                })
            }
        }
    }
}

fn session_id(text: &str) -> Result<SessionId, &'static str> {
    SessionId::parse(text).ok_or("a session's name has 25 letters, digits, \"-\" and \"_\", such as XQA6q4mipt_R0QqKUlbqAY2fw")
}
