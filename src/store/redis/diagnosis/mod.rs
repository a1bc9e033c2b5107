//! What `hufu doctor` finds out about the store: everything is asked with the gateway's own login,
//! over connections of its own that are gone afterwards, and nothing is written.
//!
//! - `deployment`: which servers there are, by the topology: one, the `sentinel`s' master, or a
//!   `cluster`
//! - `node`: everything about one server, in the order of the report
//! - `conversation`: a question to a server, and whether it answered, refused or fell silent
//! - `info`, `version`, `push`, `rights`, `memory`, `persistence`, `default_user`, `replicas`,
//!   `clock`: one thing each

mod clock;
mod cluster;
mod conversation;
mod default_user;
mod deployment;
mod expected;
mod info;
mod memory;
mod node;
mod persistence;
mod push;
mod replicas;
mod rights;
mod sentinel;
mod version;

pub use deployment::diagnose;
