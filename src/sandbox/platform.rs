//! The simulated platform: users, codes, keys, tokens and troubles, shared by all its handlers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::access_tokens::{AccessTokens, Granted};
use super::codes::{CodeRefusal, Codes, Purpose};
use super::components::{Components, Tokens};
use super::denied::Denied;
use super::faults::{Fault, Faults};
use super::push_settings::PushSettings;
use super::settings::{AcceptedApps, SandboxSettings};
use super::users::{self, Users};
use crate::clock::{Clock, UnixMillis};
use crate::crypto::{hash, open_data, random};
use crate::secret::Secret;

/// The platform. Share it by `Arc`; everything that a handler can do, a test in the same process
/// can do directly.
pub struct Platform {
    settings: SandboxSettings,
    clock: Arc<dyn Clock>,
    state: Mutex<SimulatorState>,
}

/// What a login code becomes.
#[derive(Debug, Serialize)]
pub(super) struct Login {
    pub(super) session_key: String,
    pub(super) openid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unionid: Option<String>,
}

/// What the phone's `wx.getUserProfile` and its kind hand to the page.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedOpenData {
    /// The data with its watermark, under the user's session_key; base64.
    pub encrypted_data: String,
    /// base64.
    pub iv: String,
    /// The data without the watermark, as JSON.
    pub raw_data: String,
    /// `sha1(rawData ‖ session_key)`, hexadecimal.
    pub signature: String,
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

    /// What `wx.login` does on the phone: a fresh login code, and a new session_key if the old one
    /// is old enough.
    pub fn login_code(&self, app: &str, user: &str) -> String {
        self.code(app, user, Purpose::Login)
    }

    /// What the phone number button does: a code for `getuserphonenumber`.
    pub fn phone_code(&self, app: &str, user: &str) -> String {
        self.code(app, user, Purpose::Phone)
    }

    /// A new session_key for the user; what was sealed before no longer opens.
    pub fn rotate(&self, app: &str, user: &str) {
        let now = self.now();
        self.state.lock().users.named(app, user, now).rotate(now);
    }

    /// The user's present session_key.
    pub fn session_key(&self, app: &str, user: &str) -> Secret<String> {
        Secret::new(
            self.state
                .lock()
                .users
                .named(app, user, self.now())
                .session_key
                .clone(),
        )
    }

    /// Seals data as the phone would. A `watermark` in the data stays as it is; else it gets the
    /// right one.
    pub fn open_data(&self, app: &str, user: &str, data: Map<String, Value>) -> SealedOpenData {
        let key = self.session_key(app, user);
        let now = self.now();
        let mut raw = data.clone();
        raw.remove("watermark");
        let raw_data = Value::Object(raw).to_string();
        let mut sealed = data;
        sealed
            .entry("watermark")
            .or_insert_with(|| json!({ "timestamp": now.0 / 1000, "appid": app }));
        let sealed = open_data::encrypt(
            key.expose(),
            random::bytes(),
            Value::Object(sealed).to_string().as_bytes(),
        );
        let (encrypted_data, iv) = sealed.expect("the simulator's own keys have 16 bytes");
        let signature = open_data::signature(&raw_data, key.expose());
        SealedOpenData {
            encrypted_data,
            iv,
            raw_data,
            signature,
        }
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

    pub(super) fn code(&self, app: &str, user: &str, purpose: Purpose) -> String {
        let now = self.now();
        let mut state = self.state.lock();
        let made = state.users.named(app, user, now);
        if purpose == Purpose::Login {
            made.logged_in(now, self.settings.rotate_after);
        }
        state.codes.issue(app, user, purpose, now)
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

    /// Exchanges a login code.
    pub(super) fn exchange(&self, app: &str, code: &str) -> Result<Login, Denied> {
        let now = self.now();
        let mut state = self.state.lock();
        let (user, adopted) = self.owner(&state, app, code, Purpose::Login, now)?;
        if user.starts_with(users::BLOCKED) {
            return Err(Denied::UserBlocked);
        }
        let known = state.users.named(app, &user, now);
        if !known.may_exchange(now, self.settings.logins_per_minute) {
            return Err(Denied::TooOften);
        }
        if adopted {
            known.logged_in(now, self.settings.rotate_after);
        }
        let session_key = known.session_key.clone();
        state.spend(app, code, Purpose::Login, adopted, now);
        Ok(Login {
            session_key,
            openid: users::openid(app, &user),
            unionid: users::unionid(&user),
        })
    }

    /// The phone number behind a phone code; with an openid, only if the code is that user's.
    pub(super) fn phone(
        &self,
        app: &str,
        code: &str,
        openid: Option<&str>,
    ) -> Result<String, Denied> {
        let now = self.now();
        let mut state = self.state.lock();
        // The platform does not tell a used phone code from a wrong one.
        let (mut user, adopted) = self
            .owner(&state, app, code, Purpose::Phone, now)
            .map_err(|_| Denied::BadCode)?;
        if let Some(openid) = openid {
            match state.users.with_openid(app, openid) {
                Some(named) if adopted => user.clone_from(&named.name),
                _ if users::openid(app, &user) == openid => {}
                _ => return Err(Denied::BadCode),
            }
        }
        state.spend(app, code, Purpose::Phone, adopted, now);
        Ok(users::phone_number(&user))
    }

    /// Whose code it is, and whether it was not issued here.
    fn owner(
        &self,
        state: &SimulatorState,
        app: &str,
        code: &str,
        purpose: Purpose,
        now: UnixMillis,
    ) -> Result<(String, bool), Denied> {
        match state
            .codes
            .owner(app, code, purpose, now, self.settings.code_ttl)
        {
            Ok(user) => Ok((user, false)),
            Err(CodeRefusal::Unknown) if self.settings.accept_unknown_codes => {
                Ok((code.to_owned(), true))
            }
            Err(CodeRefusal::Unknown | CodeRefusal::Invalid) => Err(Denied::BadCode),
            Err(CodeRefusal::Used) => Err(Denied::CodeUsed),
        }
    }

    /// The session_key of an openid, after the caller has proved that it knows it.
    pub(super) fn check_signature(
        &self,
        app: &str,
        openid: &str,
        signature: &str,
    ) -> Result<String, Denied> {
        let mut state = self.state.lock();
        let user = state
            .users
            .with_openid(app, openid)
            .ok_or(Denied::UserUnknown)?;
        let expected = hash::to_hex(&hash::hmac_sha256(user.session_key.as_bytes(), b""));
        if hash::constant_time_eq(expected.as_bytes(), signature.as_bytes()) {
            Ok(user.name.clone())
        } else {
            Err(Denied::BadSignature)
        }
    }

    pub(super) fn plain_token(&self, app: &str) -> Granted {
        self.state.lock().tokens.plain(app, self.now())
    }

    pub(super) fn stable_token(&self, app: &str, force: bool) -> Result<Granted, Denied> {
        self.state
            .lock()
            .tokens
            .stable(app, force, self.now())
            .ok_or(Denied::QuotaUsedUp)
    }

    pub(super) fn app_ticket(&self, app: &str, kind: &str) -> Result<Granted, Denied> {
        self.state
            .lock()
            .tickets
            .stable(&ticket_owner(app, kind), false, self.now())
            .ok_or(Denied::QuotaUsedUp)
    }

    /// Whether an app has a user with this openid.
    pub(super) fn knows_user(&self, app: &str, openid: &str) -> bool {
        self.state.lock().users.with_openid(app, openid).is_some()
    }

    /// Whether an access_token is good now.
    pub fn knows_token(&self, token: &str) -> bool {
        self.app_of_token(token).is_ok()
    }

    /// Whether a ticket for pages (`jsapi`) or cards (`wx_card`) of an app is good now.
    pub fn knows_ticket(&self, app: &str, kind: &str, ticket: &str) -> bool {
        let owner = self.state.lock().tickets.app_of(ticket, self.now());
        owner.is_some_and(|owner| owner == ticket_owner(app, kind))
    }

    /// The stable access_token of an app, as whoever fetches it gets it.
    #[must_use]
    pub fn stable_token_of(&self, app: &str) -> String {
        self.stable_token(app, false)
            .map(|granted| granted.access_token)
            .unwrap_or_default()
    }

    /// Ends all access_tokens of an app, as another fetcher of the team's would; how many lived.
    pub fn end_tokens(&self, app: &str) -> usize {
        let now = self.now();
        let mut state = self.state.lock();
        state.tokens.end(app, now) + state.components.end(app, now)
    }

    /// What the platform pushes to a component every ten minutes.
    pub fn ticket(&self, component: &str) -> String {
        self.state.lock().components.ticket(component, self.now())
    }

    /// What an administrator of an app does who authorises a component; the code of the event.
    pub fn authorize(&self, component: &str, app: &str) -> String {
        self.state.lock().components.authorize(component, app)
    }

    /// What an administrator does who ends the authorization; whether there was one. The app's
    /// tokens end with it.
    pub fn withdraw(&self, component: &str, app: &str) -> bool {
        let now = self.now();
        let mut state = self.state.lock();
        state.tokens.end(app, now);
        state.components.withdraw(component, app)
    }

    /// The refresh token that the platform takes of an authorizer.
    pub(super) fn refresh_token(&self, component: &str, app: &str) -> Result<String, Denied> {
        self.state.lock().components.refresh_token(component, app)
    }

    pub(super) fn component_token(&self, component: &str, ticket: &str) -> Result<Granted, Denied> {
        let now = self.now();
        self.state.lock().components.token(component, ticket, now)
    }

    pub(super) fn check_component(&self, component: &str, token: &str) -> Result<(), Denied> {
        let now = self.now();
        self.state.lock().components.check(component, token, now)
    }

    pub(super) fn check_authorized(&self, component: &str, app: &str) -> Result<(), Denied> {
        self.state
            .lock()
            .components
            .check_authorized(component, app)
    }

    pub(super) fn first_tokens(&self, component: &str, code: &str) -> Result<Tokens, Denied> {
        let now = self.now();
        let state = &mut *self.state.lock();
        let components = &mut state.components;
        components.first_tokens(component, code, &mut state.tokens, now)
    }

    pub(super) fn refresh_authorizer(
        &self,
        component: &str,
        app: &str,
        refresh: &str,
    ) -> Result<Tokens, Denied> {
        let now = self.now();
        let state = &mut *self.state.lock();
        let components = &mut state.components;
        components.refresh(component, app, refresh, &mut state.tokens, now)
    }

    /// Only these addresses may fetch the app's access_token from now on; none: any.
    pub fn allow_addresses(&self, app: &str, addresses: Vec<IpAddr>) {
        let mut state = self.state.lock();
        if addresses.is_empty() {
            state.addresses.remove(app);
        } else {
            state.addresses.insert(app.to_owned(), addresses);
        }
    }

    pub(super) fn allows_address(&self, app: &str, address: IpAddr) -> bool {
        let state = self.state.lock();
        let allowed = state.addresses.get(app);
        allowed.is_none_or(|addresses| addresses.contains(&address))
    }

    /// The app that an access_token belongs to.
    pub(super) fn app_of_token(&self, token: &str) -> Result<String, Denied> {
        self.state
            .lock()
            .tokens
            .app_of(token, self.now())
            .ok_or(Denied::BadToken)
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

impl SimulatorState {
    fn spend(&mut self, app: &str, code: &str, purpose: Purpose, adopted: bool, now: UnixMillis) {
        if adopted {
            self.codes.adopt(app, code, purpose, now);
        } else {
            self.codes.spend(code);
        }
    }
}

/// Tickets of both kinds stand in one list.
fn ticket_owner(app: &str, kind: &str) -> String {
    format!("{app} {kind}")
}
