//! What sets a platform apart: how it is asked, how its answer reads, what its errors mean, and what
//! operators and clients have to know of it.

use std::sync::Arc;

use super::client::Call;
use super::server_api::ServerApi;
use super::settings::AppSettings;
use crate::identity::{
    Authorization, ExchangeRequest, GrantedToken, Identity, OpenData, PhoneNumber, PlatformCode,
    PushedEvent, PushedFields, Refreshed, ResetKey, TicketKind, TokenGrant, TokenUse,
};
use crate::secret::Secret;
use crate::session::ProviderKind;

/// Everything that sets a platform apart from the others.
pub struct Platform {
    /// Which one: its name in the configuration and its number in stored records.
    pub kind: ProviderKind,
    /// Its name in messages.
    pub name: &'static str,
    /// Where its API is.
    pub base_urls: &'static [&'static str],
    /// Its domain: a base URL below it is the platform itself and no stand-in.
    pub domain: &'static str,
    /// Where an operator finds an app's id and secret.
    pub console: &'static str,
    /// The environment variable that messages propose for an app's secret.
    pub secret_variable: &'static str,
    /// The origin of its clients' pages, which may call the gateway whatever `cors.origins` says;
    /// in a Referer the app's id follows it.
    pub web_origin: Option<&'static str>,
    /// What an app's id looks like.
    pub appid_example: &'static str,
    /// What is odd about an app's id, as it follows its key.
    pub appid_doubt: fn(&str) -> Option<String>,
    /// The same of a secret; it never shows the text.
    pub secret_doubt: fn(&str) -> Option<String>,
    /// What is odd about a user's id, as it follows it; `None`: the form is not known.
    pub user_doubt: Option<fn(&str) -> Option<String>>,
    /// Keys that only apps of such platforms take, beside those of every app.
    pub extra_keys: &'static [&'static str],
    /// The field that holds the number of an error, for messages.
    pub error_field: &'static str,
    pub errors: &'static [(PlatformCode, Meaning)],
    /// What its clients call for a login code.
    pub login_call: &'static str,
    pub login: LoginApi,
    /// What its client seals under the session_key, where it does.
    pub open_data: Option<&'static dyn OpenData>,
    /// The APIs that speak of users and take a token of the app's.
    pub users: Option<&'static UserApis>,
    /// The API that gives a token of the app's own, where there is one.
    pub app_token: Option<TokenApi>,
    /// The APIs of an app that acts for the apps of others: logins carry its token.
    pub component: Option<ComponentApis>,
    /// What backends read as the source of a message that it pushes, where it pushes any.
    pub push_source: Option<&'static str>,
    /// The API that gives tickets, which take such a token.
    pub tickets: Option<&'static TicketApi>,
    /// How servers call it with such a token.
    pub server_api: Option<&'static ServerApi>,
}

/// Reads the body of an answer.
pub type ReadBody<T> = fn(&[u8]) -> Result<Parsed<T>, serde_json::Error>;

/// How a code becomes a user.
pub struct LoginApi {
    pub path: &'static str,
    pub request: for<'a> fn(&'a AppSettings, &ExchangeRequest<'a>) -> Call<'a>,
    /// Reads the body of an answer; whether it is believed, the engine decides.
    pub read: ReadBody<Identity>,
    /// Whether the platform looks at the app's secret before the code, so that a refused code shows
    /// that the secret is right.
    pub checks_secret_first: bool,
}

/// What a platform tells of a user, and does with the user's session_key.
pub struct UserApis {
    /// Which codes clients take for those of the phone number button.
    pub other_codes: &'static str,
    /// Each success costs money.
    pub phone_number: UserApi<PhoneNumber>,
    pub check_session_key: UserApi<bool>,
    pub reset_session_key: UserApi<ResetKey>,
}

pub struct UserApi<T> {
    pub path: &'static str,
    pub request: for<'a> fn(&UserCall<'a>) -> Call<'a>,
    pub read: ReadBody<TokenUse<T>>,
}

/// What such a call is made of.
#[derive(Clone, Copy)]
pub struct UserCall<'a> {
    pub token: &'a str,
    pub subject: &'a str,
    /// The phone code, or the session_key.
    pub proof: &'a str,
}

/// How an app gets a ticket.
pub struct TicketApi {
    pub path: &'static str,
    /// Of the access token and what the ticket is for.
    pub request: for<'a> fn(&'a str, TicketKind) -> Call<'a>,
    pub read: ReadBody<TokenUse<GrantedToken>>,
}

/// How an app gets a token of its own.
pub struct TokenApi {
    /// Gives the same one while it is good, and ends no other one early.
    pub stable: TokenCall,
    /// Gives a new one each time, which ends the one before; on platforms with both.
    pub classic: Option<TokenCall>,
    pub read: ReadBody<GrantedToken>,
}

pub struct TokenCall {
    pub path: &'static str,
    pub request: fn(&AppSettings) -> Call<'_>,
}

/// What an app asks that acts for the apps of others.
pub struct ComponentApis {
    /// What to do where the platform has pushed no ticket. `{app}` stands for the app's name in the
    /// configuration.
    pub no_ticket: &'static str,
    /// What the platform says of a ticket that it does not take.
    pub ticket_refusals: &'static [PlatformCode],
    /// Has the platform push tickets, if it has stopped.
    pub start_tickets: ComponentCallApi<()>,
    /// The app's own token, by a ticket.
    pub token: ComponentCallApi<GrantedToken>,
    /// The first tokens of an authorizer, by the code of its authorization.
    pub authorization: ComponentCallApi<Authorization>,
    /// Its next ones, by its refresh token.
    pub refresh: ComponentCallApi<Refreshed>,
    /// Its refresh token as the platform has it.
    pub refresh_token: ComponentCallApi<Secret<String>>,
    /// Reads a pushed event.
    pub event: fn(&PushedFields<'_>) -> PushedEvent,
}

pub struct ComponentCallApi<T> {
    pub path: &'static str,
    pub request: for<'a> fn(&'a AppSettings, &ComponentCall<'a>) -> Call<'a>,
    pub read: fn(&[u8]) -> Result<Parsed<T>, serde_json::Error>,
}

/// What such a call is made of; empty where it takes none.
#[derive(Clone, Copy)]
pub struct ComponentCall<'a> {
    /// The app's own.
    pub token: &'a str,
    pub authorizer: &'a str,
    /// The ticket, the authorization's code, or the refresh token.
    pub proof: &'a str,
}

/// What a number or word of a platform's means for a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The platform is busy, and the code most likely not consumed: try again soon.
    Busy,
    /// Too many calls; come back in the next minute.
    TooOften,
    /// The code is wrong, too old, or of another app.
    BadCode,
    CodeUsed,
    UserBlocked,
    /// The app's token is wrong or has ended; the code was not looked at.
    TokenRefused,
    /// The app that the client names has not authorised this one.
    NotAuthorized,
    /// Only the operator can fix it: what to do. `{app}` stands for the app's name in the
    /// configuration, `{appid}` for its id.
    Misconfigured(&'static str),
    /// It should not come: why.
    Unexpected(&'static str),
}

/// What a body says, in the same words for every platform.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The number or word of an error; `None`: it reports success.
    pub error: Option<PlatformCode>,
    /// The platform's text about the error.
    pub message: Option<String>,
    /// A secret in the body, which its text may repeat.
    pub secret: Option<String>,
    /// What is there where it reports success.
    pub value: Result<T, Unusable>,
}

/// Why a body that reports success cannot be believed; without a word of it.
#[derive(Debug)]
pub struct Unusable(pub String);

impl Platform {
    /// The settings of an app that leaves everything else at its default.
    pub fn app(
        &self,
        name: impl Into<Arc<str>>,
        appid: impl Into<Arc<str>>,
        secret: Secret<String>,
    ) -> AppSettings {
        AppSettings {
            name: name.into(),
            provider: self.kind,
            appid: appid.into(),
            secret,
            base_urls: self.base_urls.iter().map(|&base| base.to_owned()).collect(),
            timeout: AppSettings::TIMEOUT,
            max_concurrent: AppSettings::MAX_CONCURRENT,
            token_grant: TokenGrant::default(),
        }
    }

    /// Whether it is the platform itself that is asked at this base URL.
    pub fn lives_at(&self, base_url: &str) -> bool {
        let host = base_url
            .split("//")
            .nth(1)
            .unwrap_or_default()
            .split(['/', ':'])
            .next()
            .unwrap_or_default();
        host.strip_suffix(self.domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// What a number or word means; `None`: the platform does not document it.
    pub fn meaning(&self, code: &PlatformCode) -> Option<Meaning> {
        self.errors
            .iter()
            .find(|(known, _)| known == code)
            .map(|(_, meaning)| *meaning)
    }

    /// What the platform says of a used code.
    pub fn used_code(&self) -> Option<PlatformCode> {
        self.errors
            .iter()
            .find(|(_, meaning)| *meaning == Meaning::CodeUsed)
            .map(|(code, _)| code.clone())
    }
}

/// An API's name: the last segment of its path.
pub fn api_name(path: &'static str) -> &'static str {
    path.rsplit('/').next().unwrap_or_default()
}
