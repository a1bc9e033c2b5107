//! What is wrong with a configuration, in words that an operator understands.

use std::borrow::Cow;
use std::fmt;

/// One thing that is wrong with the configuration; among the warnings, one that is odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in, as the operator named it.
    pub file: String,
    /// The line, where there is one.
    pub line: Option<usize>,
    /// The key, such as `apps.shop.secret`; empty when it is about the whole file.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Problem {
    /// About a whole file, or a line of it.
    pub(super) fn of_file(file: &str, line: Option<usize>, what: &str, hint: &str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            path: String::new(),
            what: what.to_owned(),
            hint: hint.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", as_called_here(&self.what))?;
        if !self.hint.is_empty() {
            write!(f, "\n    {}", as_called_here(&self.hint))?;
        }
        Ok(())
    }
}

/// Commands as they are called where this process runs: of the image, which names itself in
/// HUFU_IMAGE, in a container.
fn as_called_here(text: &str) -> Cow<'_, str> {
    match std::env::var("HUFU_IMAGE") {
        Ok(image) if text.contains("`hufu ") => of_image(text, &image).into(),
        _ => text.into(),
    }
}

fn of_image(text: &str, image: &str) -> String {
    let keygen = format!("`docker run --rm {image} keygen");
    let init =
        format!("`docker run --rm -u \"$(id -u):$(id -g)\" -v \"$PWD:/etc/hufu\" {image} init");
    text.replace("`hufu keygen", &keygen)
        .replace("`hufu init", &init)
}

/// Why there are no settings. Its text is for the operator, and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Everything that is wrong, in the order of the file; at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Why a value is not what its key wants.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Follows the value: `is not a duration`.
    pub(super) what: String,
    /// What to write instead.
    pub(super) hint: String,
    /// The words that it can be, where there are a few.
    pub(super) choices: Vec<&'static str>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
            choices: Vec::new(),
        }
    }

    /// It is one of these words and nothing else.
    pub(super) fn none_of(self, choices: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            choices: choices.into_iter().collect(),
            ..self
        }
    }
}

/// The value is not what its key wants.
pub(super) fn refuse<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::new(what, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_told_commands_that_work_outside_of_it() {
        for (text, shown) in [
            (
                "make one with `hufu keygen`",
                "make one with `docker run --rm shop/hufu:1 keygen`",
            ),
            (
                "run `hufu keygen --env >> .env`",
                "run `docker run --rm shop/hufu:1 keygen --env >> .env`",
            ),
            (
                "write one with `hufu init`",
                "write one with `docker run --rm -u \"$(id -u):$(id -g)\" -v \"$PWD:/etc/hufu\" shop/hufu:1 init`",
            ),
            ("the user hufu", "the user hufu"),
        ] {
            assert_eq!(of_image(text, "shop/hufu:1"), shown);
        }
    }
}
