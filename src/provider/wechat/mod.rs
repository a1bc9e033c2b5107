//! WeChat.

mod form;
mod mini_program;
mod users;

pub(super) use mini_program::MINI_PROGRAM;
