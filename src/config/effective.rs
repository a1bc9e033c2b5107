//! The settings in force, as TOML with secrets hidden: what `hufu check --print` shows. The reader
//! notes here every key that it takes, so that none can be forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::de::DeValue;

use crate::crypto::hash;
use crate::secret::Secret;

/// Every key that was read, with the value in force, in the order of reading.
#[derive(Debug, Default)]
pub struct Effective {
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    header: String,
    path: String,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: &'static str,
    /// `None`: not set, and without a default.
    value: Option<toml::Value>,
    /// What the value hashes to where it is not shown, so that a change is seen.
    hidden: Option<Secret<[u8; 32]>>,
    /// Whether it counts from the start of a process to its end.
    takes_restart: bool,
}

impl Table {
    fn path_of(&self, key: &Key) -> String {
        format!("{}{}", self.path, key.name)
    }
}

impl Key {
    fn differs(&self, other: &Self) -> bool {
        self.value != other.value || self.hidden != other.hidden
    }
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

    /// Notes a key of a table.
    pub(super) fn note(
        &mut self,
        table: usize,
        name: &'static str,
        value: Option<toml::Value>,
        takes_restart: bool,
    ) {
        if let Some(table) = self.tables.get_mut(table) {
            table.keys.push(Key {
                name,
                value,
                hidden: None,
                takes_restart,
            });
        }
    }

    /// Notes the real value of the key that was noted under this name, which is shown in part or
    /// not at all.
    pub(super) fn note_hidden(&mut self, table: usize, name: &str, secret: &[u8]) {
        let table = self.tables.get_mut(table);
        let mut keys = table.into_iter().flat_map(|table| &mut table.keys);
        if let Some(key) = keys.find(|key| key.name == name) {
            key.hidden = Some(Secret::new(hash::sha256(secret)));
        }
    }

    /// The dotted paths of the keys that take a restart and have another value in `other`, each
    /// once.
    pub(super) fn waiting_for_restart(&self, other: &Self) -> Vec<String> {
        let ours = self.fixed_values();
        let theirs = other.fixed_values();
        let differs = |path: &&String| match (ours.get(*path), theirs.get(*path)) {
            (Some(our), Some(their)) if our.len() == their.len() => {
                let mut pairs = our.iter().zip(their);
                pairs.any(|((header, our), (other, their))| header != other || our.differs(their))
            }
            _ => true,
        };
        let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        paths.into_iter().filter(differs).cloned().collect()
    }

    /// With their headers, which have the names that the operator chose.
    fn fixed_values(&self) -> BTreeMap<String, Vec<(&str, &Key)>> {
        let mut values: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for table in &self.tables {
            for key in table.keys.iter().filter(|key| key.takes_restart) {
                let others = values.entry(table.path_of(key)).or_default();
                others.push((table.header.as_str(), key));
            }
        }
        values
    }

    fn keys(&self) -> impl Iterator<Item = (String, &Key)> {
        self.tables
            .iter()
            .flat_map(|table| table.keys.iter().map(|key| (table.path_of(key), key)))
    }

    /// The dotted path of every key, with `*` for the names that the operator chose.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.keys().map(|(path, _)| path)
    }

    /// The same of the keys that take a restart.
    pub fn restart_paths(&self) -> impl Iterator<Item = String> {
        self.keys()
            .filter(|(_, key)| key.takes_restart)
            .map(|(path, _)| path)
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
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or_else(|_| number.as_str().into(), Into::into),
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
            for Key { name, value, .. } in &table.keys {
                match value {
                    Some(value) => writeln!(f, "{name} = {value}")?,
                    None => writeln!(f, "# {name} is not set")?,
                }
            }
        }
        Ok(())
    }
}
