//! Client connections, and the requests that come in on them.
//!
//! `listener` opens a socket, and `serve` runs a server on it. `acceptor` makes a connection ready
//! for HTTP, with `proxy_protocol`, `tls` and `handshakes`. `connection` serves it from its first
//! request to its last; `client` is its socket. `parser` parses requests strictly and without I/O,
//! with `head`, `fields`, `target`, `scan` and `chunks`. `dispatcher` sends a request to its
//! handler, and `writing` writes the answer. `rejector` answers what the parser refuses, with a
//! `refusal`. `linger` reads on after an answer, so that the client sees it. `crowd` limits how
//! many connections do so. `generation` replaces the handlers when the configuration is reloaded.
//! `tls` gets its `certificate`s from files, with `x509` and `certificate_check`, and resumes
//! sessions with `tickets` or `tls_sessions`.

pub mod acceptor;
pub mod certificate;
pub mod certificate_check;
pub mod chunks;
pub mod client;
pub mod connection;

pub mod crowd;
pub mod dispatcher;
pub mod fields;
pub mod generation;
pub mod handshakes;
pub mod head;
pub mod linger;
pub mod listener;
pub mod parser;
pub mod proxy_protocol;
pub mod refusal;
pub mod rejector;
pub mod scan;
pub mod serve;
pub mod settings;
pub mod stream;
pub mod target;
pub mod tickets;
pub mod timer;
pub mod tls;
pub mod tls_sessions;
pub mod writing;
pub mod x509;

pub use acceptor::Acceptor;
pub use certificate::{CertificateFiles, load as load_certificate};
pub use dispatcher::{Dispatcher, FastPath, NoFastPath};
pub use generation::{ConfigGeneration, ReloadableApp};
pub use listener::{Listen, Listener, SocketFile};
pub use rejector::Rejector;
pub use serve::{ListenerContext, serve};
pub use settings::{ConnectionSettings, ServerSettings, room_for_clients};
pub use tickets::TicketKeys;
pub use tls::{CertificateContext, CertificateWatch, Tls, tls};
