//! Client connections, and the requests that come in on them.
//!
//! `listener` opens a socket, and `serve` runs a server on it. `acceptor` makes a connection ready
//! for HTTP, with `proxy_protocol` and `tls`. `h1` speaks HTTP/1.1 on it.
//! `dispatcher` sends a request to its handler. `generation` replaces the handlers when the
//! configuration is reloaded. `crowd` limits how many connections do what takes long. `tls` gets
//! its `certificate`s from files, with `x509`, `certificate_check` and `certificate_names`, and resumes sessions with
//! `tickets` or `tls_sessions`.

pub mod acceptor;
pub mod certificate;
pub mod certificate_check;
pub mod certificate_names;
pub mod crowd;
pub mod dispatcher;
pub mod generation;
pub mod h1;
pub mod listener;
pub mod proxy_protocol;
pub mod serve;
pub mod settings;
pub mod stream;
pub mod tickets;
pub mod tls;
pub mod tls_sessions;
pub mod x509;

pub use acceptor::Acceptor;
pub use certificate::{CertificateFiles, load as load_certificate};
pub use dispatcher::{Dispatcher, FastPath, NoFastPath};
pub use generation::{ConfigGeneration, ReloadableApp};
pub use h1::rejector::Rejector;
pub use listener::{Listen, Listener, SocketFile};
pub use serve::{ListenerContext, serve};
pub use settings::{ConnectionSettings, HeadLimits, ServeSettings, room_for_clients};
pub use tickets::TicketKeys;
pub use tls::{CertificateContext, CertificateWatch, Tls, tls};
