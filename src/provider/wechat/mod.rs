//! WeChat.

mod form;
mod mini_program;

pub(super) use mini_program::MINI_PROGRAM;
