//! Sessions in Redis. Every check-and-write is one script on one cluster slot, and its answer is
//! read.
//!
//! - `scripts`: the only writers
//! - `worker_cache`: the near cache of a worker; `lookup`: where it and Redis are asked
//! - `tracking`: connections on which Redis tells what has changed; `subscription`: where gateways tell each other instead (`announcement`: what they say);
//!   `hearing`: which of the two is in effect; `server_clock`: the server's time, from heartbeats
//! - `examination`: what `hufu doctor` finds out about the servers
//! - `sessions`: the store; `create`: how a session is made; `login_codes`: reservations of login
//!   codes; `limits`: cells of limits; `rotation`: how a session changes its token, and how it
//!   ends; `devices`: all sessions of a user; `replica_wait`: removals that wait for replicas;
//!   `revocation`: how other gateways are told

mod announcement;
mod create;
mod devices;
mod examination;
mod hearing;
mod limits;
mod login_codes;
mod lookup;
mod naming_check;
mod replica_wait;
mod revocation;
mod rotation;
mod scripts;
mod server_clock;
mod sessions;
mod subscription;
mod tracking;
mod worker_cache;

pub use examination::diagnose;
pub use sessions::RedisSessionStore;
pub(super) use sessions::RedisSetup;

pub(super) use scripts::Scripts;
pub(super) use tracking::Push;
