//! `hufu users`: what operators decide about users, through the admin API.

mod claims;
mod command;

pub(crate) use command::{UsersArgs, run};
