//! A Redis client: connections, topologies, scripts. It knows nothing of sessions.
//!
//! - `address`, `server`: which Redis servers, with which credentials and limits
//! - `request`, `script`: what is sent, and the key that decides where to
//! - `topology`: sends each request to the server that has its key: always the same one, the
//!   `sentinel`s' master (`sentinel_ask`; `sentinel_watch` learns of its successor), or a node of
//!   the `cluster` (`slots`: the map)
//! - `connection`: the one connection of a worker to a node: made on first use, thrown away when it
//!   fails; beside it those for scripts whose writes replicas are waited for (`write_place`: which
//!   one it was); `observer`: the hook that is called before each read is sent; `pools`: the connections of the
//!   whole process, for all that is on no request's path
//! - `opening`: how a connection is opened, also to a server that needs no password; `pushing`: one
//!   on which Redis pushes what changes
//! - `failure`: what an operator should read when a call fails, and where the request goes next;
//!   `error`: that in the caller's hands

pub(crate) mod failure;
pub(crate) mod opening;
pub(crate) mod slots;
pub(crate) mod tracked_connection;

mod address;
mod cluster;
mod connection;
mod error;
mod observer;
mod pools;
mod request;
mod script;
mod sentinel;
mod sentinel_ask;
mod sentinel_watch;
mod server;
mod topology;
mod write_place;

pub use address::{NodeAddress, RedisLogin, RedisServers, RedisUrl, ServerAddress};
pub(crate) use connection::Connections;
pub use error::ClientError;
pub use observer::ConnectionId;
pub use server::RedisTls;

pub(crate) use observer::{InvalidationSource, Observation, ObservedRead, Observer};
pub(crate) use pools::{PooledConnection, Pools};
pub(crate) use request::Request;
pub(crate) use script::{Invocation, Script};
pub(crate) use sentinel_ask::master_of;
pub(crate) use server::{ConnectSettings, Deployment, Server, Servers, Timeouts};
pub(crate) use topology::Topology;
pub(crate) use write_place::WritePlace;
