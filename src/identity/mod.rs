//! Who somebody is: what a platform vouches for, and the steps of a login from code to token.

mod answer;
pub mod app;
mod app_token_source;
mod capability;
mod code;
mod component;
mod component_store;
mod error;
mod exchange_error;
mod impatient;
pub mod login;
mod login_codes;
mod login_hook;
mod open_data;
mod platform_tokens;
mod platform_trouble;
pub mod provider;
mod token_use;

pub use answer::LoginAnswer;
pub use app::{App, Apps, is_appid};
pub use app_token_source::{
    AccessToken, AppTicketSource, AppTokenError, AppTokenSource, REFUSED_TWICE,
};
pub use capability::{
    AppTickets, AppToken, GrantedToken, OpenData, PhoneNumber, PhoneNumbers, ResetKey,
    SessionKeyApi, TicketKind, TokenGrant, UserCallError,
};
pub use component::{
    Authorization, AuthorizerTokens, ComponentApi, ComponentEvent, DatedEvent, PushedEvent,
    PushedFields, Refreshed,
};
pub use component_store::{
    CLOCK_AHEAD, ComponentStore, FoundRefreshToken, KeptAuthorizer, NewRefreshToken,
    RefreshTokenMark, SealState, TICKET_LIFE, WITHDRAWAL_KEPT,
};
pub use error::LoginError;
pub use exchange_error::{ExchangeError, PlatformCode};
pub use impatient::Impatient;
pub use login::{Client, LoginFlow, NamedApp};
pub use login_codes::{LoginCodes, Reservation};
pub use login_hook::{
    DETAIL_MAX, HookAnswer, HookError, HookQuestion, LoginHook, LoginHookSettings, OnFailure,
    claims_of, detail_of,
};
pub use open_data::{
    Asker, KeptField, OpenDataError, OpenDataFlow, OpenDataRules, SealedData, Signed,
    UnstoredAnswers,
};
pub use platform_tokens::{NewToken, PlatformTokens, StoredToken, TokenLease, TokenName};
pub use platform_trouble::PlatformTrouble;
pub use provider::{ExchangeRequest, Identity, IdentityProvider};
pub use token_use::TokenUse;
