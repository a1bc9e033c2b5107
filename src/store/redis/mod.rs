//! Sessions in Redis. Every check-and-write is one script on one cluster slot, and its answer is
//! read.
//!
//! - `server`: which Redis servers, with which credentials and limits
//! - `request`, `scripts`: what is sent, and the key that decides where to
//! - `topology`: sends each request to the server that has its key: always the same one, the
//!   `sentinel`s' master (`sentinel_ask`; `sentinel_watch` hears of its successor), or a node of
//!   the `cluster` (`slots`: the map)
//! - `connection`: the one connection of a worker to a node: made on first use, thrown away when it
//!   fails
//! - `opening`: how a connection is opened, also to a server that needs no password
//! - `failure`: what an operator should read when a call fails, and where the request goes next
//! - `worker_cache`: the near cache of a worker; `lookup`: where it and Redis are asked
//! - `tracking`: connections on which Redis tells what has changed (`pushing`: how one is opened);
//!   `subscription`: where gateways tell each other instead (`announcement`: what they say);
//!   `hearing`: which of the two is in effect; `server_clock`: the server's time, from heartbeats
//! - `examination`: what `hufu doctor` finds out about the servers
//! - `sessions`: the store; `create`: how a session is made; `logins`: its reservations of login
//!   codes; `limits`: cells of limits; `rotation`: how a session changes its token, and how it
//!   ends; `devices`: all sessions of a user; `revocation`: removals that wait for replicas and are
//!   told to other gateways

mod announcement;
mod cluster;
mod connection;
mod create;
mod devices;
mod examination;
mod failure;
mod hearing;
mod limits;
mod logins;
mod lookup;
mod opening;
mod pushing;
mod request;
mod revocation;
mod rotation;
mod scripts;
mod sentinel;
mod sentinel_ask;
mod sentinel_watch;
mod server;
mod server_clock;
mod sessions;
mod slots;
mod subscription;
mod topology;
mod tracking;
mod worker_cache;

pub use examination::examine;
pub use sessions::RedisSessionStore;
pub(super) use sessions::RedisSetup;

pub(super) use opening::{NO_PASSWORD, without_password};
pub(super) use scripts::Scripts;
pub(super) use sentinel_ask::master_of;
pub(super) use server::{Place, Server, Servers};
pub(super) use slots::SlotMap;
pub(super) use tracking::Push;
