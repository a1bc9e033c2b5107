//! `[traces]`: spans for an OpenTelemetry collector.

use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::telemetry::TraceSettings;

/// `None`: no spans are made.
pub(super) fn read(section: &mut Section<'_>) -> Option<TraceSettings> {
    section.takes_restart();
    let endpoint = section.optional("endpoint", endpoint);
    let authorization = section.secret(
        "authorization",
        "authorization_file",
        "remove it, or write the value of the collector's Authorization header",
    );
    let sample = section.value("sample", percent);
    let service_name = section.value("service_name", name);
    Some(TraceSettings {
        endpoint: endpoint?,
        authorization,
        sample,
        service_name,
    })
}

fn endpoint(text: &str) -> Result<String, Wrong> {
    let form =
        "write the collector's whole URL for traces, such as \"http://127.0.0.1:4318/v1/traces\"";
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or_else(|| Wrong::new("is not an http:// or https:// URL", form))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some(_) => refuse("holds a login", "put it into traces.authorization"),
        None if authority.is_empty() => refuse("has no host", form),
        // Otherwise every batch would be refused, long after the start.
        None if path.is_empty() => refuse("has no path", form),
        None => Ok(text.to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, Wrong> {
    let wrong = || {
        Wrong::new(
            "is not a percentage",
            "write a percentage, such as \"100%\", \"10%\" or \"0.1%\"",
        )
    };
    let number: f64 = text
        .strip_suffix('%')
        .and_then(|digits| digits.trim().parse().ok())
        .ok_or_else(wrong)?;
    if (0.0..=100.0).contains(&number) {
        Ok(number / 100.0)
    } else {
        Err(wrong())
    }
}

fn name(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() {
        refuse(
            "is empty",
            "write what the gateway is called in traces, such as \"hufu\"",
        )
    } else {
        Ok(text.to_owned())
    }
}
