//! The operators' listener: health, readiness, metrics, and the admin API with one file for each
//! operation. It answers on an address of its own, so that nothing of it can be reached through the
//! public one.

pub mod api;
pub mod endpoints;
pub mod health;
pub mod lockout;
pub mod metrics_page;
pub mod readiness;

mod count_sessions;
mod list_sessions;
mod revoke_all_sessions;
mod revoke_session;
mod show_session;
mod user;

pub use api::{AdminApi, OPERATIONS};
pub use endpoints::{ENDPOINTS, configure};
pub use readiness::{Part, PartState, Parts, Readiness};
pub use user::CurrentApps;
