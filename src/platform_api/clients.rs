//! The backends that may call, as one load of the configuration has them.

use std::fmt;
use std::sync::Arc;

use super::client_apps::{ClientApp, ClientApps};
use super::gateway_token::{TokenKey, UncheckedToken};
use super::limits::{ClientUse, InFlight};
use super::settings::ClientSettings;
use crate::clock::UnixMillis;
use crate::crypto::hash;
use crate::http::GatewayError;
use crate::http::request_log::CountedRoute;
use crate::metrics::Metrics;
use crate::secret::Secret;

/// What requests to the listener are counted and logged as; behind a slash follows the client.
pub(super) const ROUTE: &str = "platform_api";

pub struct Clients {
    all: Vec<Arc<Client>>,
    /// What requests are counted as whose client is not known.
    pub(super) nobody: Arc<CountedRoute>,
}

/// One of them.
pub(super) struct Client {
    pub(super) settings: ClientSettings,
    secrets: Vec<ClientSecret>,
    pub(super) apps: ClientApps,
    pub(super) counted: Arc<CountedRoute>,
    used: Arc<ClientUse>,
}

struct ClientSecret {
    /// Of one length whatever was configured and whatever was sent, so that comparing tells
    /// nothing.
    digest: [u8; 32],
    key: TokenKey,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.all.iter().map(|client| &client.settings.name);
        f.debug_list().entries(names).finish()
    }
}

impl Clients {
    /// Clients with these settings, of which one that was there before keeps what it has used up.
    /// Of their apps those are left out that `apps` does not have.
    #[must_use]
    pub fn new(
        settings: &[ClientSettings],
        apps: &[ClientApp],
        before: Option<&Self>,
        metrics: &Metrics,
    ) -> Self {
        let client = |settings: &ClientSettings| {
            let before = before.and_then(|before| before.named(&settings.name));
            Arc::new(Client::new(settings, apps, before, metrics))
        };
        Self {
            all: settings.iter().map(client).collect(),
            nobody: match before {
                Some(before) => before.nobody.clone(),
                None => Arc::new(CountedRoute::new(metrics, ROUTE)),
            },
        }
    }

    pub(super) fn named(&self, name: &str) -> Option<&Arc<Client>> {
        self.all
            .iter()
            .find(|client| *client.settings.name == *name)
    }

    /// The client of a secret, and a key for its tokens.
    pub(super) fn with_secret(&self, given: &str) -> Option<(&Arc<Client>, &TokenKey)> {
        let digest = hash::sha256(given.as_bytes());
        let mut found = None;
        for client in &self.all {
            if let Some(key) = client.key_of(&digest) {
                found = Some((client, key));
            }
        }
        found
    }

    pub(super) fn is_platform(&self, host: &str) -> bool {
        let mut apps = self.all.iter().flat_map(|client| client.apps.iter());
        apps.any(|app| app.calls.goes_to(host))
    }
}

impl Client {
    fn new(
        settings: &ClientSettings,
        apps: &[ClientApp],
        before: Option<&Arc<Self>>,
        metrics: &Metrics,
    ) -> Self {
        let secret = |secret: &Secret<String>| ClientSecret {
            digest: hash::sha256(secret.expose().as_bytes()),
            key: TokenKey::new(secret),
        };
        let (counted, used) = match before {
            Some(before) => (before.counted.clone(), before.used.clone()),
            None => {
                let name = format!("{ROUTE}/{}", settings.name);
                (Arc::new(CountedRoute::new(metrics, &name)), Arc::default())
            }
        };
        Self {
            secrets: settings.secrets.iter().map(secret).collect(),
            apps: ClientApps::new(&settings.apps, apps),
            settings: settings.clone(),
            counted,
            used,
        }
    }

    pub(super) fn has_secret(&self, given: &str) -> bool {
        self.key_of(&hash::sha256(given.as_bytes())).is_some()
    }

    /// Looks at all of them, so that the time tells nothing.
    fn key_of(&self, digest: &[u8; 32]) -> Option<&TokenKey> {
        let mut found = None;
        for secret in &self.secrets {
            if hash::constant_time_eq(&secret.digest, digest) {
                found = Some(&secret.key);
            }
        }
        found
    }

    /// Whether a token was made with one of the secrets, and is good now.
    pub(super) fn takes(&self, token: &UncheckedToken, now: UnixMillis) -> bool {
        self.secrets.iter().any(|secret| secret.key.has_made(token)) && !token.has_ended(now)
    }

    /// The pattern that lets a plain path pass.
    pub(super) fn allowed(&self, path: &str) -> Option<&str> {
        let mut patterns = self.settings.allow.iter();
        patterns
            .find(|pattern| pattern.covers(path))
            .map(super::paths::PathPattern::text)
    }

    pub(super) fn admit(&self) -> Result<InFlight, GatewayError> {
        self.used
            .admit(self.settings.rate, self.settings.max_concurrent)
    }
}
