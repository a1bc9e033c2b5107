//! `[admin]`: the operators' listener.

use std::net::SocketAddr;

use super::reader::Section;
use super::server;
use crate::admin::AdminToken;
use crate::edge::Listen;
use crate::secret::Secret;

/// The listener for health, readiness, metrics and the admin API.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What opens the admin API; without any the API is off.
    pub tokens: Vec<AdminToken>,
}

/// Fewer characters are a password that somebody thought of.
const SHORTEST: usize = 24;
/// It stands in a header.
const LONGEST: usize = 256;
/// It stands in log lines.
const LONGEST_NAME: usize = 32;
const ANOTHER_NAME: &str = "choose another name";
const HINT: &str = "make one with `hufu keygen`";

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
        tokens: tokens(section),
    }
}

/// `admin.token`, and those of `admin.tokens` in the order of their names.
fn tokens(section: &mut Section<'_>) -> Vec<AdminToken> {
    let unnamed = token(section).map(|secret| AdminToken {
        name: AdminToken::UNNAMED.into(),
        secret,
    });
    let named = section.named("tokens", read_named);
    let mut tokens = Vec::from_iter(unnamed);
    for (line, token) in named.into_iter().flatten() {
        let twin = tokens.iter().find(|other| other.secret == token.secret);
        if let Some(twin) = twin {
            section.fault(
                line,
                &token.key(),
                &format!("is the same token as {}", twin.key()),
                "give each a token of its own, or remove one",
            );
        }
        tokens.push(token);
    }
    tokens
}

fn read_named(name: &str, section: &mut Section<'_>) -> Option<(Option<usize>, AdminToken)> {
    let is_short = name.len() <= LONGEST_NAME;
    let is_plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    let line = section.line();
    if !is_short || !is_plain {
        let what = format!(
            "is a name with other characters than a-z, 0-9, - and _, or longer than {LONGEST_NAME}"
        );
        section.fault(line, &format!("admin.tokens.{name}"), &what, ANOTHER_NAME);
    } else if name == AdminToken::UNNAMED {
        section.fault(
            line,
            "admin.tokens.admin",
            "has the name of admin.token",
            ANOTHER_NAME,
        );
    }
    if !section.has("token") && !section.has("token_file") {
        section.problem("token", "missing", HINT);
    }
    let token = AdminToken {
        name: name.into(),
        secret: token(section)?,
    };
    Some((line, token))
}

/// The keys `token` and `token_file`.
fn token(section: &mut Section<'_>) -> Option<Secret<String>> {
    let token = section.secret("token", "token_file", HINT)?;
    let key = section.written_of("token", "token_file");
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
            section.problem(key, &wrong, HINT);
            None
        }
        None => Some(token),
    }
}
