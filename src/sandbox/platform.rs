//! The simulated platform: users, codes, keys, tokens and troubles, shared by all its handlers.

mod components;
mod logins;
mod tokens;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

pub(super) use self::logins::Login;
use super::access_tokens::AccessTokens;
use super::codes::Codes;
use super::components::Components;
use super::denied::Denied;
use super::faults::{Fault, Faults};
use super::push_settings::PushSettings;
use super::settings::{AcceptedApps, SandboxSettings};
use super::users::Users;
use crate::clock::{Clock, UnixMillis};
use crate::crypto::hash;

/// The platform. Share it by `Arc`; everything that a handler can do, a test in the same process
/// can do directly.
pub struct Platform {
    settings: SandboxSettings,
    clock: Arc<dyn Clock>,
    state: Mutex<SimulatorState>,
}

struct SimulatorState {
    users: Users,
    codes: Codes,
    tokens: AccessTokens,
    components: Components,
    /// Tickets stay the same as stable tokens do.
    tickets: AccessTokens,
    /// The addresses that may fetch an app's access_token, where there is such a list.
    addresses: HashMap<String, Vec<IpAddr>>,
    faults: Faults,
    /// Where the apps want their messages, by app.
    pushes: HashMap<String, PushSettings>,
}

impl Platform {
    /// A platform without users, whose codes and tokens age by this clock.
    pub fn new(settings: SandboxSettings, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = SimulatorState {
            users: Users::default(),
            codes: Codes::default(),
            tokens: AccessTokens::new(settings.token_life),
            components: Components::new(settings.token_life),
            tickets: AccessTokens::new(settings.token_life),
            addresses: HashMap::new(),
            faults: Faults::default(),
            pushes: HashMap::new(),
        };
        Arc::new(Self {
            settings,
            clock,
            state: Mutex::new(state),
        })
    }

    /// How often an API (its last path segment) was called.
    pub fn calls(&self, api: &str) -> u64 {
        self.state.lock().faults.calls(api)
    }

    /// The time of day on this platform.
    pub(super) fn now(&self) -> UnixMillis {
        self.clock.unix_now()
    }

    pub(super) const fn settings(&self) -> &SandboxSettings {
        &self.settings
    }

    /// Whether the app may be named in control requests.
    pub(super) fn knows(&self, app: &str) -> bool {
        match &self.settings.apps {
            AcceptedApps::Any => !app.is_empty(),
            AcceptedApps::Only(apps) => apps.iter().any(|known| known.appid == app),
        }
    }

    /// Checks an app's credentials.
    pub(super) fn check_app(&self, app: &str, secret: &str) -> Result<(), Denied> {
        if !self.knows(app) {
            return Err(Denied::AppUnknown);
        }
        let AcceptedApps::Only(apps) = &self.settings.apps else {
            return Ok(());
        };
        let good = apps.iter().any(|known| {
            known.appid == app
                && hash::constant_time_eq(known.secret.expose().as_bytes(), secret.as_bytes())
        });
        if good {
            Ok(())
        } else {
            Err(Denied::WrongSecret)
        }
    }

    /// The console has taken these settings.
    pub(super) fn keep_push_settings(&self, settings: PushSettings) {
        let app = settings.app.clone();
        self.state.lock().pushes.insert(app, settings);
    }

    pub(super) fn push_settings(&self, app: &str) -> Option<PushSettings> {
        self.state.lock().pushes.get(app).cloned()
    }

    pub(super) fn order(&self, api: &'static str, fault: Fault) {
        self.state.lock().faults.order(api, fault);
    }

    pub(super) fn called(&self, api: &'static str) -> Option<Fault> {
        self.state.lock().faults.called(api)
    }
}
