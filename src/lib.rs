//! Hufu, a session gateway for mini programs.
//!
//! It exchanges login codes for an identity, keeps the session in Redis under a random opaque
//! token, and passes authenticated requests on to existing backends. ARCHITECTURE.md is the map.
//!
//! The modules stand in layers and name only what is below them; `tests/it/layers.rs` holds the
//! tree to it. In reading order:
//!
//! - layer 0, ground: [`clock`], [`secret`], [`backoff`], [`crypto`], [`metrics`], [`diagnostic`],
//!   [`files`], [`peer`], [`timer`], [`detached`]
//! - layer 1, rules: [`session`], [`identity`], [`route`], [`upstream`], [`limit`], [`assertion`],
//!   [`push`]
//! - layer 2, machinery: [`http`], [`store`], [`redis_client`], [`provider`], [`broker`],
//!   [`telemetry`], [`upstream_client`]
//! - layer 3, faces: [`edge`], [`endpoints`], [`proxy`], [`admin`], [`platform_api`],
//!   [`sandbox`]
//! - layer 4, assembly: [`config`], [`app`], [`lifecycle`], [`cli`]

pub mod admin;
pub mod app;
pub mod assertion;
pub mod backoff;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod detached;
pub mod diagnostic;
pub mod edge;
pub mod endpoints;
pub mod files;
pub mod http;
pub mod identity;
pub mod lifecycle;
pub mod limit;
pub mod metrics;
pub mod peer;
pub mod platform_api;
pub mod provider;
pub mod proxy;
pub mod push;
pub mod redis_client;
pub mod route;
pub mod sandbox;
pub mod secret;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod timer;
pub mod upstream;
pub mod upstream_client;
