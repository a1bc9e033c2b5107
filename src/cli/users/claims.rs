//! A change of claims as options.

use serde_json::{Map, Value};

/// One option: a claim's name and its value.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    name: String,
    value: Value,
}

/// Whoever begins a list or a text in this way does not mean it as a text with a bracket.
const BROKEN: &str = "the value begins like JSON and is none: write a list as '[\"staff\",\"admin\"]', and a text that begins so as '\"[text]\"'";

/// `NAME=VALUE`. What reads as a number, a boolean or a list is one. `null` is refused, and so is
/// what begins like JSON and is none. All else is a text, also between quotes.
pub(super) fn setting(text: &str) -> Result<Setting, &'static str> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write NAME=VALUE, such as role=staff, vip=true or 'role=[\"staff\",\"admin\"]'")?;
    let value = match serde_json::from_str(value) {
        Ok(Value::Null) => {
            return Err("write --remove NAME to remove a claim, or NAME='\"null\"' for this text");
        }
        Ok(value) => value,
        Err(_) if value.starts_with(['[', '{', '"']) => return Err(BROKEN),
        Err(_) => Value::String(value.to_owned()),
    };
    Ok(Setting {
        name: name.to_owned(),
        value,
    })
}

/// The merge patch of these options; `Err`: this claim is named twice.
pub(super) fn patch(set: &[Setting], removed: &[String]) -> Result<Value, String> {
    let mut patch = Map::new();
    let set = set
        .iter()
        .map(|setting| (&setting.name, setting.value.clone()));
    for (name, value) in set.chain(removed.iter().map(|name| (name, Value::Null))) {
        if patch.insert(name.clone(), value).is_some() {
            return Err(name.clone());
        }
    }
    Ok(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_make_a_merge_patch() {
        let set: Vec<_> = [
            "a=staff",
            "b=42",
            "c=true",
            "d=[\"x\",\"y\"]",
            "e=\"42\"",
            "f=\"null\"",
            "g=",
            "h=x=y",
        ]
        .into_iter()
        .map(|text| setting(text).unwrap())
        .collect();
        assert_eq!(
            patch(&set, &["z".to_owned()]).unwrap(),
            json!({
                "a": "staff", "b": 42, "c": true, "d": ["x", "y"], "e": "42", "f": "null", "g": "",
                "h": "x=y", "z": null
            })
        );
        assert_eq!(patch(&set, &["c".to_owned()]), Err("c".to_owned()));
        for wrong in [
            "", "a", "=b", "a=null", "a=[\"b\"", "a=[b]", "a=\"b", "a={b",
        ] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }
}
