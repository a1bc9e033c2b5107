//! The command line and what each command does.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::client::AdminClient;
use super::table;
use crate::cli::{UsageError, print, say};
use crate::config::Settings;
use crate::files;
use crate::provider::registry::platform;
use crate::secret::Secret;
use crate::session::SessionId;

/// Show and end users' sessions, through the admin API of a running gateway
///
/// The gateway needs admin.token. Without --admin and a token option, both come from the
/// configuration file.
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
struct UserArgs {
    /// The app's name in the configuration; required if there are several
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// The id of the user's app, if the configured one acts for it
    #[arg(long, value_name = "APPID")]
    authorizer: Option<String>,
    /// The user: an openid
    #[arg(long, value_name = "OPENID")]
    user: String,
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

/// Which gateway, and what opens its API. The token itself is no option: arguments can be read by
/// every user of the machine.
#[derive(Debug, Args)]
struct GatewayArgs {
    /// The configuration file, for admin.listen and admin.token; a .env beside it is also read
    #[arg(
        long = "config",
        short = 'c',
        value_name = "FILE",
        default_value = "hufu.toml",
        global = true
    )]
    config: PathBuf,
    /// The admin listener, such as http://10.0.0.5:8081, instead of the file's
    #[arg(long, value_name = "URL", global = true)]
    admin: Option<String>,
    /// The environment variable with the token, instead of the file's
    #[arg(long, value_name = "NAME", global = true)]
    token_env: Option<String>,
    /// The file with the token, instead of the configuration's
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "token_env")]
    token_file: Option<PathBuf>,
}

pub(crate) fn run(args: &SessionsArgs) -> Result<()> {
    let (client, settings) = args.gateway.client()?;
    if let Some(odd) = settings.and_then(|settings| args.command.user_doubt(&settings)) {
        say(&format!(
            "note: --user {odd}. A backend gets it as X-WX-OPENID"
        ));
    }
    let answer = actix_web::rt::System::new().block_on(args.command.ask(&client))?;
    if args.json {
        // What was done without an answer is an empty one: a script reads one line in any case.
        let body = if answer.is_null() {
            serde_json::json!({})
        } else {
            answer
        };
        return print(&format!("{body}\n"));
    }
    args.command.show(&answer)
}

impl SessionsCommand {
    /// What is odd about the user's id, where the configuration says of which platform it is.
    fn user_doubt(&self, settings: &Settings) -> Option<String> {
        let (app, user) = match self {
            Self::List(who) | Self::RevokeAll(who) => (who.app.as_deref(), who.user.as_str()),
            Self::Count(who) => (who.app.as_deref(), who.user.as_deref()?),
            Self::Show(_) | Self::Revoke(_) => return None,
        };
        let mut apps = settings
            .apps
            .iter()
            .filter(|known| app.is_none_or(|app| *known.name == *app));
        let app = apps.next().filter(|_| apps.next().is_none())?;
        let doubt = platform(app.provider).user_doubt?;
        doubt(user)
    }

    async fn ask(&self, client: &AdminClient) -> Result<Value> {
        let method = match self {
            Self::List(_) | Self::Show(_) | Self::Count(_) => Method::GET,
            Self::Revoke(_) | Self::RevokeAll(_) => Method::DELETE,
        };
        let (path, query) = match self {
            Self::List(who) | Self::RevokeAll(who) => (
                "/sessions".to_owned(),
                query(&who.app, &who.authorizer, Some(&who.user)),
            ),
            Self::Count(who) => (
                "/sessions/count".to_owned(),
                query(&who.app, &who.authorizer, who.user.as_deref()),
            ),
            Self::Show(one) | Self::Revoke(one) => {
                (format!("/sessions/{}", one.session), Vec::new())
            }
        };
        client.call(method, &path, &query).await
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

fn number(body: &Value, key: &str) -> Result<u64> {
    body[key]
        .as_u64()
        .with_context(|| format!("the gateway's answer has no {key}"))
}

fn query<'a>(
    app: &'a Option<String>,
    authorizer: &'a Option<String>,
    user: Option<&'a str>,
) -> Vec<(&'static str, &'a str)> {
    let named = [
        ("app", app.as_deref()),
        ("authorizer_appid", authorizer.as_deref()),
        ("user", user),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn session_id(text: &str) -> Result<SessionId, &'static str> {
    SessionId::parse(text).ok_or("a session's name has 25 letters, digits, \"-\" and \"_\", such as XQA6q4mipt_R0QqKUlbqAY2fw")
}

impl GatewayArgs {
    /// The configuration is read only for what the options leave open: the machine may have none.
    fn client(&self) -> Result<(AdminClient, Option<Settings>)> {
        let given = self.token()?;
        let from = match (&self.token_env, &self.token_file) {
            (Some(name), _) => format!("the token in the variable {name} of --token-env"),
            (None, Some(path)) => format!("the token in {} of --token-file", path.display()),
            (None, None) => format!("admin.token of {}", self.config.display()),
        };
        if let (Some(admin), Some(token)) = (&self.admin, &given) {
            return Ok((AdminClient::new(admin, token, from)?, None));
        }
        let (settings, mut warnings) = Settings::load(&self.config)?;
        // What is odd about routes is for `hufu check`, not for whoever looks for a session.
        warnings.retain(|warning| warning.path.is_empty() || warning.path.starts_with("admin"));
        crate::cli::warn(&warnings);
        let admin = self
            .admin
            .clone()
            .unwrap_or_else(|| url_of(settings.admin.listen));
        let missing = || {
            UsageError(format!(
                "{}: admin.token is not set; set it for the gateway too, or use --token-env or --token-file",
                self.config.display()
            ))
        };
        let token = given
            .or_else(|| settings.admin.token.clone())
            .ok_or_else(missing)?;
        Ok((AdminClient::new(&admin, &token, from)?, Some(settings)))
    }

    fn token(&self) -> Result<Option<Secret<String>>, UsageError> {
        let text = match (&self.token_env, &self.token_file) {
            (Some(name), _) => std::env::var(name).map_err(|_| {
                UsageError(format!("--token-env {name}: there is no such variable"))
            })?,
            (None, Some(path)) => read(path)?,
            (None, None) => return Ok(None),
        };
        Ok(Some(Secret::new(
            text.trim_end_matches(['\r', '\n']).to_owned(),
        )))
    }
}

fn read(path: &Path) -> Result<String, UsageError> {
    let text = files::read_piped_text(path)
        .map_err(|reason| UsageError(format!("--token-file: {} {reason}", path.display())))?;
    Ok(text.to_string())
}

/// Where a listener is reached from its own machine.
fn url_of(mut listen: std::net::SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("http://{listen}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_machine_itself() {
        for (listen, url) in [
            ("0.0.0.0:8081", "http://127.0.0.1:8081"),
            ("[::]:1", "http://[::1]:1"),
            ("10.0.0.5:2", "http://10.0.0.5:2"),
        ] {
            assert_eq!(url_of(listen.parse().unwrap()), url);
        }
    }
}
