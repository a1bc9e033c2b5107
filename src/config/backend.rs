//! A backend that the gateway calls by itself: the name of an upstream, and a path there.

use std::sync::Arc;

use super::problem::{Wrong, refuse};
use super::reader::Section;

/// The two keys, both of which must be there if `is_wanted`. `what` the backend does at the path,
/// and an example of one.
pub(super) fn read(
    section: &mut Section<'_>,
    upstreams: &[String],
    is_wanted: bool,
    (what, example): (&str, &str),
) -> Option<(Arc<str>, String)> {
    let upstream = section.optional("upstream", |text| known(text, upstreams));
    let path = section.optional("path", |text| path(text, example));
    let hint = format!("write the path of the backend that {what}, as in {example:?}");
    for (name, hint) in [
        ("upstream", "write the name of an upstream"),
        ("path", &hint),
    ] {
        if is_wanted && !section.has(name) {
            section.problem(name, "missing", hint);
        }
    }
    Some((upstream?, path?))
}

fn known(text: &str, upstreams: &[String]) -> Result<Arc<str>, Wrong> {
    if upstreams.iter().any(|name| name == text) {
        return Ok(text.into());
    }
    let names = upstreams.join(", ");
    refuse(
        "is not an upstream",
        if names.is_empty() {
            "write a table [upstreams.NAME]".to_owned()
        } else {
            format!("write one of {names}")
        },
    )
}

fn path(text: &str, example: &str) -> Result<String, Wrong> {
    let is_path = text.starts_with('/')
        && text.len() <= 1024
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    let form = format!("write it as in {example:?}");
    if !is_path {
        return refuse("is not a path", form);
    }
    // A backend may read such a path as another one, which a route leads to.
    let path = text.split('?').next().unwrap_or_default();
    let decoded = path.to_ascii_lowercase().replace("%2e", ".");
    if path.contains("//") || decoded.split('/').any(|part| matches!(part, "." | "..")) {
        return refuse("has \"//\" or a segment of dots", form);
    }
    Ok(text.to_owned())
}
