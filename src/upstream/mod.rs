//! What stands behind the gateway, as rules without I/O.

pub mod breaker;
