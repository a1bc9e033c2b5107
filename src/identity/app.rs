//! The apps that may sign in here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::capability::{AppTickets, AppToken, OpenData, PhoneNumbers, SessionKeyApi};
use crate::identity::code::STORE_SHARE;
use crate::identity::component::ComponentApi;
use crate::identity::login_hook::LoginHookSettings;
use crate::identity::provider::IdentityProvider;
use crate::session::{PatchLife, UserKey};

/// Longest id of an app, in bytes.
const APPID_MAX: usize = 64;

/// One app of the configuration, or one of somebody else's for which it acts.
#[derive(Clone)]
pub struct App {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The platform's id of it, such as `wx0123456789abcdef`.
    pub appid: Arc<str>,
    /// The platform's id of the configured app that acts for this one; `None`: it is that app
    /// itself.
    pub component: Option<Arc<str>>,
    /// Who exchanges its codes.
    pub provider: Arc<dyn IdentityProvider>,
    /// What its logins are asked about; `None`: nobody is asked.
    pub login_hook: Option<Arc<LoginHookSettings>>,
}

/// Whether a text can be the id of an app.
pub fn is_appid(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= APPID_MAX && text.bytes().all(allowed)
}

impl App {
    /// An app of the configuration.
    pub fn new(name: Arc<str>, appid: Arc<str>, provider: Arc<dyn IdentityProvider>) -> Self {
        Self {
            name,
            appid,
            component: None,
            provider,
            login_hook: None,
        }
    }

    /// The same app, with a login hook or without.
    #[must_use]
    pub fn with_hook(self, login_hook: Option<Arc<LoginHookSettings>>) -> Self {
        Self { login_hook, ..self }
    }

    /// The longest that the exchange of a code takes: with a token, also two waits for one, and the
    /// second call where the first token is refused.
    fn exchange_time(&self) -> Duration {
        let calls = if self.component_api().is_some() { 4 } else { 1 };
        self.provider.total_timeout() * calls
    }

    /// For how long a login has its code to itself.
    pub fn login_lease(&self) -> Duration {
        let hook = self.login_hook.as_ref();
        let hook_time = hook.map_or(Duration::ZERO, |hook| hook.timeout);
        self.exchange_time() + hook_time + STORE_SHARE
    }

    /// How long changes of a user's claims outlive the user's sessions: what the login hook says at
    /// the next login is the newer truth.
    pub fn patch_life(&self) -> PatchLife {
        match self.login_hook {
            Some(_) => PatchLife::Login(self.login_lease()),
            None => PatchLife::Lasting,
        }
    }

    /// The app with this id, for which this one acts.
    pub fn for_authorizer(&self, appid: Arc<str>) -> Self {
        let component = self.component.as_ref().unwrap_or(&self.appid);
        Self {
            component: Some(component.clone()),
            appid,
            ..self.clone()
        }
    }

    /// The app of the configuration that acts for this one; `None`: it is that app itself.
    pub fn acting(&self) -> Option<Self> {
        let component = self.component.clone()?;
        Some(Self {
            appid: component,
            component: None,
            ..self.clone()
        })
    }

    /// The id of this app where another one acts for it.
    pub fn authorizer(&self) -> Option<&Arc<str>> {
        self.component.as_ref().map(|_| &self.appid)
    }

    pub fn component_api(&self) -> Option<&dyn ComponentApi> {
        self.provider.component()
    }

    pub fn open_data(&self) -> Option<&dyn OpenData> {
        self.provider.open_data()
    }

    pub fn phone_numbers(&self) -> Option<&dyn PhoneNumbers> {
        self.provider.phone_numbers()
    }

    pub fn session_key_api(&self) -> Option<&dyn SessionKeyApi> {
        self.provider.session_key_api()
    }

    pub fn app_tickets(&self) -> Option<&dyn AppTickets> {
        self.provider.app_tickets()
    }

    pub fn app_token(&self) -> Option<&dyn AppToken> {
        self.provider.app_token()
    }
}

/// All apps. With a single one nobody needs to name it.
#[derive(Clone, Default)]
pub struct Apps(BTreeMap<Arc<str>, App>);

impl Apps {
    /// The apps by name.
    pub fn new(apps: impl IntoIterator<Item = App>) -> Self {
        Self(
            apps.into_iter()
                .map(|app| (app.name.clone(), app))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<&App> {
        self.0.get(name)
    }

    /// The app of a user: of the configuration, or an authorizer's.
    pub fn of_user(&self, user: &UserKey) -> Option<App> {
        let app = self.get(&user.app)?;
        Some(match &user.authorizer {
            Some(authorizer) => app.for_authorizer(authorizer.clone()),
            None => app.clone(),
        })
    }

    /// The id of a user's app; empty where it is not configured any more.
    pub fn appid_of<'a>(&'a self, user: &'a UserKey) -> &'a str {
        match (self.get(&user.app), &user.authorizer) {
            (None, _) => "",
            (Some(_), Some(authorizer)) => authorizer,
            (Some(app), None) => &app.appid,
        }
    }

    /// The only app, if there is just one.
    pub fn only(&self) -> Option<&App> {
        let mut all = self.0.values();
        all.next().filter(|_| all.next().is_none())
    }

    /// All apps, by name.
    pub fn iter(&self) -> impl Iterator<Item = &App> {
        self.0.values()
    }
}
