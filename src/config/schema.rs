//! The JSON Schema of the configuration, for editors. Which keys there are and what each takes, the
//! reader says; what they are for, the manual.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::description::{Description, Descriptions, Kind};
use super::env::Variables;
use super::reader::Reader;
use super::{manual, settings};
use crate::session::Claims;

/// What the generated file is called beside a configuration, whose first line names it.
pub const FILE: &str = "hufu.schema.json";

/// A text with a variable in it can become anything.
const VARIABLE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}";

pub fn schema() -> Value {
    let text = manual::complete();
    let variables = Variables::default();
    let reader = Reader::describing(&text, &variables);
    let table: toml::Table = text.parse().unwrap_or_default();
    if let Ok(given) = toml::de::DeTable::parse(&text) {
        reader.root(given.get_ref(), settings::read);
    }
    let notes = Notes {
        descriptions: reader.descriptions(),
        comments: comments(),
        defaults: manual::TEXT.parse().unwrap_or_default(),
    };
    let mut root = object(&table, "", Some(&notes.defaults), &notes);
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    root["title"] = "Hufu's configuration".into();
    root["required"] = json!(["apps"]);
    root
}

/// What is known of the keys.
struct Notes {
    descriptions: Descriptions,
    comments: BTreeMap<String, String>,
    defaults: toml::Table,
}

/// A table with these keys and no others.
fn object(table: &toml::Table, path: &str, defaults: Option<&toml::Table>, notes: &Notes) -> Value {
    let mut properties = Map::new();
    for (key, value) in table {
        let at = format!("{path}{key}");
        let default = defaults.and_then(|defaults| defaults.get(key));
        let inner = match value {
            _ if special(&at).is_some() => leaf(&at, default, notes),
            toml::Value::Table(named) if manual::NAMED.contains(&at.as_str()) => {
                let default = default.and_then(|tables| tables.as_table()?.values().next());
                let each = rows(named.values().take(1), &at, default, notes);
                let named = json!({ "type": "object", "patternProperties": { name_pattern(&at): each }, "additionalProperties": false });
                commented(named, &at, notes)
            }
            toml::Value::Table(inner) => object(
                inner,
                &format!("{at}."),
                default.and_then(toml::Value::as_table),
                notes,
            ),
            toml::Value::Array(all) if all.iter().any(toml::Value::is_table) => {
                let default = default.and_then(|rows| rows.get(0));
                let each = rows(all.iter(), &at, default, notes);
                commented(json!({ "type": "array", "items": each }), &at, notes)
            }
            _ => leaf(&at, default, notes),
        };
        properties.insert(key.clone(), inner);
    }
    let required: Vec<_> = table
        .keys()
        .filter(|key| is_required(&format!("{path}{key}"), notes))
        .cloned()
        .collect();
    let mut object =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

/// Which names there may be in a table whose keys the operator chooses.
fn name_pattern(at: &str) -> &'static str {
    match at {
        "admin.tokens" => "^[a-z0-9_-]{1,32}$",
        _ => "^[A-Za-z0-9_-]{1,64}$",
    }
}

/// A table of which there may be several: one that has the keys of all of these.
fn rows<'a>(
    tables: impl Iterator<Item = &'a toml::Value>,
    at: &str,
    default: Option<&toml::Value>,
    notes: &Notes,
) -> Value {
    let keys = tables.filter_map(toml::Value::as_table).flatten();
    let table = keys.map(|(key, value)| (key.clone(), value.clone()));
    object(
        &table.collect(),
        &format!("{at}.*."),
        default.and_then(toml::Value::as_table),
        notes,
    )
}

fn is_required(at: &str, notes: &Notes) -> bool {
    at == "upstreams.*.endpoints"
        || notes
            .descriptions
            .get(at)
            .is_some_and(|description| description.required)
}

/// One key.
fn leaf(at: &str, default: Option<&toml::Value>, notes: &Notes) -> Value {
    let mut schema = commented(
        special(at).unwrap_or_else(|| notes.descriptions.get(at).map_or(json!({}), of_kind)),
        at,
        notes,
    );
    if let Some(default) = default.and_then(|default| serde_json::to_value(default).ok()) {
        schema["default"] = default;
    }
    schema
}

fn commented(mut schema: Value, at: &str, notes: &Notes) -> Value {
    if let Some(comment) = notes.comments.get(at) {
        schema["description"] = comment.as_str().into();
    }
    schema
}

fn of_kind(description: &Description) -> Value {
    match &description.kind {
        Kind::Text(choices) => text(choices),
        Kind::List(choices) => {
            json!({ "anyOf": [text(choices), { "type": "array", "items": text(choices) }] })
        }
        Kind::Number(max) => json!({ "type": "integer", "minimum": 0, "maximum": max }),
        Kind::Flag => json!({ "type": "boolean" }),
    }
}

fn text(choices: &[&str]) -> Value {
    if choices.is_empty() {
        json!({ "type": "string" })
    } else {
        json!({ "anyOf": [{ "enum": choices }, { "type": "string", "pattern": VARIABLE }] })
    }
}

/// Keys that take more than one kind of value.
fn special(at: &str) -> Option<Value> {
    let status = json!({ "type": "integer", "minimum": 200, "maximum": 599 });
    Some(match at {
        "failure" | "routes.*.failure" => json!({ "anyOf": [
            text(&["problem"]),
            { "type": "object", "properties": { "status": status, "body": { "type": "string" } }, "required": ["body"], "additionalProperties": false },
        ] }),
        "upstreams.*.endpoints" => {
            let weight = json!({ "type": "integer", "minimum": 1, "maximum": crate::upstream::Endpoint::WEIGHT_MAX });
            let with_weight = json!({ "type": "object", "properties": { "url": { "type": "string" }, "weight": weight }, "required": ["url"], "additionalProperties": false });
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "anyOf": [{ "type": "string" }, with_weight] } }] })
        }
        "identity.claims" | "open_data.keep" => {
            let name = format!("^[a-z0-9_]{{1,{}}}$", Claims::NAME_MAX);
            json!({ "type": "object", "patternProperties": { name: { "type": "string" } }, "additionalProperties": false, "maxProperties": Claims::MAX })
        }
        "routes.*.require" => {
            let value = json!({ "type": ["string", "number", "boolean"], "minLength": 1 });
            let values =
                json!({ "anyOf": [value, { "type": "array", "minItems": 1, "items": value }] });
            let text = json!({ "type": "string", "minLength": 1 });
            let apps =
                json!({ "anyOf": [text, { "type": "array", "minItems": 1, "items": text }] });
            let name = format!("^[a-z0-9_]{{1,{}}}$", Claims::NAME_MAX);
            let claims = json!({ "type": "object", "minProperties": 1, "patternProperties": { name: values }, "additionalProperties": false });
            json!({ "type": "object", "minProperties": 1, "properties": { "role": values, "app": apps, "claim": claims }, "additionalProperties": false })
        }
        "routes.*.strip_prefix" => json!({ "type": ["boolean", "string"] }),
        "routes.*.request_headers" | "routes.*.response_headers" => {
            let set = json!({ "type": "object", "additionalProperties": { "type": "string" } });
            let names = || of_kind(&Description::new(Kind::List(Vec::new())));
            let mut properties = json!({ "set": set, "remove": names() });
            if at.ends_with(".request_headers") {
                properties["allow"] = names();
            }
            json!({ "type": "object", "properties": properties, "additionalProperties": false })
        }
        _ => return None,
    })
}

/// The manual's comments by the keys and tables below them. A key without one of its own belongs to
/// the one above it.
fn comments() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut table = String::new();
    let mut comment = Vec::new();
    let mut under_key = false;
    for line in manual::TEXT.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            if std::mem::take(&mut under_key) {
                comment.clear();
            }
            comment.push(text);
            continue;
        }
        let line = line.trim_start_matches('#');
        if let Some(header) = line.strip_prefix('[') {
            let name = header
                .trim_start_matches('[')
                .split(']')
                .next()
                .unwrap_or_default();
            table = pattern_of(name);
            all.insert(table.trim_end_matches(".*").to_owned(), comment.join(" "));
            table.push_str(if header.starts_with('[') { ".*." } else { "." });
            comment.clear();
        } else if let Some((key, _)) = line.split_once(" = ") {
            all.insert(format!("{table}{key}"), comment.join(" "));
            under_key = true;
        } else {
            comment.clear();
        }
    }
    all.retain(|_, comment| !comment.is_empty());
    all
}

/// A table of the manual, with `*` for the example's name.
fn pattern_of(table: &str) -> String {
    for named in manual::NAMED {
        let below = table.strip_prefix(named);
        if let Some(below) = below.and_then(|below| below.strip_prefix('.')) {
            let rest = below.split_once('.').map_or("", |(_, rest)| rest);
            let pattern = format!("{named}.*.{rest}");
            return pattern.trim_end_matches('.').to_owned();
        }
    }
    table.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_says_of_every_key_what_it_takes() {
        let text = manual::complete();
        let variables = Variables::default();
        let reader = Reader::describing(&text, &variables);
        reader.root(
            toml::de::DeTable::parse(&text).unwrap().get_ref(),
            settings::read,
        );
        let described = reader.descriptions();
        let paths = manual::paths();
        assert!(paths.len() > 80);
        for path in &paths {
            assert!(
                described.contains_key(path) != special(path).is_some(),
                "{path}: by the reader or by hand, and by one of them"
            );
        }
        let choices = |path: &str| match &described[path].kind {
            Kind::Text(choices) => choices.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(choices("log.format"), ["auto", "json", "text"]);
        assert_eq!(
            choices("session.near_cache.push"),
            ["auto", "tracking", "pubsub", "off"]
        );
        assert_eq!(
            choices("apps.*.provider"),
            ["wechat-mini-program", "wechat-component", "douyin"]
        );
        assert!(choices("apps.*.appid").is_empty() && described["apps.*.appid"].required);
    }

    #[test]
    fn comments_of_the_manual_belong_to_their_keys() {
        let comments = comments();
        assert!(
            comments["server.workers"].starts_with("The number of worker threads"),
            "{}",
            comments["server.workers"]
        );
        assert_eq!(comments["store.password"], comments["store.username"]);
        assert!(comments["routes.*.host"].starts_with("Only requests to this host"));
        assert!(comments["routes"].starts_with("One table for each forwarded path"));
        assert!(comments["platform_api.clients.*.sign"].starts_with("Whether it may have data"));
        assert!(comments["admin.tokens"].starts_with("Further tokens"));
        assert!(comments["apps.*.push.path"].starts_with("The path there"));
        assert!(
            comments["upstreams.*.retries.attempts"]
                .starts_with("How many further endpoints are tried")
        );
    }
}
