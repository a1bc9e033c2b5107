//! `hufu sessions`: a client of the admin API.
//!
//! - `command`: the command line and what each command does
//! - `client`: one call to the API
//! - `table`: answers for people

mod client;
mod command;
mod table;

pub(crate) use command::{SessionsArgs, run};
