//! The tables below a table: of one name, of the operator's names, in a list, and in a single key.

use toml::de::{DeTable, DeValue};

use super::{Given, Reader, Section, TablePlace};

impl<'a> Section<'a> {
    /// Reads the table `key` with `read`.
    pub(in crate::config) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let given = self.take(key);
        let line = given.as_ref().map(|given| given.line).or(self.place.line);
        let path = format!("{}{key}", self.place.path);
        let table = given.and_then(|given| self.table(&given));
        let header = format!("[{path}]");
        let place = self.below(path, key, line);
        let defaults = self.default_of(key).and_then(DeValue::as_table);
        read_table(self.reader, place, header, table, defaults, read)
    }

    /// Reads each table below `key`, which has the operator's name for it.
    pub(in crate::config) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> Vec<T> {
        let examples = self.default_of(key).and_then(DeValue::as_table);
        let defaults = examples
            .and_then(|named| named.values().next())
            .and_then(|example| example.get_ref().as_table());
        let Some(given) = self.take(key) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (name, given) in self.entries(&given) {
            if is_bare(name) {
                let header = format!("[{}]", given.path);
                all.extend(
                    self.one_of(key, header, given, defaults, |section| read(name, section)),
                );
            } else {
                self.fault_at(&given, "is a name with other characters than a-z, A-Z, 0-9, - and _, or longer than 64", "choose another name");
            }
        }
        all
    }

    /// Reads each row of the list of tables `key`.
    pub(in crate::config) fn rows<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let defaults = self
            .default_of(key)
            .and_then(|rows| rows.get(0)?.get_ref().as_table());
        let Some(given) = self.take(key) else {
            return Vec::new();
        };
        let Some(rows) = self.elements(&given) else {
            let hint = format!("write [[{}]] above its keys, with two brackets", given.path);
            self.fault_at(&given, "must be a list of tables", &hint);
            return Vec::new();
        };
        let header = format!("[[{}]]", given.path);
        rows.into_iter()
            .filter_map(|row| self.one_of(key, header.clone(), row, defaults, &mut read))
            .collect()
    }

    /// Reads one of the tables below `key`, if it is one.
    fn one_of<T>(
        &self,
        key: &str,
        header: String,
        given: Given<'a>,
        defaults: Option<&'a DeTable<'a>>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        let table = self.table(&given);
        let place = self.below(given.path, &format!("{key}.*"), Some(given.line));
        table.map(|_| read_table(self.reader, place, header, table, defaults, read))
    }

    /// Reads the table that a single key has for its value. Its keys are not listed on their own:
    /// the caller notes the value as a whole.
    pub(in crate::config) fn inline<T>(
        &self,
        given: &Given<'a>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        let table = self.table(given)?;
        let key = given.path.rsplit('.').next().unwrap_or_default();
        let place = self.below(given.path.clone(), key, Some(given.line));
        Some(read_keys(
            self.reader,
            place,
            usize::MAX,
            Some(table),
            None,
            read,
        ))
    }

    /// The keys of a table that the operator chooses, with their values.
    pub(in crate::config) fn entries(&self, table: &Given<'a>) -> Vec<(&'a str, Given<'a>)> {
        let entries = self.table(table).into_iter().flatten();
        let given = entries.map(|(name, value)| {
            let text: &'a str = name.get_ref();
            let given = Given {
                path: format!("{}.{text}", table.path),
                line: self.reader.line(name.span()),
                value: value.get_ref(),
            };
            (text, given)
        });
        given.collect()
    }

    fn table(&self, given: &Given<'a>) -> Option<&'a DeTable<'a>> {
        let table = given.value.as_table();
        if table.is_none() {
            let hint = "write its keys below a line with its name in brackets";
            self.wrong_kind(given, "a table", hint);
        }
        table
    }

    /// The place of a table below this one; `pattern` is its path from here, with `*` for a name of
    /// the operator's.
    fn below(&self, path: String, pattern: &str, line: Option<usize>) -> TablePlace {
        TablePlace {
            path: path + ".",
            pattern: format!("{}{pattern}.", self.place.pattern),
            line,
            takes_restart: self.place.takes_restart,
        }
    }
}

/// Reads a table whose keys are listed below `header`.
pub(super) fn read_table<'a, T>(
    reader: &'a Reader<'a>,
    place: TablePlace,
    header: String,
    given: Option<&'a DeTable<'a>>,
    defaults: Option<&'a DeTable<'a>>,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> T {
    let mut findings = reader.findings.borrow_mut();
    let shown = findings.effective.open(header, place.pattern.clone());
    drop(findings);
    read_keys(reader, place, shown, given, defaults, read)
}

fn read_keys<'a, T>(
    reader: &'a Reader<'a>,
    place: TablePlace,
    shown: usize,
    given: Option<&'a DeTable<'a>>,
    defaults: Option<&'a DeTable<'a>>,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> T {
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

/// Names of apps and upstreams stand in headers, log lines and metrics.
fn is_bare(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
