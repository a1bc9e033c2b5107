//! `hufu doctor`: everything that `check` does, and then it really connects.
//!
//! - `command`: the command line, and what is examined
//! - `upstreams`, `listeners`: what needs no knowledge of a protocol; the store and the platforms
//!   are examined where they are spoken
//! - `report`: the lines, and the JSON

mod command;
mod listeners;
mod report;
mod upstreams;

pub(crate) use command::{DoctorArgs, run};
