//! WeChat.

mod component;
mod form;
mod mini_program;
mod server_api;
mod tickets;
mod users;

pub(super) use component::COMPONENT;
pub(super) use mini_program::MINI_PROGRAM;
pub(super) use server_api::SERVER_API;
