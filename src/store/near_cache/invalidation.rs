//! How a gateway learns of changes in Redis: what the configuration asks for, and what is in effect.

use std::fmt;

/// What `session.near_cache.push` asks for, where it is not `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidationChoice {
    /// The first that works: tracking, then pub/sub, then nothing.
    Auto,
    /// `CLIENT TRACKING` or nothing.
    Tracking,
    /// Pub/sub or nothing.
    Pubsub,
}

/// How changes become known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InvalidationMode {
    /// Not at all: nothing is kept, every lookup calls Redis.
    Off,
    /// Gateways publish what they revoke.
    Pubsub,
    /// Redis pushes whatever changes.
    Tracking,
}

impl InvalidationMode {
    /// All, from the least.
    pub const ALL: [Self; 3] = [Self::Off, Self::Pubsub, Self::Tracking];

    /// The word in the log, in `/readyz` and in the metric.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Pubsub => "pubsub",
            Self::Tracking => "tracking",
        }
    }
}

impl fmt::Display for InvalidationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is in effect now, over all connections of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidationStatus {
    /// The least of what the connections have; `None`: there is no connection at present, so
    /// nothing is known.
    pub mode: Option<InvalidationMode>,
    /// Why it is less than the configuration asks for, in the words of an operator; never with
    /// `auto`, which takes what there is.
    pub trouble: Option<String>,
}
