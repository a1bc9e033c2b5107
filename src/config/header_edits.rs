//! `request_headers`, `response_headers`: what a route sets, removes and allows.

use super::effective::{self, Effective};
use super::identity;
use super::problem::{Wrong, refuse};
use super::reader::{Given, Section};
use crate::assertion::ReservedNames;
use crate::assertion::believed::{self, Speaker};
use crate::assertion::reserved::is_same_name;
use crate::proxy::outgoing;
use crate::route::HeaderEdits;

/// Longest value of a header, in bytes.
const LONGEST: usize = 4096;

/// What this key of a route sets and removes; `{ set = { NAME = "value" }, remove = ["NAME"] }`,
/// for requests `allow` too.
pub(super) fn read(
    section: &mut Section<'_>,
    key: &'static str,
    reserved: &ReservedNames,
) -> HeaderEdits {
    let Some(given) = section.take(key) else {
        section.note(key, Some(toml::Table::new().into()));
        return HeaderEdits::default();
    };
    let mut shown = effective::written(given.value);
    // What a backend is told may be a password; what clients are told is none.
    if let Some(set) = shown
        .get_mut("set")
        .and_then(toml::Value::as_table_mut)
        .filter(|_| key == "request_headers")
    {
        set.iter_mut()
            .for_each(|(_, value)| *value = Effective::HIDDEN.into());
    }
    section.note(key, Some(shown));
    section
        .inline(&given, |table| {
            edits(table, reserved, key == "request_headers")
        })
        .unwrap_or_default()
}

fn edits(table: &mut Section<'_>, reserved: &ReservedNames, of_requests: bool) -> HeaderEdits {
    let name = |text: &str| name(text, reserved);
    let set = table
        .take("set")
        .map(|given| table.entries(&given))
        .unwrap_or_default();
    let set: Vec<_> = set
        .iter()
        .filter_map(|(header, given)| set_one(table, header, given, name))
        .collect();
    let remove = table.list("remove", name);
    let allow = if of_requests {
        table.list("allow", |text| allowed(text, reserved))
    } else {
        Vec::new()
    };
    let edits = HeaderEdits { set, remove, allow };
    let names: Vec<_> = edits
        .names()
        .chain(edits.allow.iter().map(String::as_str))
        .collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index]
            .iter()
            .any(|earlier| is_same_name(earlier, name))
        {
            let key = match index {
                _ if index < edits.set.len() => "set",
                _ if index < edits.set.len() + edits.remove.len() => "remove",
                _ => "allow",
            };
            table.problem(
                key,
                &format!("\"{name}\" occurs twice"),
                "keep one of them; case, \"-\" and \"_\" do not count",
            );
        }
    }
    edits
}

fn set_one(
    table: &Section<'_>,
    header: &str,
    given: &Given<'_>,
    name: impl Fn(&str) -> Result<String, Wrong>,
) -> Option<(String, String)> {
    let fault = |wrong: Wrong| table.fault_at(given, &wrong.what, &wrong.hint);
    let header = name(header)
        .map_err(|wrong| {
            fault(Wrong {
                what: format!("{header:?} {}", wrong.what),
                ..wrong
            });
        })
        .ok()?;
    // The value is shown nowhere.
    let text = table.entry(given, |text| Ok(text.to_owned()))?;
    value(&text).map_err(fault).ok()?;
    Some((header, text))
}

fn name(text: &str, reserved: &ReservedNames) -> Result<String, Wrong> {
    if !identity::is_header_name(text) {
        return refuse(
            "is not a header name",
            "write letters, digits and \"-\", as in \"X-Env\"",
        );
    }
    if reserved.contains(text.as_bytes()) {
        return refuse(
            "is a name that only the gateway may set",
            "choose another; backends believe this header",
        );
    }
    if is_same_name(text, "host") {
        return refuse(
            "is not a route's to change",
            "upstreams.NAME.host says what the backend gets",
        );
    }
    if outgoing::is_beyond_routes(text) {
        return refuse(
            "belongs to the connection or to the gateway",
            "choose another; docs/routes.md lists what a route cannot change",
        );
    }
    Ok(text.to_owned())
}

/// A name that a client may say though backends believe it.
fn allowed(text: &str, reserved: &ReservedNames) -> Result<String, Wrong> {
    if !identity::is_header_name(text) || text.contains('*') {
        return refuse(
            "is not a header name",
            "write one name as in docs/headers.md; * is not a wildcard here",
        );
    }
    if reserved.contains(text.as_bytes()) {
        return refuse("is a name that only the gateway may set", "remove it");
    }
    match believed::speaker(text.as_bytes()) {
        Some(Speaker::Nobody) => Ok(text.to_owned()),
        Some(Speaker::Proxies) => refuse(
            "is for trusted proxies to say",
            "remove it, and name them in server.trusted_proxies",
        ),
        None if outgoing::is_beyond_routes(text) => {
            refuse("belongs to the connection or to the gateway", "remove it")
        }
        None => refuse(
            "goes on anyway",
            "remove it; docs/headers.md has the names that do not",
        ),
    }
}

fn value(text: &str) -> Result<(), Wrong> {
    let sound = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    match text {
        "" => refuse("has an empty value", "name the header under remove instead"),
        _ if !sound || text.trim() != text || text.len() > LONGEST => refuse(
            "has a value that is not one of a header",
            "write visible ASCII in one line, without blanks at its ends, at most 4096 characters",
        ),
        _ => Ok(()),
    }
}
