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
    let message = text_message(&record.args().to_string());
    write!(out, "{time} {style}{level:5}{style:#} {message}")?;
    let mut pairs = String::new();
    let _ = record
        .key_values()
        .visit(&mut Pairs(&mut |key, value: String| {
            pairs.push_str(&format!(" {key}={}", text_value(&value)));
        }));
    writeln!(out, "{pairs}")
}

fn time_of_day() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(SystemClock.unix_now().0)
}

/// A message, in quotes if something in it could be taken for a field, or opens a quote.
fn text_message(message: &str) -> String {
    let mut before = ' ';
    let has_pair = message.chars().any(|c| {
        let is_pair = c == '=' && !before.is_whitespace();
        before = c;
        is_pair
    });
    // A backslash may end a quote for one reader and not for another.
    let has_escaped_quote = message.contains('"') && message.contains('\\');
    if has_pair || has_escaped_quote || message.matches('"').count() % 2 == 1 {
        in_quotes(message)
    } else {
        visible(message)
    }
}

/// The value of a field as logfmt has it: in quotes, unless it is one plain word. So no value can
/// pass for another field.
fn text_value(value: &str) -> String {
    let is_special = |c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\\');
    let visible = visible(value);
    if value.is_empty() || visible != value || value.contains(is_special) {
        in_quotes(value)
    } else {
        visible
    }
}

fn in_quotes(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", visible(&escaped))
}

/// Letters by their class, and yet empty places on a screen.
const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// Line ends, control characters, blank letters, and what turns the direction of the writing, as
/// escapes: no text forges a line, or looks on a terminal like another one.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if BLANK.contains(&c) {
            out.extend(c.escape_unicode());
        } else if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() {
            out.push(c);
        } else {
            out.extend(c.escape_debug());
        }
    }
    out
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
        assert_eq!(visible("a\nb\r\u{1b}[31mc"), "a\\nb\\r\\u{1b}[31mc");
        assert_eq!(visible("a\u{202e}b\u{2028}"), "a\\u{202e}b\\u{2028}");
        assert_eq!(visible("虎符：“é”"), "虎符：“é”");
        for blank in BLANK {
            assert_eq!(
                visible(&blank.to_string()),
                format!("\\u{{{:x}}}", u32::from(blank))
            );
        }
    }

    #[test]
    fn no_value_forges_a_field() {
        for (value, written) in [
            ("staff", "staff"),
            ("虎符", "虎符"),
            ("[::1]:80", "[::1]:80"),
            ("it's", "it's"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("ok from=1.2.3.4", r#""ok from=1.2.3.4""#),
            (r#"a" from="1"#, r#""a\" from=\"1""#),
            (r"a\", r#""a\\""#),
            ("a\nb", r#""a\nb""#),
            ("a\u{a0}from", r#""a\u{a0}from""#),
            ("a\u{202e}b", r#""a\u{202e}b""#),
        ] {
            assert_eq!(text_value(value), written, "{value:?}");
        }
    }

    #[test]
    fn no_message_forges_a_field() {
        for (message, written) in [
            ("it is \"shop\"", "it is \"shop\""),
            ("write a = \"b\"", "write a = \"b\""),
            ("it says: by=x", r#""it says: by=x""#),
            ("it says: \"x", r#""it says: \"x""#),
            (r#"x "a\""#, r#""x \"a\\\"""#),
            (r"C:\x", r"C:\x"),
        ] {
            assert_eq!(text_message(message), written, "{message:?}");
        }
    }
}
