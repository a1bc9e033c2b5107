//! `[verify]`: what is believed of the request that a proxy asks about.

use super::ServerSettings;
use super::identity::{carries_token, is_header_name};
use super::parsers::choice;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::assertion::ReservedNames;
use crate::endpoints::{AskingProxy, Believed};
use crate::route::RouteTable;
use crate::session::{TokenCarrier, carrier};

const PROXIES: [(&str, AskingProxy); 7] = [
    ("nginx", AskingProxy::Nginx),
    ("ingress-nginx", AskingProxy::IngressNginx),
    ("traefik", AskingProxy::Traefik),
    ("caddy", AskingProxy::Caddy),
    ("envoy", AskingProxy::Envoy),
    ("haproxy", AskingProxy::Haproxy),
    ("apisix", AskingProxy::Apisix),
];
const HEADERS: [&str; 3] = ["uri_header", "method_header", "host_header"];

pub(super) fn read(
    section: &mut Section<'_>,
    carriers: &[TokenCarrier],
    reserved: &ReservedNames,
) -> Believed {
    let proxy = section.optional("proxy", choice(PROXIES));
    let named = HEADERS.map(|key| section.optional(key, name));
    if section.has("proxy") {
        for key in HEADERS.into_iter().filter(|key| section.has(key)) {
            section.problem(
                key,
                "is set, and proxy too",
                "proxy sets all three headers: keep it, or name the headers one by one without it",
            );
        }
    }
    for (index, (key, name)) in HEADERS.iter().zip(&named).enumerate() {
        if name.is_some() && named[..index].contains(name) {
            section.problem(
                key,
                "names the same header as another key",
                "each header says one thing: the URI, the method or the host",
            );
        }
        if let Some(name) = name
            .as_deref()
            .filter(|name| reserved.contains(name.as_bytes()))
        {
            section.problem(
                key,
                &format!("\"{name}\" is a header by which the gateway says who the user is, so a proxy cannot say anything in it"),
                "name a header that the proxy alone sets, as in \"X-Original-URI\"",
            );
        }
        if let Some(name) = name.as_deref().filter(|name| carries_token(carriers, name)) {
            section.warn(
                key,
                &format!("clients send their tokens in \"{name}\" (session.carriers), so it cannot say both"),
                "name a header that the proxy alone sets, as in \"X-Original-URI\"",
            );
        }
    }
    let [uri, method, host] = named;
    if uri.is_none() && !section.has("uri_header") && (method.is_some() || host.is_some()) {
        let key = if method.is_some() {
            "method_header"
        } else {
            "host_header"
        };
        section.warn(
            key,
            "has no effect without uri_header",
            "name the header in which the proxy says the original path too",
        );
    }
    proxy.map_or_else(
        || Believed::headers(uri.as_deref(), method.as_deref(), host.as_deref()),
        Believed::of,
    )
}

/// Warns where nobody may ask, and where a route's rule counts for what the gateway proxies and not
/// for what it is asked about.
pub(super) fn warn(
    root: &Section<'_>,
    believed: &Believed,
    server: &ServerSettings,
    routes: &RouteTable,
) {
    if *believed != Believed::default() && server.trusted_proxies.is_empty() {
        let what = format!(
            "has no effect, since no proxy is trusted: {}/verify answers 403 to everybody",
            server.prefix
        );
        root.warn("verify", &what, "write server.trusted_proxies = [\"127.0.0.1\"] with the address that the proxy asks from");
    }
    let strictest = routes.strictest_of_all();
    let differ = routes
        .routes()
        .iter()
        .any(|route| route.access != *strictest);
    if differ && !believed.names_uri() && !server.trusted_proxies.is_empty() {
        let what = format!(
            "routes differ in their auth or require, and no header is configured for a proxy that calls {}/verify to name the path",
            server.prefix
        );
        let hint = "if a proxy calls it, write [verify] with proxy = \"nginx\" or similar; until then the rules of all routes apply to every request, all together";
        root.warn_at(None, "verify.proxy", &what, hint);
    }
}

/// In lower case.
fn name(text: &str) -> Result<String, Wrong> {
    let form = "write the name of a header that the proxy sets itself, as in \"X-Original-URI\"";
    let of_proxies = ["x-forwarded-", "x-original-", "x-rewrite-"]
        .iter()
        .any(|family| text.to_ascii_lowercase().starts_with(family));
    if !is_header_name(text) {
        return refuse("is not a header name", form);
    }
    if carrier::is_of_http(text) && !of_proxies {
        return refuse("is a header that has a meaning of its own in HTTP", form);
    }
    Ok(text.to_ascii_lowercase())
}
