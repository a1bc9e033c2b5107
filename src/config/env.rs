//! `${NAME}`: from the environment, or from a `.env` beside the configuration.

mod dotenv;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use self::dotenv::DotEnv;
use super::checks;
use super::problem::Problem;
use crate::crypto::hash;
use crate::files::{self, FileError};
use crate::secret::Secret;

/// The variables that a configuration may use.
#[derive(Debug, Default)]
pub struct Variables {
    dotenv: HashMap<String, Secret<String>>,
    process: bool,
    /// What the file's text hashes to.
    pub(super) source: Option<[u8; 32]>,
    /// A file that is there and cannot be read.
    unread: Option<(Problem, FileError)>,
    missing: RefCell<BTreeSet<String>>,
}

/// Why a text with variables has no value. None of these hold the text: it may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum VariableError {
    #[error("the variable {0} is not set")]
    Missing(String),
    #[error("the variable {0} is not UTF-8")]
    NotUtf8(String),
    #[error("a ${{ is not followed by a name and a }}")]
    Malformed,
    #[error("a dollar sign without a variable in braces")]
    Lone,
    #[error("a full-width ＄ is before a {{, so no variable is put in")]
    Wide,
}

impl VariableError {
    pub(super) fn hint(&self, variables: &Variables) -> String {
        match self {
            Self::Missing(name) if let Some(meant) = variables.alike(name) => {
                format!("the file .env has {meant}: did you mean that one?")
            }
            Self::Missing(name) => format!(
                "set {name} in the environment, or write {name}=… into the file .env beside the configuration"
            ),
            Self::NotUtf8(name) => format!("set {name} to text"),
            Self::Malformed | Self::Lone | Self::Wide => {
                "write ${NAME} for a variable (letters, digits and _), $$ for a dollar sign"
                    .to_owned()
            }
        }
    }
}

impl Variables {
    /// The environment of this process and, where it is silent, the `.env` in `directory`, with
    /// what is odd about that file.
    pub fn load(directory: &Path) -> (Self, Vec<Problem>, Vec<Problem>) {
        let path = directory.join(".env");
        let mut file = DotEnv {
            name: path.display().to_string(),
            ..DotEnv::default()
        };
        let mut source = None;
        let mut unread = None;
        match files::read_text(&path) {
            Ok(text) => {
                source = Some(hash::sha256(text.as_bytes()));
                file.read(&text);
                if checks::readable_by_all(&path) {
                    file.warn(
                        None,
                        "every user of this machine can read it",
                        &format!("chmod 600 {}", path.display()),
                    );
                }
            }
            Err(FileError::Missing) => {}
            Err(reason) => {
                let problem = Problem::of_file(&file.name, None, &reason.to_string(), "");
                unread = Some((problem, reason));
            }
        }
        (
            Self {
                dotenv: file.values,
                process: true,
                source,
                unread,
                missing: RefCell::default(),
            },
            file.problems,
            file.warnings,
        )
    }

    /// A `.env` that could not be read, after everything else was: whose variables are all set
    /// without it, needs it not; else it is the one reason for all that is missing, which is taken
    /// out of `problems`.
    pub(super) fn note_unread(&self, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
        let Some((mut unread, reason)) = self.unread.clone() else {
            return;
        };
        let missing = self.missing.borrow();
        if missing.is_empty() {
            "no variable is missing without it, so the gateway goes on"
                .clone_into(&mut unread.hint);
            warnings.insert(0, unread);
            return;
        }
        let lines: Vec<_> = missing
            .iter()
            .map(|name| VariableError::Missing(name.clone()).to_string())
            .collect();
        problems.retain(|problem| !lines.contains(&problem.what));
        let names: Vec<_> = missing.iter().map(String::as_str).collect();
        let is = if names.len() == 1 { "is" } else { "are" };
        unread.what = format!(
            "{}; {}, which the configuration needs, {is} not set elsewhere",
            unread.what,
            names.join(", ")
        );
        unread.hint = match reason {
            FileError::NotUtf8 { .. } | FileError::Dangling(_) => reason.advice(&unread.file),
            FileError::NotAFile(_) => {
                "put an ordinary file with lines NAME=value there (Docker makes a directory where a file to mount is missing), or set the variables in the environment"
                    .to_owned()
            }
            _ => format!(
                "have the service manager set the variables (systemd: EnvironmentFile={0}), or make the gateway's user the owner of {0}; nobody else needs to read it",
                unread.file
            ),
        };
        problems.insert(0, unread);
    }

    /// These variables and no others.
    pub fn only<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let dotenv = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())))
            .collect();
        Self {
            dotenv,
            ..Self::default()
        }
    }

    /// `text` with every `${NAME}` replaced by its value and every `$$` by a dollar sign.
    pub(super) fn substitute(&self, text: &str) -> Result<String, VariableError> {
        if text.contains("＄{") {
            return Err(VariableError::Wide);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                after
            } else {
                let (name, after) = after
                    .strip_prefix('{')
                    .ok_or(VariableError::Lone)?
                    .split_once('}')
                    .ok_or(VariableError::Malformed)?;
                out.push_str(&self.value(name)?);
                after
            };
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The value of a variable that may be there.
    pub(super) fn found(&self, name: &str) -> Option<String> {
        self.value(name).ok().filter(|value| !value.is_empty())
    }

    /// The variable of the file that is spelt most like a name.
    fn alike(&self, name: &str) -> Option<&String> {
        let name = name.to_ascii_uppercase();
        let scored = self.dotenv.keys().map(|known| {
            (
                strsim::jaro_winkler(&known.to_ascii_uppercase(), &name),
                known,
            )
        });
        scored
            .filter(|(score, _)| *score > 0.95)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known)
    }

    fn value(&self, name: &str) -> Result<String, VariableError> {
        if !is_name(name) {
            return Err(VariableError::Malformed);
        }
        let of_process = if self.process {
            std::env::var(name)
        } else {
            Err(std::env::VarError::NotPresent)
        };
        match of_process {
            Ok(value) => Ok(value),
            Err(std::env::VarError::NotUnicode(_)) => Err(VariableError::NotUtf8(name.to_owned())),
            Err(std::env::VarError::NotPresent) => {
                let value = self.dotenv.get(name).map(|value| value.expose().clone());
                value.ok_or_else(|| {
                    self.missing.borrow_mut().insert(name.to_owned());
                    VariableError::Missing(name.to_owned())
                })
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> DotEnv {
        let mut file = DotEnv::default();
        file.read(text);
        file
    }

    #[test]
    fn variables_are_put_in_and_dollars_kept() {
        let variables = Variables::only([("KEY", "k$x"), ("_A1", "")]);
        for (text, value) in [
            ("plain", "plain"),
            ("${KEY}", "k$x"),
            ("a${KEY}b${_A1}c", "ak$xbc"),
            ("$$", "$"),
            ("$${KEY}", "${KEY}"),
            ("$$${KEY}", "$k$x"),
        ] {
            assert_eq!(variables.substitute(text).as_deref(), Ok(value), "{text}");
        }
        for (text, why) in [
            ("${NONE}", VariableError::Missing("NONE".to_owned())),
            ("$KEY", VariableError::Lone),
            ("end$", VariableError::Lone),
            ("${KEY", VariableError::Malformed),
            ("${}", VariableError::Malformed),
            ("${KEY:-x}", VariableError::Malformed),
            ("${1A}", VariableError::Malformed),
        ] {
            assert_eq!(variables.substitute(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_broken_line_is_named_by_its_number_only() {
        let file = read("# a comment\nA=1\nB='tiger\n");
        assert_eq!(file.problems.len(), 1);
        let text = file.problems[0].to_string();
        assert!(
            text.starts_with(":3: ") && !text.contains("tiger"),
            "{text}"
        );
        assert_eq!(file.values["A"].expose(), "1");
    }

    #[test]
    fn a_dollar_sign_that_would_vanish_is_told_and_others_are_not() {
        for lost in [
            "A=abc$def#1",
            "A=abc$",
            "A=\"a$def\"",
            "A=${def}x",
            "A=x$B",
            "A=$$",
        ] {
            let file = read(&format!("# one\nB1=1\n{lost}\n"));
            assert_eq!(
                (
                    file.problems.len(),
                    file.problems.first().and_then(|problem| problem.line)
                ),
                (1, Some(3)),
                "{lost}"
            );
            let text = file.problems[0].to_string();
            assert!(
                text.contains("single quotes") && !text.contains("def"),
                "{text}"
            );
        }
        for (kept, value) in [
            ("'a$def'", "a$def"),
            ("a\\$def", "a$def"),
            ("$B1", "1"),
            ("\"x${B1}y\"", "x1y"),
            ("x # $def", "x"),
            ("'$'x", "$x"),
        ] {
            let file = read(&format!("B1=1\nA={kept}\n"));
            assert_eq!(
                (
                    file.problems.len(),
                    file.values.get("A").map(|value| value.expose().as_str())
                ),
                (0, Some(value)),
                "{kept}"
            );
        }
    }

    #[test]
    fn what_an_input_method_writes_is_named() {
        let file = read("A＝tiger\nB=“tiger”\n");
        let lines = |all: &[Problem]| all.iter().map(ToString::to_string).collect::<String>();
        let (problems, warnings) = (lines(&file.problems), lines(&file.warnings));
        assert!(
            problems.starts_with(":1: has ＝ after the name") && !problems.contains("tiger"),
            "{problems}"
        );
        assert!(
            warnings.starts_with(":2: B begins with “") && !warnings.contains("tiger"),
            "{warnings}"
        );
        assert_eq!(
            Variables::only([]).substitute("＄{A}"),
            Err(VariableError::Wide)
        );
    }

    #[test]
    fn a_variable_that_is_spelt_alike_is_named() {
        for (known, wanted, lines) in [
            ("WX_SECRET", "WX_SECERT", true),
            ("wx_secret", "WX_SECRET", true),
            ("HUFU_KEY", "WX_SECRET", false),
        ] {
            let variables = Variables::only([(known, "tiger")]);
            let hint = variables
                .substitute(&format!("${{{wanted}}}"))
                .unwrap_err()
                .hint(&variables);
            assert_eq!(
                hint.contains(&format!("{known}: did you mean")),
                lines,
                "{hint}"
            );
        }
    }

    #[test]
    fn the_first_of_two_counts_and_a_warning_says_so() {
        let file = read("A=1\nA=1\nA=2\n");
        assert_eq!(
            (file.values["A"].expose().as_str(), file.warnings.len()),
            ("1", 1)
        );
    }
}
