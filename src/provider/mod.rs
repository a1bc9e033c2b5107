//! The platforms that vouch for users: one engine for all of them, and what sets each apart.

pub mod api;
pub mod base_url;
pub mod client;
pub mod diagnostic;
pub mod platform;
pub mod proxy;
pub mod registry;
pub mod reply;
pub mod server_api;
pub mod server_calls;
pub mod settings;
pub mod untrusted;

mod bases;
mod component;
mod douyin;
mod engine;
mod open_data;
mod tickets;
mod trouble;
mod users;
mod wechat;
