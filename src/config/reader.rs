//! Walks the file table by table. Everything that is wrong is collected, and what nobody took is
//! unknown.

mod tables;
mod unknown;

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::description::{Description, Descriptions};
use super::effective::Effective;
use super::env::Variables;
use super::manual;
use super::problem::Problem;
use crate::crypto::hash;
use crate::secret::Secret;

/// One reading of one file.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// The file, as the operator named it.
    pub(super) file: &'a str,
    line_ends: Vec<usize>,
    /// Where paths in it start.
    pub(super) directory: &'a Path,
    /// What `${NAME}` may be.
    pub(super) variables: &'a Variables,
    findings: RefCell<Findings>,
    /// What each text that was read hashes to.
    sources: RefCell<Vec<[u8; 32]>>,
    /// The secrets that were read.
    pub(super) secrets: RefCell<Vec<PlacedSecret>>,
    /// What each key takes, for who asks.
    descriptions: Option<RefCell<Descriptions>>,
}

/// A secret, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct PlacedSecret {
    pub(super) line: Option<usize>,
    pub(super) path: String,
    pub(super) secret: Secret<String>,
}

/// What a reading found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    pub(super) effective: Effective,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        file: &'a str,
        text: &'a str,
        directory: &'a Path,
        variables: &'a Variables,
    ) -> Self {
        let line_ends = text
            .bytes()
            .enumerate()
            .filter(|(_, b)| *b == b'\n')
            .map(|(at, _)| at)
            .collect();
        let sources = RefCell::new(
            [Some(hash::sha256(text.as_bytes())), variables.source]
                .into_iter()
                .flatten()
                .collect(),
        );
        Self {
            file,
            line_ends,
            directory,
            variables,
            findings: RefCell::default(),
            secrets: RefCell::default(),
            sources,
            descriptions: None,
        }
    }

    /// The same, and what each key takes is noted.
    pub(super) fn describing(text: &'a str, variables: &'a Variables) -> Self {
        Self {
            descriptions: Some(RefCell::default()),
            ..Self::new("", text, Path::new(""), variables)
        }
    }

    /// What each key takes that was read.
    pub(super) fn descriptions(self) -> Descriptions {
        self.descriptions
            .map(RefCell::into_inner)
            .unwrap_or_default()
    }

    /// Another text was read, of a file that the configuration names.
    pub(super) fn has_read(&self, text: &str) {
        self.sources
            .borrow_mut()
            .push(hash::sha256(text.as_bytes()));
    }

    /// All texts in one.
    pub(super) fn source(&self) -> [u8; 32] {
        hash::sha256(self.sources.borrow().as_flattened())
    }

    /// Reads the whole file with `read`.
    pub(super) fn root<T>(
        &self,
        given: &DeTable<'_>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let defaults = manual::defaults();
        let root = TablePlace::default();
        tables::read_table(
            self,
            root,
            String::new(),
            Some(given),
            Some(&defaults),
            read,
        )
    }

    /// What was found, in the order of the file.
    pub(super) fn finish(self) -> Findings {
        let mut findings = self.findings.into_inner();
        findings
            .problems
            .sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        findings
            .warnings
            .sort_by_key(|warning| warning.line.unwrap_or(usize::MAX));
        findings
    }

    /// The line in which a place of the text begins.
    fn line(&self, place: Range<usize>) -> usize {
        self.line_ends.partition_point(|end| *end < place.start) + 1
    }

    fn problem_of(&self, line: Option<usize>, path: &str, what: &str, hint: &str) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line,
            path: path.to_owned(),
            what: what.to_owned(),
            hint: hint.to_owned(),
        }
    }
}

/// What a table is called.
#[derive(Debug, Clone, Default)]
struct TablePlace {
    /// `apps.shop.`: what stands before its keys.
    path: String,
    /// `apps.*.`: the same for every table of the kind.
    pattern: String,
    line: Option<usize>,
    /// Whether its keys count from the start of a process to its end.
    takes_restart: bool,
}

/// One table of the file, with its defaults.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    place: TablePlace,
    given: Option<&'a DeTable<'a>>,
    defaults: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
    shown: usize,
}

/// A value that stands in the file.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// Whether the file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.is_some_and(|table| table.contains_key(key))
    }

    /// Which of two keys the file has; where it has neither, the second.
    pub(super) fn written_of(&self, key: &'static str, other: &'static str) -> &'static str {
        if self.has(key) { key } else { other }
    }

    /// The names of the tables below `key`, as the file has them.
    pub(super) fn names_below(&self, key: &str) -> Vec<String> {
        let table = self
            .given
            .and_then(|table| table.get(key)?.get_ref().as_table());
        let names = table.into_iter().flat_map(|table| table.keys());
        names.map(|name| name.get_ref().to_string()).collect()
    }

    /// What the manual says of this key.
    pub(super) fn default_of(&self, key: &str) -> Option<&'a DeValue<'a>> {
        Some(self.defaults?.get(key)?.get_ref())
    }

    /// Whether the file has this key as a list without elements.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.given.and_then(|table| table.get(key));
        let items = value.and_then(|value| value.get_ref().as_array());
        items.is_some_and(|items| items.is_empty())
    }

    /// Whether something is wrong with this key or below it.
    pub(super) fn has_problems_at(&self, key: &str) -> bool {
        let path = format!("{}{key}", self.place.path);
        self.reader
            .findings
            .borrow()
            .problems
            .iter()
            .any(|problem| problem.path.starts_with(&path))
    }

    /// Whether anything is wrong anywhere so far.
    pub(super) fn any_problems(&self) -> bool {
        !self.reader.findings.borrow().problems.is_empty()
    }

    /// The value of a key, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Given<'a>> {
        self.known.push(key);
        let (name, value) = self.given?.get_key_value(key)?;
        Some(Given {
            path: format!("{}{key}", self.place.path),
            line: self.reader.line(name.span()),
            value: value.get_ref(),
        })
    }

    /// The elements of a list, each with a path and a line of its own.
    pub(super) fn elements(&self, list: &Given<'a>) -> Option<Vec<Given<'a>>> {
        let elements = list
            .value
            .as_array()?
            .iter()
            .enumerate()
            .map(|(index, item)| Given {
                path: format!("{}[{index}]", list.path),
                line: self.reader.line(item.span()),
                value: item.get_ref(),
            });
        Some(elements.collect())
    }

    /// Notes what a key takes, where somebody wants to know.
    pub(super) fn describe(&self, key: &str, description: impl FnOnce() -> Description) {
        if let Some(all) = &self.reader.descriptions {
            all.borrow_mut()
                .insert(format!("{}{key}", self.place.pattern), description());
        }
    }

    /// From here on the keys of this table, and of those below it, count from the start of a
    /// process to its end.
    pub(super) const fn takes_restart(&mut self) {
        self.place.takes_restart = true;
    }

    /// Reads keys that a reload takes, in a table that takes a restart otherwise.
    pub(super) fn on_reload<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let others = std::mem::replace(&mut self.place.takes_restart, false);
        let value = read(self);
        self.place.takes_restart = others;
        value
    }

    /// Notes a key with the value in force.
    pub(super) fn note(&self, key: &'static str, value: Option<toml::Value>) {
        self.reader.findings.borrow_mut().effective.note(
            self.shown,
            key,
            value,
            self.place.takes_restart,
        );
    }

    /// Notes the real value of a key that was noted, but is shown in part or not at all.
    pub(super) fn note_hidden(&self, key: &str, secret: &[u8]) {
        self.reader
            .findings
            .borrow_mut()
            .effective
            .note_hidden(self.shown, key, secret);
    }

    /// A key of this table, by its whole name.
    pub(super) fn path_of(&self, key: &str) -> String {
        format!("{}{key}", self.place.path)
    }

    /// Something is wrong with a key.
    pub(super) fn problem(&self, key: &str, what: &str, hint: &str) {
        self.fault(
            self.line_of(key),
            &format!("{}{key}", self.place.path),
            what,
            hint,
        );
    }

    /// Something is odd about a key.
    pub(super) fn warn(&self, key: &str, what: &str, hint: &str) {
        self.warn_at(
            self.line_of(key),
            &format!("{}{key}", self.place.path),
            what,
            hint,
        );
    }

    /// Something is odd about a key of the table `table` below this one.
    pub(super) fn warn_below(&self, table: &str, key: &str, what: &str, hint: &str) {
        let table_at = self.given.and_then(|given| given.get_key_value(table));
        let key_at = table_at.and_then(|(_, value)| value.get_ref().as_table()?.get_key_value(key));
        let line = key_at
            .map(|(name, _)| name)
            .or(table_at.map(|(name, _)| name))
            .map(|name| self.reader.line(name.span()));
        self.warn_at(
            line,
            &format!("{}{table}.{key}", self.place.path),
            what,
            hint,
        );
    }

    /// Something is odd in a place.
    pub(super) fn warn_at(&self, line: Option<usize>, path: &str, what: &str, hint: &str) {
        let warning = self.reader.problem_of(line, path, what, hint);
        self.reader.findings.borrow_mut().warnings.push(warning);
    }

    /// Something is wrong with a value that stands in the file.
    pub(super) fn fault_at(&self, given: &Given<'_>, what: &str, hint: &str) {
        self.fault(Some(given.line), &given.path, what, hint);
    }

    /// A value is of another kind than its key wants.
    pub(super) fn wrong_kind(&self, given: &Given<'_>, wanted: &str, hint: &str) {
        let what = format!("must be {wanted}, not {}", kind(given.value));
        self.fault_at(given, &what, hint);
    }

    /// Something is wrong in a place.
    pub(super) fn fault(&self, line: Option<usize>, path: &str, what: &str, hint: &str) {
        let problem = self.reader.problem_of(line, path, what, hint);
        self.reader.findings.borrow_mut().problems.push(problem);
    }

    /// Where the table begins; `None`: the root, or nowhere in the file.
    pub(super) const fn line(&self) -> Option<usize> {
        self.place.line
    }

    /// The line of a key, or of the table that lacks it.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        let of_key = self
            .given
            .and_then(|table| table.get_key_value(key))
            .map(|(name, _)| self.reader.line(name.span()));
        of_key.or(self.place.line)
    }
}

/// What a value is, in the operator's words.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
