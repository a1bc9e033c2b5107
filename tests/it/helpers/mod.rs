//! What the tests share: servers that they start themselves, clients, conditions to wait for.

pub(crate) mod redis_server;
pub(crate) mod store;
pub(crate) mod wait;
