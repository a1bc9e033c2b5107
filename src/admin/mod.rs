//! The operators' listener: health, readiness, metrics, and the admin API with one file for each
//! operation. It answers on an address of its own, so that nothing of it can be reached through the
//! public one.

mod access_token;
mod api;
mod apps;
mod block_user;
mod change_claims;
mod component_error;
mod count_sessions;
mod dispatch;
mod health;
mod import_authorizer;
mod list_authorizers;
mod list_sessions;
mod lockout;
mod metrics_page;
mod operator;
mod outcome;
mod readiness;
mod remove_authorizer;
mod revoke_all_sessions;
mod revoke_session;
mod show_session;
mod show_user;
mod table;
mod tokens;
mod unblock_user;
mod user;

pub use access_token::AppTokens;
pub use api::AdminApi;
pub use apps::CurrentApps;
pub use dispatch::configure;
pub use readiness::{PartState, Parts, Readiness, ReadinessPart};
pub use table::{API_PREFIX, ENDPOINTS, OPERATIONS};
pub use tokens::AdminToken;
