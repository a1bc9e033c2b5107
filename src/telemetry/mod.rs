//! What the gateway says of itself: its own log, and one access line per request, and spans for who
//! wants them.

pub mod access;
pub mod log_setup;
pub mod throttle;
pub mod traces;

pub use access::{AccessLine, AccessLog, LineFormat};
pub use throttle::Throttle;
pub use traces::{RequestSpan, SpanIds, TraceSettings, Traces};
