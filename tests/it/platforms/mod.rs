//! The platforms that vouch for users: their contract, the way to them, their stand-in in the
//! sandbox.

mod access_token_processes;
mod access_tokens;
mod component;
mod component_open_data;
mod component_processes;
mod contract;
mod echo;
mod logins;
mod outbound_proxy;
pub(crate) mod platform_api;
pub(crate) mod push;
mod sandbox;
mod ticket_processes;
mod trouble;
