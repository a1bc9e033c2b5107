//! The operators' listener: health, readiness, metrics, and the admin API with one file for each
//! operation. It answers on an address of its own, so that nothing of it can be reached through the
//! public one.

pub mod api;
pub mod dispatch;
pub mod health;
pub mod lockout;
pub mod metrics_page;
pub mod readiness;
pub mod table;

mod access_token;
mod authorizers;
mod block_user;
mod change_claims;
mod count_sessions;
mod list_sessions;
mod operator;
mod revoke_all_sessions;
mod revoke_session;
mod show_session;
mod show_user;
mod to_the_end;
mod tokens;
mod user;

pub use access_token::AppTokens;
pub use api::AdminApi;
pub use dispatch::configure;
pub use readiness::{PartState, Parts, Readiness, ReadinessPart};
pub use table::{API_PREFIX, ENDPOINTS, OPERATIONS};
pub use tokens::AdminToken;
pub use user::CurrentApps;
