//! The way in: what stands between a client's socket and the HTTP server.
//!
//! `gate` is the socket that hands on one sound request at a time; `inspector` decides what may go on, with `head`, `fields`, `target`,
//! `scan` and `chunks`, none of which does I/O. `door` is the gate's other end, before the application; `refusal` and `refused` answer
//! what does not come in; `linger` closes so that the answer is seen. `listener` opens, `acceptor` makes a connection ready for HTTP, with
//! `proxy_protocol` and `tls`, and `serve` puts it all into a server, with the
//! application behind it, which `swap` exchanges.

pub mod acceptor;
pub mod chunks;
pub mod door;
pub mod fields;
pub mod gate;
pub mod head;
pub mod inspector;
pub mod linger;
pub mod listener;
pub mod proxy_protocol;
pub mod refusal;
pub mod refused;
pub mod scan;
pub mod serve;
pub mod settings;
pub mod stream;
pub mod swap;
pub mod target;
pub mod timer;
pub mod tls;

pub use acceptor::Acceptor;
pub use listener::{Listen, Listener, SocketFile};
pub use refused::RefusalDesk;
pub use serve::serve;
pub use settings::{GateSettings, ServerSettings};
pub use swap::{Edition, Swapping};
pub use tls::{CertificateFiles, CertificateWatch, tls};
