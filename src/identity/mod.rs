//! Who somebody is: what a platform vouches for, and the walk of a login from code to token.

mod answer;
pub mod app;
mod code;
mod error;
pub mod login;
mod login_codes;
pub mod provider;

pub use answer::LoginAnswer;
pub use app::{App, Apps};
pub use error::LoginError;
pub use login::{Client, LoginFlow};
pub use login_codes::{LoginCodes, Reservation};
pub use provider::{ExchangeError, ExchangeRequest, Identity, IdentityProvider, PlatformCode};
