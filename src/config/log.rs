//! `[log]`: access lines and the gateway's own messages.

use log::LevelFilter;

use super::reader::Section;
use super::values::choice;

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
}

pub(super) fn read(section: &mut Section<'_>) -> LogSettings {
    let levels = [
        ("error", LevelFilter::Error),
        ("warn", LevelFilter::Warn),
        ("info", LevelFilter::Info),
        ("debug", LevelFilter::Debug),
        ("trace", LevelFilter::Trace),
        ("off", LevelFilter::Off),
    ];
    LogSettings {
        format: section.value("format", choice([("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)])),
        level: section.value("level", choice(levels)),
    }
}
