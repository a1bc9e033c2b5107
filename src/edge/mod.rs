//! The way in: what stands between a client's socket and the HTTP server.
//!
//! `gate` is the socket that hands on one sound request at a time; `inspector` decides what may go on, with `head`, `fields`, `target`,
//! `scan` and `chunks`, none of which does I/O. `door` is the gate's other end, before the application; `refusal` and `refused` answer
//! what does not come in; `linger` closes so that the answer is seen; `serve` puts it all into a server.

pub mod chunks;
pub mod door;
pub mod fields;
pub mod gate;
pub mod head;
pub mod inspector;
pub mod linger;
pub mod refusal;
pub mod refused;
pub mod scan;
pub mod serve;
pub mod settings;
pub mod target;
pub mod timer;

pub use refused::RefusalDesk;
pub use serve::{listen, serve};
pub use settings::{GateSettings, ServerSettings};
