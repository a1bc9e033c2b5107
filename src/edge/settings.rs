//! Limits and deadlines of a listener.

use std::time::Duration;

/// How long a head may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// In all.
    pub head: usize,
    /// The request target.
    pub target: usize,
}

/// Limits and deadlines of every connection of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSettings {
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
pub struct ServeSettings {
    /// Worker threads.
    pub workers: usize,
    /// How long requests under way may take once the server is told to stop; whole seconds.
    pub drain_deadline: Duration,
    /// Connections of clients at most, in all workers together; more wait in the listener's queue.
    /// `None`: 25 000 for each worker.
    pub connections: Option<usize>,
}

/// What a process has open before anybody comes: its files and listeners.
const OWN: u64 = 16;
/// And a worker: what its runtime needs, its connections to Redis.
const OWN_OF_A_WORKER: u64 = 8;

/// How many connections of clients there is room for in a process that may have so many files open.
/// What is left is for backends, for Redis and for the admin listener: a process that cannot answer
/// its liveness probe is killed, with all that it serves.
pub fn room_for_clients(descriptors: u64, workers: usize) -> usize {
    let own = OWN + OWN_OF_A_WORKER * workers as u64;
    let kept = ((descriptors / 4).clamp(64, 1024) + own).min(descriptors / 2);
    usize::try_from(descriptors - kept).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept() {
        let room =
            [0, 1, 128, 256, 1024, 65_536].map(|descriptors| room_for_clients(descriptors, 2));
        assert_eq!(room, [0, 1, 64, 160, 736, 64_480]);
        assert_eq!(
            [256, 1024, 65_536].map(|descriptors| room_for_clients(descriptors, 64)),
            [128, 512, 63_984]
        );
    }
}
