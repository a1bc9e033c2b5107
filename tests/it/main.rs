//! One binary for all tests that need more than one module: a module per capability.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod admin_api;
mod bodies;
mod cluster_failover;
mod commands;
mod config;
mod demo;
mod devices;
mod docs;
mod echo;
mod floors;
mod forged;
mod helpers;
mod leaks;
mod lifecycle;
mod login;
mod near_cache;
mod outage;
mod provider_contract;
mod redis_conf;
mod routes;
mod sandbox;
mod sentinel_failover;
mod session_model;
mod store_contract;
mod store_faults;
mod store_redis;
mod topologies;
mod two_gateways;
mod verify;
