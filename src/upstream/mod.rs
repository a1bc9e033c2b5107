//! The backends: named groups of endpoints, and the rules for choosing one, giving up on one, and
//! trying another.
//!
//! `group` and `endpoint` are what the configuration says, `targets` the addresses behind it,
//! `state` what all workers know of them. `balance`, `ejection`, `health`, `retry` and `breaker`
//! are rules: they are told the time and do no I/O.

pub mod balance;
pub mod breaker;
pub mod ejection;
pub mod endpoint;
pub mod group;
pub mod health;
pub mod retry;
pub mod state;
pub mod targets;

pub use endpoint::{Endpoint, EndpointError};
pub use group::{
    Balance, EjectionSettings, HealthSettings, HostHeader, IdleSettings, RetrySettings, TlsFiles,
    Upstream,
};
pub use state::{Change, Pick, UpstreamState, Wish};
pub use targets::{Target, TargetSet};
