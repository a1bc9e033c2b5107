//! One binary for all tests that need more than one module: a module per capability.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod commands;
mod config;
mod demo;
mod echo;
mod floors;
mod forged;
mod helpers;
mod login;
mod provider_contract;
mod sandbox;
mod store_contract;
mod store_redis;
