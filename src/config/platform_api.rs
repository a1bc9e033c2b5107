//! `[platform_api]`: the platform's API for the team's own backends.

use std::net::SocketAddr;
use std::sync::Arc;

use super::parsers::quota;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use super::{server, shared_secrets};
use crate::edge::{CertificateFiles, Listen};
use crate::identity::is_appid;
use crate::platform_api::{
    CallableApp, ClientSettings, PathPattern, is_for_no_endpoint, is_for_user_signatures,
};
use crate::provider::registry::{platform, server_api};
use crate::provider::settings::AppSettings;

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

/// The apps that a client may call for.
fn read_apps(section: &mut Section<'_>, apps: &[AppSettings]) -> Vec<CallableApp> {
    let hint = "write apps = [\"NAME\"], as in [apps.NAME]";
    if !section.has("apps") {
        section.problem("apps", "missing", hint);
    }
    let of = section.list("apps", |text| callable(text, apps));
    if section.is_empty_list("apps") {
        section.problem("apps", "is empty", hint);
    }
    check_authorizers(section, &of, apps);
    of
}

fn read_client(
    name: &str,
    section: &mut Section<'_>,
    apps: &[AppSettings],
) -> Option<ClientSettings> {
    let secrets = shared_secrets::read(section, true);
    let of = read_apps(section, apps);
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
    let real_token = section.list("real_token", |text| callable(text, apps));
    let is_missing = |app: &&CallableApp| !of.iter().any(|allowed| allowed.includes(app));
    if let Some(app) = real_token.iter().find(is_missing) {
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

/// An app that servers can call for, or all for which it acts, or one of these.
fn callable(text: &str, apps: &[AppSettings]) -> Result<CallableApp, Wrong> {
    let (name, authorizer) = match text.split_once('/') {
        Some((name, authorizer)) => (name, Some(authorizer)),
        None => (text, None),
    };
    let Some(app) = apps.iter().find(|app| *app.name == *name) else {
        return refuse("is not the name of an app", "write a NAME of [apps.NAME]");
    };
    if platform(app.provider).server_api.is_none() {
        return refuse(
            "is an app whose platform has no API with access tokens",
            "remove it",
        );
    }
    if let Some(authorizer) = authorizer {
        if !acts_for_others(app) {
            return refuse(
                "names an app behind the slash, and the one before it acts for no other",
                format!("write {name:?}"),
            );
        }
        if !is_appid(authorizer) || *app.appid == *authorizer {
            return refuse(
                "has no AppID of an authorizer behind the slash",
                format!("write \"{name}/wx0123456789abcdef\", or {name:?} for all"),
            );
        }
    }
    Ok(CallableApp {
        name: app.name.clone(),
        authorizer: authorizer.map(Arc::from),
    })
}

fn acts_for_others(app: &AppSettings) -> bool {
    platform(app.provider).component.is_some()
}

/// An SDK names an authorizer alone, so a client has at most one app that may act for it.
fn check_authorizers(section: &Section<'_>, of: &[CallableApp], apps: &[AppSettings]) {
    let acts = |callable: &&CallableApp| {
        let mut apps = apps.iter().filter(|app| app.name == callable.name);
        apps.any(acts_for_others)
    };
    let acting: Vec<_> = of.iter().filter(acts).collect();
    for (index, one) in acting.iter().enumerate() {
        let twin = acting[..index]
            .iter()
            .find(|other| other.name != one.name && other.authorizer == one.authorizer);
        if let Some(twin) = twin {
            section.problem(
                "apps",
                &format!("has {twin} and {one}, and an SDK's AppID does not say which of the two is meant"),
                "make a client for each",
            );
        }
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
