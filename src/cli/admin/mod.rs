//! What the commands share that ask the admin API of a running gateway.
//!
//! - `gateway`: which gateway, and with which token
//! - `user`: which user
//! - `client`: one call to the API
//! - `text`: answers for people

mod client;
mod gateway;
mod text;
mod user;

pub(super) use client::AdminClient;
pub(super) use gateway::GatewayArgs;
pub(super) use text::{harmless, number, show_json};
pub(super) use user::{NamedUser, UserArgs};
