//! The apps that may sign in here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::capability::{AppToken, OpenData, PhoneNumbers, SessionKeyApi};
use crate::identity::provider::IdentityProvider;

/// One app of the configuration.
#[derive(Clone)]
pub struct App {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The platform's id of it, such as `wx0123456789abcdef`.
    pub appid: Arc<str>,
    /// Who exchanges its codes.
    pub provider: Arc<dyn IdentityProvider>,
}

impl App {
    pub fn open_data(&self) -> Option<&dyn OpenData> {
        self.provider.open_data()
    }

    pub fn phone_numbers(&self) -> Option<&dyn PhoneNumbers> {
        self.provider.phone_numbers()
    }

    pub fn session_key_api(&self) -> Option<&dyn SessionKeyApi> {
        self.provider.session_key_api()
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

    /// The app with this name.
    pub fn get(&self, name: &str) -> Option<&App> {
        self.0.get(name)
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
