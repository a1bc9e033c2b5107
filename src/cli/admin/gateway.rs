//! Which gateway a command asks, and with which token.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::client::{AdminClient, FoundToken};
use crate::admin::AdminToken;
use crate::cli::UsageError;
use crate::config::Settings;
use crate::files;
use crate::secret::Secret;

/// Which gateway, and what opens its API. The token itself is no option: arguments can be read by
/// every user of the machine.
#[derive(Debug, Args)]
pub(in crate::cli) struct GatewayArgs {
    /// The configuration file, for admin.listen and the admin token; a .env beside it is also read
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
    /// Which token of the configuration: NAME of [admin.tokens.NAME], or admin for admin.token.
    /// Without it: admin.token, or else the only other one
    #[arg(long, value_name = "NAME", global = true, conflicts_with_all = ["token_env", "token_file"])]
    token_name: Option<String>,
    /// The environment variable with the token, instead of the file's
    #[arg(long, value_name = "NAME", global = true)]
    token_env: Option<String>,
    /// The file with the token, instead of the configuration's
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "token_env")]
    token_file: Option<PathBuf>,
}

impl GatewayArgs {
    /// The configuration is read only for what the options leave open: the machine may have none.
    pub(in crate::cli) fn client(&self) -> Result<(AdminClient, Option<Settings>)> {
        match (self.given_token()?, &self.admin) {
            (Some(token), Some(admin)) => Ok((AdminClient::new(admin, token)?, None)),
            (given, _) => {
                let (client, settings) = self.configured_client(given)?;
                Ok((client, Some(settings)))
            }
        }
    }

    fn configured_client(&self, given: Option<FoundToken>) -> Result<(AdminClient, Settings)> {
        let (settings, mut warnings) = Settings::load(&self.config)?;
        // What is odd about routes is for `hufu check`, not for whoever looks for a session.
        warnings.retain(|warning| warning.path.is_empty() || warning.path.starts_with("admin"));
        crate::cli::warn(&warnings);
        let token = match given {
            Some(token) => token,
            None => self.configured_token(&settings.admin.tokens)?,
        };
        let admin = match &self.admin {
            Some(admin) => admin.clone(),
            None => url_of(settings.admin.listen),
        };
        Ok((AdminClient::new(&admin, token)?, settings))
    }

    /// The token that `--token-name` names, else `admin.token`, else the only one. Of several none
    /// is guessed: the gateway's log will name it.
    fn configured_token(&self, tokens: &[AdminToken]) -> Result<FoundToken, UsageError> {
        let wanted = self.token_name.as_deref().unwrap_or(AdminToken::UNNAMED);
        let token = match (&self.token_name, tokens) {
            (None, [only]) => Some(only),
            _ => tokens.iter().find(|token| *token.name == *wanted),
        };
        let token = token.ok_or_else(|| self.no_token(tokens))?;
        Ok(FoundToken {
            secret: token.secret.clone(),
            place: format!("{} of {}", token.key(), self.config.display()),
        })
    }

    fn no_token(&self, tokens: &[AdminToken]) -> UsageError {
        let config = self.config.display();
        let names: Vec<&str> = tokens.iter().map(|token| &*token.name).collect();
        let names = names.join(", ");
        UsageError(match &self.token_name {
            _ if tokens.is_empty() => format!(
                "{config}: admin.token is not set; set it for the gateway too, or use --token-env or --token-file"
            ),
            Some(name) => format!(
                "--token-name {name}: {config} has no admin token of this name; it has {names}"
            ),
            None => {
                format!("{config} has several admin tokens: choose one with --token-name ({names})")
            }
        })
    }

    /// The token of `--token-env` or `--token-file`.
    fn given_token(&self) -> Result<Option<FoundToken>, UsageError> {
        let (text, place) = if let Some(name) = &self.token_env {
            let text = std::env::var(name).map_err(|_| {
                UsageError(format!("--token-env {name}: there is no such variable"))
            })?;
            (text, format!("the variable {name} of --token-env"))
        } else if let Some(path) = &self.token_file {
            (read(path)?, format!("{} of --token-file", path.display()))
        } else {
            return Ok(None);
        };
        Ok(Some(FoundToken {
            secret: Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()),
            place: format!("the token in {place}"),
        }))
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
