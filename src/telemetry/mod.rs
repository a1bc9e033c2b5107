//! What the gateway says of itself: its own log, and one access line per request, and spans for who
//! wants them.

pub mod access;
pub mod log_setup;
pub mod throttle;
pub mod traces;

pub use access::{AccessLog, FinishedRequest, LineFormat};
pub use throttle::Throttle;
pub use traces::{SpanIds, TraceSettings, Traces};
