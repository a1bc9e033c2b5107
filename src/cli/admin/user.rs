//! Which user a command is about.

use clap::Args;

use crate::cli::say;
use crate::config::Settings;
use crate::provider::registry::platform;

#[derive(Debug, Args)]
pub(in crate::cli) struct UserArgs {
    /// The app's name in the configuration; required if there are several
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// The id of the user's app, if the configured one acts for it
    #[arg(long, value_name = "APPID")]
    authorizer: Option<String>,
    /// The user: an openid
    #[arg(long, value_name = "OPENID")]
    pub(in crate::cli) user: String,
}

/// The parts of a user's name that a command has.
#[derive(Default)]
pub(in crate::cli) struct NamedUser<'a> {
    pub(in crate::cli) app: Option<&'a str>,
    pub(in crate::cli) authorizer: Option<&'a str>,
    pub(in crate::cli) user: Option<&'a str>,
}

impl UserArgs {
    pub(in crate::cli) fn named(&self) -> NamedUser<'_> {
        NamedUser {
            app: self.app.as_deref(),
            authorizer: self.authorizer.as_deref(),
            user: Some(&self.user),
        }
    }
}

impl<'a> NamedUser<'a> {
    /// As the query of a request has them.
    pub(in crate::cli) fn query(&self) -> Vec<(&'static str, &'a str)> {
        let parts = [
            ("app", self.app),
            ("authorizer_appid", self.authorizer),
            ("user", self.user),
        ];
        parts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Says what is odd about the user's id, where the configuration says of which platform it is.
    pub(in crate::cli) fn note_doubt(&self, settings: Option<&Settings>) {
        if let Some(odd) = settings.and_then(|settings| self.doubt(settings)) {
            say(&format!(
                "note: --user {odd}. A backend gets it as X-WX-OPENID"
            ));
        }
    }

    fn doubt(&self, settings: &Settings) -> Option<String> {
        let mut apps = settings
            .apps
            .iter()
            .filter(|known| self.app.is_none_or(|app| *known.name == *app));
        let app = apps.next().filter(|_| apps.next().is_none())?;
        let doubt_of = platform(app.provider).user_doubt?;
        doubt_of(self.user?)
    }
}
