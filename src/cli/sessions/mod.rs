//! `hufu sessions`: a client of the admin API.
//!
//! - `command`: the command line and what each command does
//! - `table`: answers for people

mod command;
mod table;

pub(crate) use command::{SessionsArgs, run};
