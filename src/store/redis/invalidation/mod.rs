//! How the near caches of this process learn of changes: from Redis itself, on the connection that
//! read (`CLIENT TRACKING` over RESP3), or else from the gateways, over pub/sub.
//!
//! - `shared`: what all workers have in common; `registry`: which mode is in effect
//! - `tracker`: opens a worker's connections; `connection`: one of them, while it is in use
//! - `subscription`: the process's one subscription; `announcement`: what gateways publish there
//! - `server_clock`: the server's time, from heartbeats

pub(super) mod announcement;
pub(super) mod server_clock;

mod connection;
mod registry;
mod shared;
mod subscription;
mod tracker;

pub(crate) use shared::Invalidation;
pub(super) use subscription::publish;
pub(super) use tracker::Tracker;
