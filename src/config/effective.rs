//! The settings in force, as TOML with secrets hidden: what `hufu check --print` shows. The reader
//! notes here every key that it takes, so that none can be forgotten.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::DeValue;

/// Every key that was read, with the value in force, in the order of reading.
#[derive(Debug, Default)]
pub struct Effective {
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    header: String,
    path: String,
    keys: Vec<(&'static str, Option<toml::Value>)>,
}

impl Effective {
    /// What stands for a secret.
    pub(super) const HIDDEN: &str = "[hidden]";

    /// Opens a table, such as `[server]`, whose keys have `path` before their name.
    pub(super) fn open(&mut self, header: String, path: String) -> usize {
        self.tables.push(Table {
            header,
            path,
            keys: Vec::new(),
        });
        self.tables.len() - 1
    }

    /// Notes a key of a table; `None`: not set, and without a default.
    pub(super) fn note(&mut self, table: usize, key: &'static str, value: Option<toml::Value>) {
        if let Some(table) = self.tables.get_mut(table) {
            table.keys.push((key, value));
        }
    }

    /// The dotted paths of the keys that `is_meant` names and that have another value in `other`,
    /// each once.
    pub(super) fn differing(&self, other: &Self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let values = |from: &Self| {
            let mut values: BTreeMap<String, Vec<Option<toml::Value>>> = BTreeMap::new();
            for (table, (key, value)) in from
                .tables
                .iter()
                .flat_map(|table| table.keys.iter().map(move |key| (table, key)))
            {
                values
                    .entry(format!("{}{key}", table.path))
                    .or_default()
                    .push(value.clone());
            }
            values.retain(|path, _| is_meant(path));
            values
        };
        let (ours, theirs) = (values(self), values(other));
        let differs = |path: &&String| ours.get(*path) != theirs.get(*path);
        ours.keys()
            .chain(theirs.keys().filter(|path| !ours.contains_key(*path)))
            .filter(differs)
            .cloned()
            .collect()
    }

    /// The dotted path of every key, with `*` for the names that the operator chose.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.tables.iter().flat_map(|table| {
            table
                .keys
                .iter()
                .map(|(key, _)| format!("{}{key}", table.path))
        })
    }
}

/// A value as it stands in the file, its variables not put in.
pub(super) fn written(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Array(items) => items
            .iter()
            .map(|item| written(item.get_ref()))
            .collect::<Vec<_>>()
            .into(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), written(value.get_ref())))
            .collect::<toml::Table>()
            .into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.as_str().into(), Into::into),
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Datetime(date) => date.to_string().into(),
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, table) in self
            .tables
            .iter()
            .filter(|table| !table.keys.is_empty())
            .enumerate()
        {
            match (index, table.header.as_str()) {
                // The keys of the file itself.
                (_, "") => {}
                (0, header) => writeln!(f, "{header}")?,
                (_, header) => writeln!(f, "\n{header}")?,
            }
            for (key, value) in &table.keys {
                match value {
                    Some(value) => writeln!(f, "{key} = {value}")?,
                    None => writeln!(f, "# {key} is not set")?,
                }
            }
        }
        Ok(())
    }
}
