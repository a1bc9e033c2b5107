//! What a listener allows its clients.

use std::time::Duration;

use crate::edge::head::HeadLimits;

/// Limits and deadlines of every connection of a listener.
#[derive(Debug, Clone, Copy)]
pub struct GateSettings {
    /// How long a head may be.
    pub limits: HeadLimits,
    /// How long a head may take, from its first byte or from the connection's beginning.
    pub head_timeout: Duration,
    /// How long a client may be silent within a body.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a connection may rest between two requests; zero: it ends with each answer.
    pub keep_alive: Duration,
}

/// How a listener is served.
#[derive(Debug, Clone, Copy)]
pub struct ServerSettings {
    /// Worker threads.
    pub workers: usize,
    /// How long requests under way may take once the server is told to stop; whole seconds.
    pub drain_deadline: Duration,
}
