//! `hufu doctor`: everything that `check` does, and then it really connects.
//!
//! - `command`: the command line, and what is examined
//! - `upstreams`, `listeners`: what needs no knowledge of a protocol; the store and the platforms
//!   are examined where they are spoken
//! - `authorizers`: what the store keeps for an app that acts for others
//! - `report`: the lines, and the JSON

mod authorizers;
mod command;
mod listeners;
mod report;
mod upstreams;

pub(crate) use command::{DoctorArgs, run};
