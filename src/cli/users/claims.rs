//! A change of claims as options.

use serde_json::{Map, Value};

/// One option: a claim's name and its value.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    name: String,
    value: Value,
}

/// `NAME=VALUE`. What reads as a number, a boolean or a list is one; all else is a text, also
/// between quotes.
pub(super) fn setting(text: &str) -> Result<Setting, &'static str> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write NAME=VALUE, such as role=staff, vip=true or 'role=[\"staff\",\"admin\"]'")?;
    let value = match serde_json::from_str(value) {
        Ok(Value::Null) | Err(_) => Value::String(value.to_owned()),
        Ok(value) => value,
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
            "f=null",
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
        for wrong in ["", "a", "=b"] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }
}
