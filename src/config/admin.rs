//! `[admin]`: the operators' listener.

use std::net::SocketAddr;

use super::reader::Section;
use super::server;
use crate::edge::Listen;
use crate::secret::Secret;

/// The listener for health, readiness, metrics and the admin API.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What opens the admin API; without it the API is off.
    pub token: Option<Secret<String>>,
}

/// Fewer characters are a password that somebody thought of.
const SHORTEST: usize = 24;
/// It stands in a header.
const LONGEST: usize = 256;

/// `public` is where the public listener is.
pub(super) fn read(section: &mut Section<'_>, public: &Listen) -> AdminSettings {
    section.takes_restart();
    let listen: SocketAddr = section.value("listen", server::listen);
    if let Listen::Tcp(public) = public
        && listen.port() == public.port()
        && listen.port() != 0
        && (listen.ip() == public.ip()
            || listen.ip().is_unspecified()
            || public.ip().is_unspecified())
    {
        section.problem(
            "listen",
            &format!("has the port of server.listen, {public}"),
            "give each a port of its own, such as \"127.0.0.1:8081\"",
        );
    }
    AdminSettings {
        listen,
        token: token(section),
    }
}

fn token(section: &mut Section<'_>) -> Option<Secret<String>> {
    let hint = "make one with `hufu keygen`";
    let token = section.secret("token", "token_file", hint)?;
    let key = if section.has("token") {
        "token"
    } else {
        "token_file"
    };
    let text = token.expose();
    let wrong = if !text.bytes().all(|b| b.is_ascii_graphic()) {
        Some("has characters that an Authorization header cannot carry".to_owned())
    } else if !(SHORTEST..=LONGEST).contains(&text.len()) {
        Some(format!(
            "has {} characters; it needs {SHORTEST} to {LONGEST}",
            text.len()
        ))
    } else {
        None
    };
    match wrong {
        Some(wrong) => {
            section.problem(key, &wrong, hint);
            None
        }
        None => Some(token),
    }
}
