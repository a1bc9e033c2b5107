//! WeChat.

mod component;
mod form;
mod mini_program;
mod users;

pub(super) use component::COMPONENT;
pub(super) use mini_program::MINI_PROGRAM;
