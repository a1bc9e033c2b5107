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

/// What WeChat answers to a token that is wrong, of another kind, or expired.
const TOKEN_REFUSED: [i64; 3] = [40001, 40014, 42001];
