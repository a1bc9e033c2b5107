//! The `.env` file: what it sets, and what is odd about it.

use std::collections::HashMap;

use crate::config::problem::Problem;
use crate::secret::Secret;

/// Stands for a dollar sign. No text has it: it belongs to nobody's alphabet.
const DOLLAR: char = '\u{f8ff}';

/// The text with every dollar sign that is not escaped made a letter like others.
fn with_plain_dollars(text: &str) -> String {
    let mut escaped = false;
    let plain = |c: char| {
        let shown = if c == '$' && !escaped { DOLLAR } else { c };
        escaped = c == '\\' && !escaped;
        shown
    };
    text.chars().map(plain).collect()
}

/// The name that follows a dollar sign, as dotenvy reads it.
fn variable_of(after: &str) -> &str {
    if let Some((name, _)) = after
        .strip_prefix('{')
        .and_then(|after| after.split_once('}'))
    {
        return name;
    }
    after
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
}

/// The line that first sets a variable.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let sets = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        line.strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    Some(text.lines().position(sets)? + 1)
}

/// A `.env` file being read.
#[derive(Default)]
pub(super) struct DotEnv {
    pub(super) name: String,
    pub(super) values: HashMap<String, Secret<String>>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl DotEnv {
    pub(super) fn read(&mut self, text: &str) {
        let literal = with_plain_dollars(text);
        // The same entries, as they would be if a dollar sign stood for nothing else.
        let mut plain = dotenvy::from_read_iter(literal.as_bytes());
        for entry in dotenvy::from_read_iter(text.as_bytes()) {
            let plain = plain.next();
            match entry {
                Ok((name, value)) => {
                    let value = Secret::new(value);
                    match self.values.get(&name) {
                        Some(first) if *first == value => {}
                        Some(_) => self.warn(
                            None,
                            &format!("{name} is there twice; the first counts"),
                            "remove one of them",
                        ),
                        None => {
                            let plain = plain.and_then(|entry| Some(entry.ok()?.1));
                            let line = line_of(text, &name);
                            self.check(line, &name, value.expose(), plain.as_deref());
                            self.values.insert(name, value);
                        }
                    }
                }
                // The error itself holds the line, and with it perhaps a secret.
                Err(dotenvy::Error::LineParse(line, _)) => self.refuse(text, &line),
                Err(error) => self.problem(None, &format!("cannot be read: {error}"), ""),
            }
        }
    }

    /// Says what is odd about a value; `plain` is what it would be if its dollar signs stood for
    /// nothing else.
    fn check(&mut self, line: Option<usize>, name: &str, value: &str, plain: Option<&str>) {
        if plain.is_some_and(|plain| self.loses(value, plain)) {
            let what = format!(
                "{name} has a dollar sign followed by no variable that is set: it and the name would vanish"
            );
            self.problem(line, &what, "put the value into single quotes");
        }
        let quote = value.chars().next();
        if let Some(quote) = quote.filter(|first| "“”‘’＂＇「『".contains(*first)) {
            let what = format!(
                "{name} begins with {quote}, which counts as part of the value and not as a quote"
            );
            let hint = "write \" or ', if an input method for Chinese has written it";
            self.warn(line, &what, hint);
        }
    }

    /// A line that sets nothing.
    fn refuse(&mut self, text: &str, line: &str) {
        let number = text
            .find(line.trim_end())
            .map(|at| text[..at].matches('\n').count() + 1);
        let wide = line
            .split('=')
            .next()
            .is_some_and(|name| name.contains('＝'));
        let (what, hint) = if wide {
            (
                "has ＝ after the name instead of =",
                "write = (an input method for Chinese writes the other)",
            )
        } else {
            (
                "is not a line of the form NAME=value",
                "put values with spaces, quotes, $ or # into single quotes",
            )
        };
        self.problem(number, what, hint);
    }

    /// Whether a value differs from what is written by more than variables that are set. Which name
    /// is not is not told: it may be a part of a secret.
    fn loses(&self, value: &str, plain: &str) -> bool {
        let is_set =
            |name: &str| self.values.contains_key(name) || std::env::var_os(name).is_some();
        value != plain.replace(DOLLAR, "$")
            && plain
                .split(DOLLAR)
                .skip(1)
                .any(|after| !is_set(variable_of(after)))
    }

    fn problem(&mut self, line: Option<usize>, what: &str, hint: &str) {
        self.problems
            .push(Problem::of_file(&self.name, line, what, hint));
    }

    pub(super) fn warn(&mut self, line: Option<usize>, what: &str, hint: &str) {
        self.warnings
            .push(Problem::of_file(&self.name, line, what, hint));
    }
}
