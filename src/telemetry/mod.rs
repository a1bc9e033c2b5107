//! What the gateway says of itself: its own log, and one access line per request.

pub mod access;
pub mod log_setup;
pub mod throttle;

pub use access::{AccessLine, AccessLog, LineFormat};
pub use throttle::Throttle;
