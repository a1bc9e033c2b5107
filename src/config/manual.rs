//! `hufu.toml`, the manual: every key with its default and a comment, built in as the source of the
//! defaults.

use toml::de::DeTable;

/// The manual as it stands at the root of the repository.
pub const TEXT: &str = include_str!("../../hufu.toml");

/// The defaults. A key that has none stands behind a `#` there, so it is not among them.
pub(super) fn defaults() -> DeTable<'static> {
    DeTable::parse(TEXT)
        .expect("hufu.toml is built in, and tests read it")
        .into_inner()
}

/// The manual with its examples switched on: every key that there is.
pub fn complete() -> String {
    let lines = TEXT.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The dotted path of every key in the manual, with `*` for the names that the operator chooses.
pub fn paths() -> Vec<String> {
    let text = complete();
    let mut paths = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        walk(&table, "", &mut paths);
    }
    paths
}

/// The tables whose keys are names that the operator chooses; the manual has an example of each.
pub(super) const NAMED: [&str; 4] = ["apps", "upstreams", "admin.tokens", "platform_api.clients"];

fn walk(table: &toml::Table, path: &str, paths: &mut Vec<String>) {
    for (key, value) in table {
        let named_by_operator = NAMED.contains(&path.trim_end_matches('.'));
        let key = if named_by_operator { "*" } else { key };
        match value {
            // One key, whose table has the operator's names in it.
            toml::Value::Table(_)
                if matches!(
                    key,
                    "request_headers" | "response_headers" | "claims" | "require" | "keep"
                ) =>
            {
                paths.push(format!("{path}{key}"));
            }
            toml::Value::Table(inner) => walk(inner, &format!("{path}{key}."), paths),
            toml::Value::Array(rows) if rows.iter().any(toml::Value::is_table) => {
                rows.iter()
                    .filter_map(toml::Value::as_table)
                    .for_each(|row| walk(row, &format!("{path}{key}.*."), paths));
            }
            _ => paths.push(format!("{path}{key}")),
        }
    }
}
