//! The gateway's own log on standard error.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use env_logger::fmt::Formatter;
use log::kv::{self, Key, Value, VisitSource};

use crate::clock::{Clock as _, SystemClock};
use crate::telemetry::LineFormat;

/// Starts the log. `RUST_LOG` wins over `level`; the server's own lines on broken connections are
/// left out, since each is an access line already. Starting twice is fine: the first stays.
pub fn init(level: log::LevelFilter, format: LineFormat) {
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(level)
        .filter_module("actix_http", log::LevelFilter::Off)
        .filter_module("actix_server", log::LevelFilter::Warn);
    builder.parse_default_env();
    match format {
        LineFormat::Json => builder.format(json_line),
        LineFormat::Text => builder.format(text_line),
    };
    let _ = builder.try_init();
}

fn json_line(out: &mut Formatter, record: &log::Record<'_>) -> std::io::Result<()> {
    let mut line = serde_json::Map::new();
    line.insert(
        "time".to_owned(),
        humantime::format_rfc3339_millis(time_of_day())
            .to_string()
            .into(),
    );
    line.insert(
        "level".to_owned(),
        record.level().as_str().to_ascii_lowercase().into(),
    );
    line.insert("message".to_owned(), record.args().to_string().into());
    let _ = record.key_values().visit(&mut Pairs(&mut |key, value| {
        line.insert(key, value.into());
    }));
    writeln!(out, "{}", serde_json::Value::Object(line))
}

fn text_line(out: &mut Formatter, record: &log::Record<'_>) -> std::io::Result<()> {
    let time = humantime::format_rfc3339_seconds(time_of_day());
    let level = record.level();
    let style = out.default_level_style(level);
    write!(
        out,
        "{time} {style}{level:5}{style:#} {}",
        one_line(&record.args().to_string())
    )?;
    let mut pairs = String::new();
    let _ = record
        .key_values()
        .visit(&mut Pairs(&mut |key, value: String| {
            pairs.push_str(&format!(" {key}={}", one_line(&value)));
        }));
    writeln!(out, "{pairs}")
}

fn time_of_day() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(SystemClock.unix_now().0)
}

/// Line ends and other control characters written as escapes, so that no input can forge a line.
fn one_line(text: &str) -> String {
    if text.contains(|c: char| c.is_control()) {
        text.chars()
            .flat_map(|c| {
                if c.is_control() {
                    c.escape_default().collect::<Vec<_>>()
                } else {
                    vec![c]
                }
            })
            .collect()
    } else {
        text.to_owned()
    }
}

struct Pairs<'a>(&'a mut dyn FnMut(String, String));

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        (self.0)(key.to_string(), value.to_string());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_forges_a_line() {
        assert_eq!(one_line("a\nb\r\u{1b}[31mc"), "a\\nb\\r\\u{1b}[31mc");
        assert_eq!(one_line("虎符"), "虎符");
    }
}
