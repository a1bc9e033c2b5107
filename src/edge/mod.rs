//! The way in: a client's socket, and the requests that come through it.
//!
//! `conversation` tells the story of a connection: `client` is its socket with what has come,
//! `reader` reads requests out of that strictly, with `head`, `fields`, `target`, `scan` and
//! `chunks`, none of which does I/O; `lanes` is where a request goes, `writing` its answer on the
//! way out; `refusal` and `refused` answer what does not come in, `linger` reads on so that the
//! answer is seen. `listener` opens, `acceptor` makes a connection ready for HTTP, with
//! `proxy_protocol`, `tls` and `handshakes`, and `serve` puts it all into a server; what it answers
//! with, `swap` exchanges. Of those that drag something on, a `crowd` lets the oldest go. `tls` has
//! its `certificate`s, which `x509` reads and `certificate_check` judges, and resumes sessions with
//! `tickets` or `tls_sessions`.

pub mod acceptor;
pub mod certificate;
pub mod certificate_check;
pub mod chunks;
pub mod client;
pub mod conversation;
pub mod crowd;
pub mod fields;
pub mod handshakes;
pub mod head;
pub mod lanes;
pub mod linger;
pub mod listener;
pub mod proxy_protocol;
pub mod reader;
pub mod refusal;
pub mod refused;
pub mod scan;
pub mod serve;
pub mod settings;
pub mod stream;
pub mod swap;
pub mod target;
pub mod tickets;
pub mod timer;
pub mod tls;
pub mod tls_sessions;
pub mod writing;
pub mod x509;

pub use acceptor::Acceptor;
pub use certificate::{CertificateFiles, load as load_certificate};
pub use lanes::{Direct, Lanes, Nothing};
pub use listener::{Listen, Listener, SocketFile};
pub use refused::RefusalDesk;
pub use serve::{Door, serve};
pub use settings::{GateSettings, ServerSettings, room_for_clients};
pub use swap::{Edition, Swapping};
pub use tickets::TicketKeys;
pub use tls::{CertificateWatch, Tls, Watched, tls};
