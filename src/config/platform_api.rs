//! `[platform_api]`: the platform's API for the team's own backends.

use std::net::SocketAddr;
use std::sync::Arc;

use super::parsers::quota;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use super::server;
use crate::edge::{CertificateFiles, Listen};
use crate::platform_api::{
    ClientSettings, PathPattern, is_for_no_endpoint, is_for_user_signatures,
};
use crate::provider::registry::{platform, server_api};
use crate::provider::settings::AppSettings;
use crate::secret::Secret;

/// The listener for backends, and who may call.
#[derive(Debug, Clone)]
pub struct PlatformApiSettings {
    /// Where it listens; `None`: there is no such listener.
    pub listen: Option<Listen>,
    /// Its certificates; none: no TLS.
    pub tls: Vec<CertificateFiles>,
    /// The backends.
    pub clients: Vec<ClientSettings>,
}

/// Fewer characters are a password that somebody thought of.
const SHORTEST: usize = 32;
/// It stands in a header.
const LONGEST: usize = 256;
/// One in use, and the one that is to replace it.
const SECRETS: usize = 2;
const SECRET_HINT: &str = "make one with `hufu keygen`";

/// `taken`: where the other listeners are, by their keys.
pub(super) fn read(
    section: &mut Section<'_>,
    apps: &[AppSettings],
    taken: [(&str, &Listen); 2],
) -> PlatformApiSettings {
    section.takes_restart();
    let listen = section.optional("listen", server::public);
    let tls: Vec<CertificateFiles> = section
        .rows("tls", server::certificate)
        .into_iter()
        .flatten()
        .collect();
    let is_encrypted = section.has("tls");
    let clients = section.on_reload(|section| read_clients(section, apps));
    match &listen {
        Some(listen) => check_listener(section, listen, is_encrypted, taken),
        None if !clients.is_empty() => section.warn(
            "clients",
            "has no effect, since platform_api.listen is not set",
            "write listen = \"127.0.0.1:8082\"",
        ),
        None => {}
    }
    PlatformApiSettings {
        listen,
        tls,
        clients,
    }
}

fn check_listener(
    section: &Section<'_>,
    listen: &Listen,
    is_encrypted: bool,
    taken: [(&str, &Listen); 2],
) {
    for (key, other) in taken {
        let is_same = match (listen, other) {
            (Listen::Tcp(one), Listen::Tcp(other)) => is_same_port(*one, *other),
            (one, other) => one == other,
        };
        if is_same {
            section.problem(
                "listen",
                &format!("has the place of {key}, {other}"),
                "give each a port of its own, such as \"127.0.0.1:8082\"",
            );
        }
    }
    if let Listen::Tcp(address) = listen
        && !is_encrypted
        && !address.ip().is_loopback()
    {
        section.problem(
            "listen",
            "would send the clients' secrets over the network unencrypted",
            "write an address of this machine alone, such as \"127.0.0.1:8082\", or give it a certificate: tls = [{ cert = \"platform.pem\", key = \"platform.key\" }]",
        );
    }
}

fn is_same_port(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn read_clients(section: &mut Section<'_>, apps: &[AppSettings]) -> Vec<ClientSettings> {
    let clients: Vec<_> = section
        .named("clients", |name, section| read_client(name, section, apps))
        .into_iter()
        .flatten()
        .collect();
    for (index, client) in clients.iter().enumerate() {
        let shares = |other: &&ClientSettings| {
            let mut secrets = other.secrets.iter();
            secrets.any(|secret| client.secrets.contains(secret))
        };
        if let Some(twin) = clients[..index].iter().find(shares) {
            section.problem(
                "clients",
                &format!("{} and {} have the same secret", twin.name, client.name),
                "give each client a secret of its own",
            );
        }
    }
    clients
}

fn read_client(
    name: &str,
    section: &mut Section<'_>,
    apps: &[AppSettings],
) -> Option<ClientSettings> {
    let secrets = read_secrets(section);
    let known = |text: &str| app(text, apps);
    if !section.has("apps") {
        section.problem(
            "apps",
            "missing",
            "write apps = [\"NAME\"], as in [apps.NAME]",
        );
    }
    let of = section.list("apps", known);
    if section.is_empty_list("apps") {
        section.problem(
            "apps",
            "is empty",
            "write apps = [\"NAME\"], as in [apps.NAME]",
        );
    }
    let allow = section.list("allow", pattern);
    let rate = section.value("rate", quota);
    let max_concurrent = section.positive(
        "max_concurrent",
        100_000,
        "is 0, so no call can be made",
        "write at least 1",
    );
    let sign = section.flag("sign");
    if !sign && let Some(pattern) = allow.iter().find(|pattern| is_for_user_signatures(pattern)) {
        section.warn(
            "allow",
            &format!("has {}, which needs sign", pattern.text()),
            "write sign = true, or remove the path",
        );
    }
    let real_token = section.list("real_token", known);
    if let Some(app) = real_token.iter().find(|app| !of.contains(app)) {
        section.problem(
            "real_token",
            &format!("names {app}, which is not among apps"),
            "add it to apps, or remove it here",
        );
    }
    if allow.is_empty() && real_token.is_empty() && !section.has_problems_at("allow") {
        section.warn(
            "allow",
            "is empty, so this client can call nothing",
            "write allow = [\"/wxa/msg_sec_check\", \"/cgi-bin/message/*\"]",
        );
    }
    Some(ClientSettings {
        name: name.into(),
        secrets: secrets?,
        apps: of,
        allow,
        rate,
        max_concurrent,
        sign,
        real_token,
    })
}

fn read_secrets(section: &mut Section<'_>) -> Option<Vec<Secret<String>>> {
    let texts = section.secrets("secrets", "secrets_file");
    let key = section.written_of("secrets", "secrets_file");
    if !section.has(key) {
        section.problem("secrets", "missing", SECRET_HINT);
        return None;
    }
    if !(1..=SECRETS).contains(&texts.len()) && !section.has_problems_at(key) {
        section.problem(
            key,
            &format!("has {} secrets", texts.len()),
            "write one, or two while one is exchanged for the other",
        );
    }
    let mut secrets = Vec::with_capacity(texts.len());
    for (line, path, text) in texts {
        let secret = text.expose();
        let wrong = if !secret.bytes().all(|b| b.is_ascii_graphic()) {
            Some("has characters that an Authorization header cannot carry".to_owned())
        } else if !(SHORTEST..=LONGEST).contains(&secret.len()) {
            Some(format!(
                "has {} characters; it needs {SHORTEST} to {LONGEST}",
                secret.len()
            ))
        } else {
            None
        };
        match wrong {
            Some(wrong) => section.fault(line, &path, &wrong, SECRET_HINT),
            None => secrets.push(text),
        }
    }
    Some(secrets)
}

/// An app that servers can call for.
fn app(text: &str, apps: &[AppSettings]) -> Result<Arc<str>, Wrong> {
    match apps.iter().find(|app| *app.name == *text) {
        Some(app) if platform(app.provider).server_api.is_some() => Ok(app.name.clone()),
        Some(_) => refuse(
            "is an app whose platform has no API with access tokens",
            "remove it",
        ),
        None => refuse("is not the name of an app", "write a NAME of [apps.NAME]"),
    }
}

fn pattern(text: &str) -> Result<PathPattern, Wrong> {
    let hint =
        "write a path as in \"/wxa/msg_sec_check\", or all below one as in \"/cgi-bin/message/*\"";
    let pattern = PathPattern::parse(text)
        .ok_or_else(|| Wrong::new("is not a path of whole segments", hint))?;
    if pattern.text() != server_api().ticket && pattern.is_withheld(server_api().withheld) {
        return refuse(
            "is never passed on",
            "remove it; docs/platform-api.md says why",
        );
    }
    if is_for_no_endpoint(&pattern) {
        return refuse(
            "is no endpoint of the gateway",
            "write \"/hufu/jssdk/sign\", \"/hufu/ticket/jsapi\" or \"/hufu/session-key/sign\"",
        );
    }
    Ok(pattern)
}
