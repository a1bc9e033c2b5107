//! A key or a table that is there twice: both places.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// What to say about it.
pub(super) struct Twice {
    /// The dotted path.
    pub(super) path: String,
    pub(super) what: String,
    pub(super) hint: String,
}

/// What is there twice, if that is what the parser stopped at, at `start` of the text.
pub(super) fn find(text: &str, start: usize, message: &str) -> Option<Twice> {
    if !message.starts_with("duplicate key") && !message.starts_with("cannot extend value") {
        return None;
    }
    let begin = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let before = text.get(..begin)?;
    let line = text.get(begin..)?.lines().next()?;
    let is_header = line.trim_start().starts_with('[');
    let own = keys_of(line, start - begin)?;
    let path: Vec<String> = if is_header {
        own
    } else {
        current_header(before).into_iter().chain(own).collect()
    };
    let (root, _) = DeTable::parse_recoverable(before);
    let first = place(root.get_ref(), &path)?;
    let number = before.get(..first.start)?.matches('\n').count() + 1;
    let first_line = before.lines().nth(number - 1)?;
    let name = path.join(".");
    // `store.url = …` makes a table of store, as its header does.
    let dotted = !first_line.trim_start().starts_with('[')
        && before.get(first.end..)?.trim_start().starts_with('.');
    let hint = match (is_header, dotted) {
        (_, true) => format!(
            "line {number} makes the table by a key with dots: write its keys under one [{name}]"
        ),
        (true, false) => "put the keys of both under one header".to_owned(),
        (false, false) => "remove one of them".to_owned(),
    };
    Some(Twice {
        what: format!("is there twice, the first time in line {number}"),
        path: name,
        hint,
    })
}

/// The keys of a line, a header or one with a value, up to the one at this offset.
fn keys_of(line: &str, offset: usize) -> Option<Vec<String>> {
    let key = if line.trim_start().starts_with('[') {
        line.to_owned()
    } else {
        format!("{}= 0", line.split_once('=')?.0)
    };
    let (parsed, _) = DeTable::parse_recoverable(&key);
    let mut table = parsed.get_ref();
    let mut keys = Vec::new();
    loop {
        let (name, value) = table.iter().next()?;
        keys.push(name.get_ref().to_string());
        if name.span().contains(&offset) {
            return Some(keys);
        }
        table = last_table(value.get_ref())?;
    }
}

/// The keys of the header that the end of the text stands under.
fn current_header(text: &str) -> Vec<String> {
    let headers = text
        .lines()
        .rev()
        .filter(|line| line.trim_start().starts_with('['));
    headers
        .filter_map(|line| DeTable::parse(line).ok())
        .map(|table| all_keys(table.get_ref()))
        .next()
        .unwrap_or_default()
}

fn all_keys(mut table: &DeTable<'_>) -> Vec<String> {
    let mut keys = Vec::new();
    while let Some((name, value)) = table.iter().next() {
        keys.push(name.get_ref().to_string());
        let Some(inner) = last_table(value.get_ref()) else {
            break;
        };
        table = inner;
    }
    keys
}

/// Where the last key of the path stands; of a list of tables in its last one.
fn place(mut table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (last, parents) = path.split_last()?;
    for key in parents {
        table = last_table(table.get(key.as_str())?.get_ref())?;
    }
    Some(table.get_key_value(last.as_str())?.0.span())
}

fn last_table<'a, 'b>(value: &'a DeValue<'b>) -> Option<&'a DeTable<'b>> {
    match value {
        DeValue::Table(table) => Some(table),
        DeValue::Array(rows) => last_table(rows.iter().last()?.get_ref()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_are_named() {
        for (text, path, first, hint) in [
            (
                "[server]\nworkers = 1\nworkers = 2\n",
                "server.workers",
                "line 2",
                "remove one",
            ),
            (
                "a = 1\n[server]\nworkers = 1\n[log]\n[server]\n",
                "server",
                "line 2",
                "one header",
            ),
            (
                "store.url = \"memory:\"\n[apps.shop]\n[store]\nkey_prefix = \"x\"\n",
                "store",
                "line 1",
                "under one [store]",
            ),
            (
                "[store]\nurl = \"memory:\"\nurl = \"\"\"\nx\"\"\"\n",
                "store.url",
                "line 2",
                "remove one",
            ),
            (
                "[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/b\"\npath = \"/c\"\n",
                "routes.path",
                "line 4",
                "remove one",
            ),
            (
                "[apps.shop]\n[apps.game]\n[apps.shop]\n",
                "apps.shop",
                "line 1",
                "one header",
            ),
            ("routes = []\n[[routes]]\n", "routes", "line 1", ""),
            (
                "store.url = \"a\"\nstore.url = \"b\"\n",
                "store.url",
                "line 1",
                "remove one",
            ),
            (
                "[store]\ntls.ca = \"x\"\n[store.tls]\n",
                "store.tls",
                "line 2",
                "under one [store.tls]",
            ),
        ] {
            let error = DeTable::parse(text).unwrap_err();
            let twice = find(text, error.span().unwrap().start, error.message())
                .unwrap_or_else(|| panic!("{text}\n{error}"));
            assert_eq!(twice.path, path, "{text}");
            assert!(
                twice.what.ends_with(first) && twice.hint.contains(hint),
                "{text}\n{} {}",
                twice.what,
                twice.hint
            );
        }
    }

    #[test]
    fn what_is_wrong_otherwise_is_left_to_the_parser() {
        for text in ["a = ", "[a", "x = { a = 1, a = 2 }", "= 1"] {
            let error = DeTable::parse(text).unwrap_err();
            assert!(
                find(
                    text,
                    error.span().map_or(0, |span| span.start),
                    error.message()
                )
                .is_none(),
                "{text}"
            );
        }
    }
}
