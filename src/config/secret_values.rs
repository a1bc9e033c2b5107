//! Secrets among the values: from their key, or from the file that its twin names.

use super::checks;
use super::description::{Description, Kind};
use super::effective::Effective;
use super::reader::{Given, PlacedSecret, Section};
use super::values::Text;
use crate::files;
use crate::secret::Secret;

impl<'a> Section<'a> {
    /// A secret: from the key itself, or from the file that its twin names. `hint` says where to
    /// get it.
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        hint: &str,
    ) -> Option<Secret<String>> {
        [key, file_key]
            .into_iter()
            .for_each(|key| self.describe(key, || Description::new(Kind::Text(Vec::new()))));
        let given = self.take(key);
        let in_file = self.take(file_key);
        self.note(key, given.as_ref().map(|_| Effective::HIDDEN.into()));
        if given.is_none() && in_file.is_none() {
            self.note(file_key, None);
            return None;
        }
        self.refuse_twins(key, file_key);
        let (written, secret) = match given {
            Some(given) => {
                self.note(file_key, None);
                let text = self.text(&given)?;
                (format!("{:?} ", text.written), Secret::new(text.value))
            }
            None => (String::new(), self.file_of(in_file, file_key)?),
        };
        self.note_hidden(key, secret.expose().as_bytes());
        let place = self.written_of(key, file_key);
        if secret.expose().is_empty() {
            // What is written is a variable's name at most.
            self.problem(place, &format!("{written}is empty"), hint);
            return None;
        }
        if secret.expose().contains(char::is_control) {
            self.problem(
                place,
                "has a line break or another control character in it",
                "look for a quote that is closed too late",
            );
            return None;
        }
        self.place_secret(place, &secret);
        Some(secret)
    }

    /// Notes that this secret stands in a key, so that it may stand nowhere else.
    pub(super) fn place_secret(&self, key: &str, secret: &Secret<String>) {
        self.reader.secrets.borrow_mut().push(PlacedSecret {
            line: self.line_of(key),
            path: self.path_of(key),
            secret: secret.clone(),
        });
    }

    /// Secrets with their places: the list in the key itself, or the lines of the file that its
    /// twin names.
    pub(super) fn secrets(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Vec<(Option<usize>, String, Secret<String>)> {
        self.describe(key, || Description::new(Kind::List(Vec::new())));
        self.describe(file_key, || Description::new(Kind::Text(Vec::new())));
        let given = self.take(key);
        let in_file = self.take(file_key);
        self.refuse_twins(key, file_key);
        let mut all = Vec::new();
        if let Some(given) = given {
            let elements = self.elements(&given).unwrap_or_else(|| vec![given]);
            all.extend(elements.iter().filter_map(|element| {
                Some((
                    Some(element.line),
                    element.path.clone(),
                    Secret::new(self.text(element)?.value),
                ))
            }));
            self.note(key, Some(vec![Effective::HIDDEN; all.len()].into()));
            self.note(file_key, None);
        } else {
            self.note(key, None);
            let line = in_file.as_ref().map(|given| given.line);
            let path = in_file
                .as_ref()
                .map(|given| given.path.clone())
                .unwrap_or_default();
            let text = self.file_of(in_file, file_key);
            let lines = text
                .iter()
                .flat_map(|text| text.expose().lines())
                .enumerate()
                .filter(|(_, key)| !key.trim().is_empty());
            all.extend(lines.map(|(index, key)| {
                (
                    line,
                    format!("{path}, line {}", index + 1),
                    Secret::new(key.trim().to_owned()),
                )
            }));
        }
        let placed = all.iter().map(|(line, path, secret)| PlacedSecret {
            line: *line,
            path: path.clone(),
            secret: secret.clone(),
        });
        self.reader.secrets.borrow_mut().extend(placed);
        let texts: Vec<&str> = all
            .iter()
            .map(|(.., text)| text.expose().as_str())
            .collect();
        self.note_hidden(key, texts.join("\n").as_bytes());
        all
    }

    fn refuse_twins(&self, key: &str, file_key: &str) {
        if self.has(key) && self.has(file_key) {
            self.problem(
                file_key,
                &format!("is set, and {key} too"),
                "keep one of the two",
            );
        }
    }

    /// The content of a secret's file, without the line end that editors add.
    fn file_of(
        &self,
        in_file: Option<Given<'a>>,
        file_key: &'static str,
    ) -> Option<Secret<String>> {
        let written = in_file.and_then(|given| self.text(&given));
        self.note(
            file_key,
            written.as_ref().map(|text| text.value.as_str().into()),
        );
        let Text { value, written } = written?;
        let path = self.reader.directory.join(&value);
        // Where a variable stands for the path, its value may be the secret itself, by a slip of
        // the pen.
        let shown = if value == written {
            path.display().to_string()
        } else {
            format!("{written:?}")
        };
        match files::read_text(&path) {
            Ok(text) => {
                self.reader.has_read(&text);
                if checks::readable_by_all(&path) {
                    self.warn(
                        file_key,
                        &format!("every user of this machine can read {shown}"),
                        &format!("chmod 600 {shown}"),
                    );
                }
                Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            Err(reason) => {
                self.problem(
                    file_key,
                    &format!("{shown} {reason}"),
                    &reason.advice("FILE"),
                );
                None
            }
        }
    }
}
