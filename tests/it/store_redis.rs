//! Redis when it misbehaves.
