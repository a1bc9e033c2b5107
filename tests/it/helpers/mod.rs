//! What the tests share: servers that they start themselves, clients, conditions to wait for.

pub(crate) mod builder;
pub(crate) mod caddy;
pub(crate) mod chunks;
pub(crate) mod claims;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod envoy;
pub(crate) mod examples;
pub(crate) mod gateway;
pub(crate) mod link;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod message;
pub(crate) mod nginx;
pub(crate) mod probe;
pub(crate) mod programs;
pub(crate) mod redis_server;
pub(crate) mod script;
pub(crate) mod sentinels;
pub(crate) mod servers;
pub(crate) mod slots;
pub(crate) mod store;
pub(crate) mod store_checker;
pub(crate) mod tls;
pub(crate) mod two_stores;
pub(crate) mod upstream;
pub(crate) mod wait;
pub(crate) mod ws_client;
pub(crate) mod ws_upstream;

pub(crate) use builder::{
    APP_SECRET, APPID, GatewayBuilder, HASTY, STEADY, route, upstream, upstream_of,
};
pub(crate) use client::{Client, HttpAnswer, http};
pub(crate) use cluster::RedisCluster;
pub(crate) use gateway::Gateway;
pub(crate) use link::{Fault, Instead, Link, NO_RESP3};
pub(crate) use load::{Load, subject};
pub(crate) use message::Answer;
pub(crate) use nginx::Nginx;
pub(crate) use probe::{ByHand, Probe};
pub(crate) use programs::Server;
pub(crate) use redis_server::{Certificates, RedisServer, openssl};
pub(crate) use script::Script;
pub(crate) use sentinels::{SENTINEL_PASSWORD, SentinelGroup, follows, replicated};
pub(crate) use servers::{Running, Sandbox, echo_upstream, live_sandbox, sandbox, tls_provider};
pub(crate) use slots::{Dice, Slots};
pub(crate) use store::{
    Harness, Inspector, Place, answer_in_time, fresh_keys, inspect, new_session, session_key,
    session_of,
};
pub(crate) use store_checker::walk;
pub(crate) use tls::acceptor;
pub(crate) use two_stores::{CACHE, HOUR, Two};
pub(crate) use upstream::{Recorded, Upstream};
pub(crate) use wait::{until, until_blocking};
pub(crate) use ws_client::{BOUND, Socket, echoed, farewell, handshake};
pub(crate) use ws_upstream::WsUpstream;
