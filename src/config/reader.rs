//! Walks the file table by table. Everything that is wrong is collected, and what nobody took is
//! unknown.

use std::cell::RefCell;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::description::{Description, Descriptions};
use super::effective::Effective;
use super::env::Variables;
use super::problem::Problem;
use super::{later, manual};
use crate::crypto::hash;

/// One reading of one file.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// The file, as the operator named it.
    pub(super) file: &'a str,
    /// Where its lines end.
    line_ends: Vec<usize>,
    /// Where paths in it start.
    pub(super) directory: &'a Path,
    /// What `${NAME}` may be.
    pub(super) variables: &'a Variables,
    findings: RefCell<Findings>,
    /// What each text that was read hashes to.
    sources: RefCell<Vec<[u8; 32]>>,
    /// What each key takes, for who asks.
    descriptions: Option<RefCell<Descriptions>>,
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
        let place = Place {
            path: String::new(),
            pattern: String::new(),
            line: None,
            takes_restart: false,
        };
        read_table(
            self,
            place,
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

    fn line(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
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
#[derive(Debug, Clone)]
struct Place {
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
    place: Place,
    given: Option<&'a DeTable<'a>>,
    pub(super) defaults: Option<&'a DeTable<'a>>,
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

    /// Whether the file has this key as a list without elements.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.given.and_then(|table| table.get(key));
        value.is_some_and(
            |value| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()),
        )
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
            line: self.reader.line(name.span().start),
            value: value.get_ref(),
        })
    }

    /// The elements of a list, each with a path and a line of its own.
    pub(super) fn elements(&self, list: &Given<'a>) -> Option<Vec<Given<'a>>> {
        let DeValue::Array(items) = list.value else {
            return None;
        };
        let element = |(index, item): (usize, &'a toml::Spanned<DeValue<'a>>)| Given {
            path: format!("{}[{index}]", list.path),
            line: self.reader.line(item.span().start),
            value: item.get_ref(),
        };
        Some(items.iter().enumerate().map(element).collect())
    }

    /// Reads the table `key` with `read`.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let given = self.take(key);
        let line = given.as_ref().map(|given| given.line).or(self.place.line);
        let place = Place {
            path: format!("{}{key}.", self.place.path),
            pattern: format!("{}{key}.", self.place.pattern),
            line,
            takes_restart: self.place.takes_restart,
        };
        let table = given.and_then(|given| self.table(&given));
        let header = format!("[{}{key}]", self.place.path);
        read_table(
            self.reader,
            place,
            header,
            table,
            self.defaults
                .and_then(|d| d.get(key))
                .and_then(|v| as_table(v.get_ref())),
            read,
        )
    }

    /// Reads each table below `key`, which has the operator's name for it.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> Vec<T> {
        let defaults = self
            .defaults
            .and_then(|d| as_table(d.get(key)?.get_ref())?.values().next())
            .and_then(|v| as_table(v.get_ref()));
        let Some(tables) = self.take(key).and_then(|given| self.table(&given)) else {
            return Vec::new();
        };
        let mut all = Vec::with_capacity(tables.len());
        for (name, value) in tables {
            let (line, name) = (self.reader.line(name.span().start), name.get_ref());
            let path = format!("{key}.{name}");
            if !is_bare(name) {
                self.fault(Some(line), &path, "is a name with other characters than a-z, A-Z, 0-9, - and _, or longer than 64", "choose another name");
            } else if let Some(table) = self.table(&Given {
                path: path.clone(),
                line,
                value: value.get_ref(),
            }) {
                let place = Place {
                    path: format!("{path}."),
                    pattern: format!("{key}.*."),
                    line: Some(line),
                    takes_restart: self.place.takes_restart,
                };
                all.push(read_table(
                    self.reader,
                    place,
                    format!("[{path}]"),
                    Some(table),
                    defaults,
                    |section| read(name, section),
                ));
            }
        }
        all
    }

    /// Reads each row of the list of tables `key`.
    pub(super) fn rows<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let defaults = self
            .defaults
            .and_then(|d| d.get(key))
            .and_then(|v| v.get_ref().get(0))
            .and_then(|v| as_table(v.get_ref()));
        let Some(given) = self.take(key) else {
            return Vec::new();
        };
        let Some(rows) = self.elements(&given) else {
            let hint = format!("write [[{}]] above its keys, with two brackets", given.path);
            self.fault(
                Some(given.line),
                &given.path,
                "must be a list of tables",
                &hint,
            );
            return Vec::new();
        };
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let place = Place {
                path: format!("{}.", row.path),
                pattern: format!("{}{key}.*.", self.place.pattern),
                line: Some(row.line),
                takes_restart: self.place.takes_restart,
            };
            if let Some(table) = self.table(&row) {
                all.push(read_table(
                    self.reader,
                    place,
                    format!("[[{}{key}]]", self.place.path),
                    Some(table),
                    defaults,
                    &mut read,
                ));
            }
        }
        all
    }

    /// Reads the table that a single key has for its value. Its keys are not listed on their own:
    /// the caller notes the value as a whole.
    pub(super) fn inline<T>(
        &self,
        given: &Given<'a>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        let table = self.table(given)?;
        let key = given.path.rsplit('.').next().unwrap_or_default();
        let place = Place {
            path: format!("{}.", given.path),
            pattern: format!("{}{key}.", self.place.pattern),
            line: Some(given.line),
            takes_restart: self.place.takes_restart,
        };
        let mut section = Section {
            reader: self.reader,
            place,
            given: Some(table),
            defaults: None,
            known: Vec::new(),
            shown: usize::MAX,
        };
        let value = read(&mut section);
        section.refuse_the_rest();
        Some(value)
    }

    /// The keys of a table that the operator chooses, with their values.
    pub(super) fn entries(&self, table: &Given<'a>) -> Vec<(&'a str, Given<'a>)> {
        let Some(entries) = self.table(table) else {
            return Vec::new();
        };
        let entry = |(name, value): (
            &'a toml::Spanned<std::borrow::Cow<'a, str>>,
            &'a toml::Spanned<DeValue<'a>>,
        )| {
            let name_text: &'a str = name.get_ref();
            (
                name_text,
                Given {
                    path: format!("{}.{name_text}", table.path),
                    line: self.reader.line(name.span().start),
                    value: value.get_ref(),
                },
            )
        };
        entries.iter().map(entry).collect()
    }

    fn table(&self, given: &Given<'a>) -> Option<&'a DeTable<'a>> {
        let table = as_table(given.value);
        if table.is_none() {
            self.fault(
                Some(given.line),
                &given.path,
                &format!("must be a table, not {}", kind(given.value)),
                "write its keys below a line with its name in brackets",
            );
        }
        table
    }

    /// Notes what a key takes, where somebody wants to know.
    pub(super) fn describe(&self, key: &str, description: impl FnOnce() -> Description) {
        if let Some(all) = &self.reader.descriptions {
            all.borrow_mut()
                .insert(format!("{}{key}", self.place.pattern), description());
        }
    }

    /// Notes that a key must be there.
    pub(super) fn describe_as_required(&self, key: &str) {
        if let Some(all) = &self.reader.descriptions
            && let Some(description) = all
                .borrow_mut()
                .get_mut(&format!("{}{key}", self.place.pattern))
        {
            description.required = true;
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
        let key_at = table_at.and_then(|(_, value)| as_table(value.get_ref())?.get_key_value(key));
        let line = key_at
            .map(|(name, _)| name)
            .or(table_at.map(|(name, _)| name))
            .map(|name| self.reader.line(name.span().start));
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
    fn line_of(&self, key: &str) -> Option<usize> {
        let of_key = self
            .given
            .and_then(|table| table.get_key_value(key))
            .map(|(name, _)| self.reader.line(name.span().start));
        of_key.or(self.place.line)
    }

    /// Whatever nobody took is of a later version, or misspelt.
    fn refuse_the_rest(&self) {
        for name in self.given.into_iter().flat_map(|table| table.keys()) {
            let key: &str = name.get_ref();
            if self.known.contains(&key) {
                continue;
            }
            let (what, hint) = if later::is_later(&format!("{}{key}", self.place.pattern)) {
                (
                    "not in this version",
                    "remove it; docs/configuration.md lists the keys of this version".to_owned(),
                )
            } else {
                ("unknown key", self.suggestion(key))
            };
            self.fault(
                Some(self.reader.line(name.span().start)),
                &format!("{}{key}", self.place.path),
                what,
                &hint,
            );
        }
    }

    /// The key that was most likely meant: one of this table that is spelt alike, or the same key
    /// of another table.
    fn suggestion(&self, key: &str) -> String {
        if let Some(header) = self.misplaced(key) {
            return format!(
                "it is below the header of another table: move it above the first table of the file, or write it under {header}"
            );
        }
        let likeness = |known: &str| strsim::jaro_winkler(&key.to_ascii_lowercase(), known);
        let alike = self
            .known
            .iter()
            .map(|known| (likeness(known), known))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, known)) = alike.filter(|(score, _)| *score > 0.83) {
            return format!("did you mean {known}?");
        }
        let elsewhere: Vec<_> = manual::paths()
            .into_iter()
            .filter(|path| path.rsplit('.').next() == Some(key))
            .collect();
        match elsewhere.is_empty() {
            true => format!("known here: {}", self.known.join(", ")),
            false => format!("did you mean {}?", elsewhere.join(" or ")),
        }
    }

    /// For a table of the whole file, such as `server.listen = …` at its end, that TOML takes for a
    /// part of this one: the header to write.
    fn misplaced(&self, key: &str) -> Option<String> {
        let is_table = self
            .given
            .and_then(|table| table.get(key))
            .is_some_and(|value| as_table(value.get_ref()).is_some());
        if self.place.path.is_empty() || !is_table {
            return None;
        }
        let (of_key, named) = (format!("{key}."), format!("{key}.*."));
        let path = manual::paths()
            .into_iter()
            .find(|path| path.starts_with(&of_key))?;
        Some(if path.starts_with(&named) {
            format!("[{key}.NAME]")
        } else {
            format!("[{key}]")
        })
    }
}

fn read_table<'a, T>(
    reader: &'a Reader<'a>,
    place: Place,
    header: String,
    given: Option<&'a DeTable<'a>>,
    defaults: Option<&'a DeTable<'a>>,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> T {
    let shown = reader
        .findings
        .borrow_mut()
        .effective
        .open(header, place.pattern.clone());
    let mut section = Section {
        reader,
        place,
        given,
        defaults,
        known: Vec::new(),
        shown,
    };
    let value = read(&mut section);
    section.refuse_the_rest();
    value
}

fn as_table<'a>(value: &'a DeValue<'a>) -> Option<&'a DeTable<'a>> {
    if let DeValue::Table(table) = value {
        Some(table)
    } else {
        None
    }
}

/// Names of apps and upstreams stand in headers, log lines and metrics.
fn is_bare(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What a value is, in the operator's words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
