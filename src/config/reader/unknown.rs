//! Keys that nobody took: what the operator most likely meant.

use super::Section;
use crate::config::parsers::alike;
use crate::config::{later, manual};

impl Section<'_> {
    /// Whatever nobody took is of a later version, or misspelt.
    pub(super) fn refuse_the_rest(&self) {
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
                Some(self.reader.line(name.span())),
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
        // Only in quotes can a key have a full stop.
        let is_quoted = |table: &str| self.known.contains(&table);
        if key
            .split_once('.')
            .is_some_and(|(table, _)| is_quoted(table))
        {
            return format!("write {key} without quotes");
        }
        let known = self.known.iter().copied();
        if let Some(known) = alike(&key.to_ascii_lowercase(), known, 0.83) {
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
            .is_some_and(|value| value.get_ref().is_table());
        if self.place.path.is_empty() || !is_table {
            return None;
        }
        let of_key = format!("{key}.");
        let named = format!("{key}.*.");
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
