//! What the commands share that ask the admin API of a running gateway.
//!
//! - `gateway`: which gateway, and which user
//! - `client`: one call to the API
//! - `text`: answers for people

mod client;
mod gateway;
mod text;

pub(super) use client::AdminClient;
pub(super) use gateway::{GatewayArgs, UserArgs, note_doubt, query};
pub(super) use text::{harmless, number, show_json};
