//! `[cors]`: web pages that may call the gateway.

use std::time::Duration;

use super::parsers::duration_to;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::http::{CorsSettings, Origin};

pub(super) fn read(section: &mut Section<'_>) -> CorsSettings {
    CorsSettings {
        origins: section.list("origins", origin),
        max_age: section.value(
            "max_age",
            duration_to(
                Duration::from_secs(24 * 3600),
                Duration::ZERO,
                "is longer than any browser remembers a preflight",
                "write at most \"24h\"",
            ),
        ),
    }
}

fn origin(text: &str) -> Result<String, Wrong> {
    let form = "write \"https://HOST\" or \"https://HOST:PORT\", as browsers send it";
    if text == "*" || text == "null" {
        return refuse(
            "would let every web page of the world act for whoever visits it",
            "name the pages that are yours: \"https://HOST\"",
        );
    }
    let (scheme, authority) = text
        .split_once("://")
        .ok_or_else(|| Wrong::new("is not an origin", form))?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.contains('*') {
        return refuse("has a *: each page is named on its own", form);
    }
    if authority.contains(['/', '?', '#', '@']) {
        return refuse("has more than a scheme, a host and a port", form);
    }
    let host_char = |c: char| {
        c.is_ascii_lowercase()
            || c.is_ascii_digit()
            || matches!(c, '.' | '-' | '_' | '[' | ']' | ':')
    };
    let port_ok =
        port.is_none_or(|port| port.parse::<u16>().is_ok_and(|n| n != 0) && !port.starts_with('0'));
    match scheme {
        _ if host.is_empty() || !host.chars().all(host_char) || !port_ok => {
            refuse("is not an origin", format!("{form}; lower case"))
        }
        "https" if port == Some("443") => refuse(
            "names the port that browsers leave out",
            format!("write \"https://{host}\""),
        ),
        _ if Origin::parse(text).is_none() => refuse("is not an origin", form),
        "https" => Ok(text.to_owned()),
        "http" if matches!(host, "localhost" | "127.0.0.1" | "[::1]") => Ok(text.to_owned()),
        "http" => refuse(
            "is not https://, so anybody on the way could act for its users",
            form,
        ),
        _ => refuse("is not an origin of a web page", form),
    }
}
