//! `[log]`: access lines and the gateway's own messages.

use log::LevelFilter;

use super::parsers::choice;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::route::canonical;

/// The form of access lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// The form of access lines.
    pub format: LogFormat,
    /// How much the gateway says of itself.
    pub level: LevelFilter,
    /// Paths, in their canonical form, whose requests have no access line where nothing went wrong.
    pub skip: Vec<String>,
}

pub(super) fn read(section: &mut Section<'_>) -> LogSettings {
    section.takes_restart();
    let levels = [
        ("error", LevelFilter::Error),
        ("warn", LevelFilter::Warn),
        ("info", LevelFilter::Info),
        ("debug", LevelFilter::Debug),
        ("trace", LevelFilter::Trace),
        ("off", LevelFilter::Off),
    ];
    LogSettings {
        format: section.value(
            "format",
            choice([
                ("auto", LogFormat::Auto),
                ("json", LogFormat::Json),
                ("text", LogFormat::Text),
            ]),
        ),
        level: section.value("level", choice(levels)),
        skip: section.on_reload(|section| section.list("skip", path)),
    }
}

/// The whole path of requests, in the form in which paths are compared.
fn path(text: &str) -> Result<String, Wrong> {
    let meant = text.split(['?', '#', '*']).next().unwrap_or_default();
    let meant = format!("/{}", meant.trim_start_matches('/'));
    let write = format!(
        "write {:?}",
        canonical(&meant).map_or(meant.clone(), std::borrow::Cow::into_owned)
    );
    match text {
        _ if !text.starts_with('/') => refuse("does not start with a slash", write),
        _ if text.contains(['?', '#']) => {
            refuse("has a query or a fragment, which access lines omit", write)
        }
        _ if text.contains('*') => refuse(
            "has a *; there are no patterns",
            "name each path on its own and as a whole, as in \"/auth/healthz\"",
        ),
        _ => match canonical(text) {
            Ok(canonical) if canonical == text => Ok(text.to_owned()),
            Ok(_) => refuse("is not in its canonical form", write),
            Err(error) => refuse(
                format!("is not a path: {error}"),
                "write the path as clients send it",
            ),
        },
    }
}
