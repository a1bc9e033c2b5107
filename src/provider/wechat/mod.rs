//! WeChat's platforms.

pub mod errcode;
pub mod examination;
pub mod mini_program;
pub mod reply;
pub mod settings;
mod trouble;
