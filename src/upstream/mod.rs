//! The backends: named groups of addresses, and the rules for choosing and giving up on one.

pub mod breaker;
pub mod group;

pub use group::{Endpoint, EndpointError, Upstream};
