//! What phones do, and what the platform makes of their codes.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Platform, SimulatorState};
use crate::clock::UnixMillis;
use crate::crypto::{hash, open_data, random};
use crate::sandbox::codes::{CodeRefusal, Purpose};
use crate::sandbox::denied::Denied;
use crate::sandbox::users;
use crate::secret::Secret;

/// What a login code becomes.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Login {
    pub(in crate::sandbox) session_key: String,
    pub(in crate::sandbox) openid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::sandbox) unionid: Option<String>,
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

impl Platform {
    /// What `wx.login` does on the phone: a fresh login code, and a new session_key if the old one
    /// is old enough.
    pub fn login_code(&self, app: &str, user: &str) -> String {
        self.code(app, user, Purpose::Login)
    }

    /// What the phone number button does: a code for `getuserphonenumber`.
    pub fn phone_code(&self, app: &str, user: &str) -> String {
        self.code(app, user, Purpose::Phone)
    }

    pub(in crate::sandbox) fn code(&self, app: &str, user: &str, purpose: Purpose) -> String {
        let now = self.now();
        let mut state = self.state.lock();
        let made = state.users.named(app, user, now);
        if purpose == Purpose::Login {
            made.logged_in(now, self.settings.rotate_after);
        }
        state.codes.issue(app, user, purpose, now)
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

    pub(in crate::sandbox) fn exchange(&self, app: &str, code: &str) -> Result<Login, Denied> {
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
    pub(in crate::sandbox) fn phone(
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
    pub(in crate::sandbox) fn check_signature(
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

    /// Whether an app has a user with this openid.
    pub(in crate::sandbox) fn knows_user(&self, app: &str, openid: &str) -> bool {
        self.state.lock().users.with_openid(app, openid).is_some()
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
