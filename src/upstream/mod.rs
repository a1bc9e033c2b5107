//! Upstreams: named groups of endpoints, and the rules for balancing, ejection and retries.
//!
//! `group` and `endpoint` are what the configuration says, `resolved` the addresses behind it,
//! `state` what all workers know of them. `balance`, `ejection`, `health`, `retry` and `breaker`
//! are rules: they get the time as an argument and do no I/O.

pub mod balance;
pub mod breaker;
pub mod ejection;
pub mod endpoint;
pub mod group;
pub mod health;
pub mod resolved;
pub mod retry;
pub mod state;

pub use ejection::Change;
pub use endpoint::{Endpoint, EndpointError};
pub use group::{
    Balance, EjectionSettings, HealthSettings, HostHeader, IdleSettings, RetrySettings, TlsFiles,
    Upstream,
};
pub use resolved::{EndpointSet, ResolvedEndpoint};
pub use state::{Pick, PickHint, UpstreamState};
