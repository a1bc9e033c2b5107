//! Sessions in Redis. Every check-and-write is one script on one cluster slot, and its answer is read.
//!
//! - `server`: which Redis, with which credentials and limits
//! - `connection`: the one connection of a worker: made on first use, thrown away when it fails
//! - `failure`: what an operator should read when a call fails, and whether the connection survives it
//! - `scripts`: the Lua scripts
//! - `sessions`: the store; `logins`: its reservations of login codes; `rotation`: how a session changes its token, and how it
//!   ends; `devices`: all sessions of a user

mod connection;
mod devices;
mod failure;
mod logins;
mod rotation;
mod scripts;
mod server;
mod sessions;

pub use sessions::RedisSessionStore;

pub(super) use failure::reason;
pub(super) use scripts::Scripts;
pub(super) use server::Server;
