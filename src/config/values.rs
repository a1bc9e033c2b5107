//! The kinds of values that keys have, read from a [`Section`].

use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::DeValue;

use super::description::{Description, Kind};
use super::problem::Wrong;
use super::reader::{Given, Section};
use super::syntax::lookalike;
use crate::files;

/// A text of the file: as it is written (which may be shown), and with its variables put in (which
/// may be a secret).
pub(super) struct Text {
    pub(super) written: String,
    pub(super) value: String,
}

impl<'a> Section<'a> {
    /// A text with a default.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> T {
        self.describe(key, || Description::text(&parse));
        if let Some(value) = self.parsed(key, &parse) {
            return value;
        }
        let default = self.default_text(key).unwrap_or_default();
        self.note(key, Some(default.into()));
        parse(default).expect("the defaults in hufu.toml are right: tests read them all")
    }

    /// A text without a default.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.optional_as(key, parse, false)
    }

    /// A text that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        hint: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        if !self.has(key) {
            self.problem(key, "missing", hint);
        }
        self.optional_as(key, parse, true)
    }

    fn optional_as<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
        required: bool,
    ) -> Option<T> {
        self.describe(key, || Description {
            required,
            ..Description::text(&parse)
        });
        let value = self.parsed(key, &parse);
        if value.is_none() {
            self.note(key, None);
        }
        value
    }

    /// A whole number with a default, up to `max`.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &'static str, max: u64) -> T {
        self.number_in(key, 0..=max, "")
    }

    /// The same within a range; 0 where there is neither a number nor a default.
    pub(super) fn number_in<T: TryFrom<u64>>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        hint: &str,
    ) -> T {
        let max = *range.end();
        self.describe(key, || Description::new(Kind::Number(max)));
        let given = self.take(key);
        let written = given.as_ref().and_then(|given| whole_number(given.value));
        let is_within = written.is_some_and(|number| range.contains(&number));
        if let Some(given) = given.as_ref().filter(|_| !is_within) {
            let what = format!(
                "must be a whole number from {} to {max}, without quotes",
                range.start()
            );
            self.fault_at(given, &what, hint);
        }
        let number = written
            .or_else(|| self.default_of(key).and_then(whole_number))
            .unwrap_or_default()
            .min(max);
        self.note(key, i64::try_from(number).ok().map(toml::Value::Integer));
        T::try_from(number)
            .ok()
            .expect("max fits into the type: tests read every default")
    }

    /// A whole number above zero; `what` and `hint` say why.
    pub(super) fn positive<T: TryFrom<u64> + PartialEq + Default>(
        &mut self,
        key: &'static str,
        max: u64,
        what: &str,
        hint: &str,
    ) -> T {
        let number = self.number(key, max);
        if number == T::default() {
            self.problem(key, what, hint);
        }
        number
    }

    /// `true` or `false`, with a default.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.describe(key, || Description::new(Kind::Flag));
        let given = self.take(key);
        let written = given.as_ref().and_then(|given| given.value.as_bool());
        if let Some(given) = given.as_ref().filter(|_| written.is_none()) {
            self.wrong_kind(given, "true or false", "");
        }
        let value = written
            .or_else(|| self.default_of(key).and_then(DeValue::as_bool))
            .unwrap_or_default();
        self.note(key, Some(value.into()));
        value
    }

    /// A list of texts with a default, which may be empty. A single text is a list of one.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let default = self.default_of(key).map(|default| match default {
            DeValue::Array(items) => items
                .iter()
                .filter_map(|item| item.get_ref().as_str())
                .collect(),
            text => Vec::from_iter(text.as_str()),
        });
        self.list_of(key, default.as_deref(), parse)
    }

    /// A list with another default than the manual's.
    pub(super) fn list_or<T>(
        &mut self,
        key: &'static str,
        default: &[&str],
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        self.list_of(key, Some(default), parse)
    }

    fn list_of<T>(
        &mut self,
        key: &'static str,
        default: Option<&[&str]>,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        self.describe(key, || Description::list(&parse));
        let Some(given) = self.take(key) else {
            self.note(key, default.map(|texts| texts.to_vec().into()));
            let texts = default.unwrap_or_default().iter();
            return texts.filter_map(|text| parse(text).ok()).collect();
        };
        let elements = match given.value {
            DeValue::String(_) => vec![given.clone()],
            _ => self.elements(&given).unwrap_or_else(|| {
                self.wrong_kind(&given, "a list of texts", "write [\"…\", \"…\"]");
                Vec::new()
            }),
        };
        let texts: Vec<_> = elements
            .iter()
            .filter_map(|element| Some((element, self.text(element)?)))
            .collect();
        let shown = Vec::from_iter(texts.iter().map(|(_, text)| text.value.as_str()));
        self.note(key, Some(shown.into()));
        texts
            .iter()
            .filter_map(|(element, text)| self.parse(element, text, &parse))
            .collect()
    }

    /// The text of an entry, with its variables put in.
    pub(super) fn entry<T>(
        &self,
        given: &Given<'a>,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let text = self.text(given)?;
        self.parse(given, &text, &parse)
    }

    /// A text with a default that may be a secret in part (a URL with a password): nothing of it is
    /// ever shown. `None`: there is one, and it cannot be read.
    pub(super) fn discreet(&mut self, key: &'static str) -> Option<String> {
        self.describe(key, || Description::new(Kind::Text(Vec::new())));
        match self.take(key) {
            Some(given) => self.text(&given).map(|text| text.value),
            None => self.default_text(key).map(str::to_owned),
        }
    }

    /// A path of the file, from the folder of the configuration.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let directory = self.reader.directory.to_owned();
        let path = self.optional(key, |text| Ok(directory.join(text)))?;
        match files::check(&path) {
            Ok(()) => Some(path),
            Err(reason) => {
                self.problem(
                    key,
                    &format!("{} {reason}", path.display()),
                    &reason.advice("FILE"),
                );
                None
            }
        }
    }

    /// A certificate and its key, which go together.
    pub(super) fn certificate_pair(&mut self) -> Option<(PathBuf, PathBuf)> {
        let cert = self.path("cert");
        let key = self.path("key");
        for (one, other) in [("cert", "key"), ("key", "cert")] {
            if self.has(one) && !self.has(other) {
                self.problem(
                    one,
                    &format!("is set without {other}"),
                    "a certificate and its key go together",
                );
            }
        }
        cert.zip(key)
    }

    fn default_text(&self, key: &str) -> Option<&'a str> {
        self.default_of(key)?.as_str()
    }

    fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: &impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let given = self.take(key)?;
        let text = self.text(&given)?;
        let value = self.parse(&given, &text, parse)?;
        self.note(key, Some(text.value.into()));
        Some(value)
    }

    fn parse<T>(
        &self,
        given: &Given<'a>,
        text: &Text,
        parse: &impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let wrong = match parse(&text.value) {
            Ok(value) => return Some(value),
            Err(wrong) => wrong,
        };
        // What a variable stands for is not shown: somebody may have put a secret under the wrong
        // key. Nor is the login of a URL.
        let short: String = if text.written.contains('@') {
            "…@…".to_owned()
        } else {
            text.written.chars().take(80).collect()
        };
        let hint = match lookalike::within(&text.written) {
            Some((wide, plain)) => {
                let then = if wrong.hint.is_empty() { "" } else { "; " };
                format!(
                    "write {plain} for {wide} (an input method for Chinese writes it){then}{}",
                    wrong.hint
                )
            }
            None => wrong.hint,
        };
        self.fault_at(given, &format!("{short:?} {}", wrong.what), &hint);
        None
    }

    /// The text of a value with its variables put in.
    pub(super) fn text(&self, given: &Given<'a>) -> Option<Text> {
        let DeValue::String(written) = given.value else {
            let hint =
                "write it in quotes; durations and sizes have a unit, as in \"15m\" and \"16MiB\"";
            self.wrong_kind(given, "text", hint);
            return None;
        };
        match self.reader.variables.substitute(written) {
            Ok(value) => Some(Text {
                written: written.to_string(),
                value,
            }),
            Err(error) => {
                self.fault_at(
                    given,
                    &error.to_string(),
                    &error.hint(self.reader.variables),
                );
                None
            }
        }
    }
}

fn whole_number(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}
