//! Who somebody is: what a platform vouches for, and the walk of a login from code to token.

pub mod app;
mod code;
mod error;
pub mod login;
pub mod provider;

pub use app::{App, Apps};
pub use error::LoginError;
pub use login::{Client, LoginAnswer, LoginFlow};
pub use provider::{ExchangeError, ExchangeRequest, Identity, IdentityProvider, PlatformCode};
