//! For which apps a client may call, and how a request names one: an app of the configuration by its
//! name or id, one for which such an app acts by `NAME/APPID`, or by its id alone, as SDKs do.

use std::sync::Arc;

use super::settings::CallableApp;
use crate::identity::{App, is_appid};
use crate::provider::server_calls::ServerCalls;

/// An app that servers can call for.
#[derive(Clone)]
pub struct ClientApp {
    pub app: App,
    pub calls: Arc<ServerCalls>,
}

pub(super) struct ClientApps {
    allowed: Vec<CallableApp>,
    /// Those that the configuration has.
    configured: Vec<ClientApp>,
}

/// Why a request is for no app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoApp {
    /// The client may not call for it, or there is none.
    NotAllowed,
    /// The client has several.
    Several,
    /// It acts for others, and the request says for none.
    NoAuthorizer,
}

impl ClientApps {
    /// Those of `all` that are allowed.
    pub(super) fn new(allowed: &[CallableApp], all: &[ClientApp]) -> Self {
        let is_allowed =
            |app: &&ClientApp| allowed.iter().any(|allowed| allowed.name == app.app.name);
        Self {
            allowed: allowed.to_vec(),
            configured: all.iter().filter(is_allowed).cloned().collect(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ClientApp> {
        self.configured.iter()
    }

    /// The app with this name, or with a name and an id.
    pub(super) fn named(&self, text: &str) -> Result<ClientApp, NoApp> {
        let (name, authorizer) = match text.split_once('/') {
            Some((name, authorizer)) => (name, Some(authorizer)),
            None => (text, None),
        };
        let app = self.configured(name).ok_or(NoApp::NotAllowed)?;
        match (app.app.component_api().is_some(), authorizer) {
            (false, None) => Ok(app.clone()),
            (true, Some(authorizer)) => {
                let of = self.authorizer(app, authorizer);
                of.ok_or(NoApp::NotAllowed)
            }
            (true, None) => Err(NoApp::NoAuthorizer),
            (false, Some(_)) => Err(NoApp::NotAllowed),
        }
    }

    /// The app with this id. Of those for which others act, one that is named in the client's list
    /// comes first.
    pub(super) fn with_id(&self, appid: &str) -> Option<ClientApp> {
        let own = self
            .configured
            .iter()
            .find(|app| *app.app.appid == *appid && app.app.component_api().is_none());
        own.cloned().or_else(|| {
            let (named, whole): (Vec<_>, Vec<_>) = self
                .allowed
                .iter()
                .partition(|allowed| allowed.authorizer.is_some());
            let mut acting = named.into_iter().chain(whole);
            acting.find_map(|allowed| {
                let app = self.configured(&allowed.name)?;
                self.authorizer(app, appid)
            })
        })
    }

    /// The only one, where a request names none.
    pub(super) fn only(&self) -> Result<ClientApp, NoApp> {
        match self.allowed.as_slice() {
            [only] => self.named(&only.to_string()),
            _ => Err(NoApp::Several),
        }
    }

    fn configured(&self, name: &str) -> Option<&ClientApp> {
        self.configured.iter().find(|app| *app.app.name == *name)
    }

    /// The app with this id for which another one acts.
    fn authorizer(&self, acting: &ClientApp, appid: &str) -> Option<ClientApp> {
        let can_be =
            acting.app.component_api().is_some() && is_appid(appid) && *acting.app.appid != *appid;
        let of = ClientApp {
            app: can_be.then(|| acting.app.for_authorizer(appid.into()))?,
            calls: acting.calls.clone(),
        };
        let wanted = CallableApp::of(&of.app);
        let mut allowed = self.allowed.iter();
        allowed
            .any(|allowed| allowed.includes(&wanted))
            .then_some(of)
    }
}
