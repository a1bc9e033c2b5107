//! What the tests share: servers that they start themselves, clients, conditions to wait for.

pub(crate) mod backend;
pub(crate) mod caddy;
pub(crate) mod cluster;
pub(crate) mod envoy;
pub(crate) mod examples;
pub(crate) mod gateway;
pub(crate) mod link;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod nginx;
pub(crate) mod peer;
pub(crate) mod programs;
pub(crate) mod raw;
pub(crate) mod recorder;
pub(crate) mod redis_server;
pub(crate) mod sentinels;
pub(crate) mod servers;
pub(crate) mod slots;
pub(crate) mod store;
pub(crate) mod store_checker;
pub(crate) mod tls;
pub(crate) mod two_stores;
pub(crate) mod wait;
pub(crate) mod wire;
pub(crate) mod ws_client;
pub(crate) mod ws_upstream;
