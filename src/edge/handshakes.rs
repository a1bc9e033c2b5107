//! The TLS handshakes that are under way. When there are many, those that drag on give way to
//! others.

use std::sync::Arc;
use std::time::Duration;

use crate::edge::crowd::Crowd;

/// From so many on, in all workers together, those that drag on give way. Each holds some 16 KiB.
pub const MANY: usize = 256;
/// So long none is disturbed, however many there are: a phone on a bad network answers within it.
/// Those that are younger are bounded by what they cost, since each has taken a signature.
pub const UNDISTURBED: Duration = Duration::from_secs(2);

/// Those whose ClientHello has come.
pub fn handshakes() -> Arc<Crowd> {
    Crowd::new(MANY, UNDISTURBED)
}
