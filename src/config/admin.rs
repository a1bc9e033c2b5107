//! `[admin]`: the operators' listener.

use std::net::SocketAddr;

use super::reader::Section;
use super::server;

/// The listener for health, readiness and metrics.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// `public` is where the public listener is.
pub(super) fn read(section: &mut Section<'_>, public: SocketAddr) -> AdminSettings {
    let listen: SocketAddr = section.value("listen", server::listen);
    let same_address = listen.ip() == public.ip() || listen.ip().is_unspecified() || public.ip().is_unspecified();
    if listen.port() == public.port() && listen.port() != 0 && same_address {
        section.problem("listen", &format!("has the port of server.listen, {public}"), "give each a port of its own, such as \"127.0.0.1:8081\"");
    }
    AdminSettings { listen }
}
