//! `require`: what a route requires of a session beyond being one.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::effective;
use super::parsers::one_of;
use super::problem::{Wrong, refuse};
use super::reader::{Given, Section};
use crate::route::{Fact, RequiredNumber, RequiredValue, Requirement, Requirements};
use crate::session::Claims;

const FORM: &str = r#"write it as in { role = ["staff", "admin"], claim.vip = true }"#;

/// The requirements; none without the key, or where something is wrong with it.
pub(super) fn read(section: &mut Section<'_>, apps: &[String]) -> Requirements {
    let Some(given) = section.take("require") else {
        section.note("require", None);
        return Requirements::NONE;
    };
    section.note("require", Some(effective::written(given.value)));
    if !is_filled_table(section, &given) {
        return Requirements::NONE;
    }
    section
        .inline(&given, |table| requirements(table, apps))
        .unwrap_or_default()
}

fn is_filled_table(section: &Section<'_>, given: &Given<'_>) -> bool {
    match given.value {
        DeValue::Table(table) if table.is_empty() => section.fault_at(given, "is empty", FORM),
        DeValue::Table(_) => return true,
        _ => section.wrong_kind(given, "a table", FORM),
    }
    false
}

fn requirements(table: &mut Section<'_>, apps: &[String]) -> Requirements {
    let mut all = Vec::new();
    let role = table.take("role");
    if let Some(given) = &role {
        all.push((Fact::Claim("role".into()), values(table, given)));
    }
    if let Some(given) = table.take("app") {
        let names = elements(table, &given)
            .iter()
            .filter_map(|element| table.entry(element, |text| app(text, apps)))
            .collect();
        all.push((Fact::App, names));
    }
    let claims = table
        .take("claim")
        .filter(|given| is_filled_table(table, given));
    if let Some(given) = claims {
        for (name, given) in table.entries(&given) {
            if !Claims::is_name(name) {
                table.fault_at(
                    &given,
                    "is not the name of a claim",
                    "write 1 to 32 characters of a-z, 0-9 and _",
                );
            }
            if name == "role" && role.is_some() {
                table.fault_at(&given, "is the same as role", "keep one of them");
            }
            all.push((Fact::Claim(name.into()), values(table, &given)));
        }
    }
    let all = all
        .into_iter()
        .filter_map(|(fact, values)| Requirement::new(fact, values));
    Requirements::new(all)
}

fn values<'a>(table: &Section<'a>, given: &Given<'a>) -> BTreeSet<RequiredValue> {
    let mut values = BTreeSet::new();
    for element in elements(table, given) {
        let value = value(table, &element);
        if value.is_some_and(|value| !values.insert(value)) {
            let what = "is there twice";
            table.warn_at(
                Some(element.line),
                &element.path,
                what,
                "remove one of them",
            );
        }
    }
    values
}

/// The elements of a list, or the one value.
fn elements<'a>(table: &Section<'a>, given: &Given<'a>) -> Vec<Given<'a>> {
    let elements = table.elements(given).unwrap_or_else(|| vec![given.clone()]);
    if elements.is_empty() {
        table.fault_at(
            given,
            "is empty, so nobody could pass",
            "write the values that will do",
        );
    }
    elements
}

fn value<'a>(table: &Section<'a>, given: &Given<'a>) -> Option<RequiredValue> {
    let number = match given.value {
        DeValue::String(_) => return table.entry(given, text),
        DeValue::Boolean(value) => return Some(RequiredValue::Bool(*value)),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(RequiredNumber::of_whole),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(RequiredNumber::of_float),
        _ => {
            table.wrong_kind(
                given,
                "a text, a number, true, false or a list of these",
                FORM,
            );
            return None;
        }
    };
    if number.is_none() {
        table.fault_at(
            given,
            "is a number that no claim can be",
            "write a whole one of at most 64 bits, or a smaller one with a fraction",
        );
    }
    number.map(RequiredValue::Number)
}

fn text(text: &str) -> Result<RequiredValue, Wrong> {
    if text.is_empty() {
        refuse("is empty", "write the text that the claim must be")
    } else if text.len() > Claims::BYTES_MAX {
        refuse("is longer than a claim can be", "shorten it")
    } else {
        Ok(RequiredValue::Text(text.into()))
    }
}

fn app(text: &str, apps: &[String]) -> Result<RequiredValue, Wrong> {
    if apps.iter().any(|app| app == text) {
        Ok(RequiredValue::Text(text.into()))
    } else {
        let names = apps.iter().map(String::as_str);
        refuse("is not the name of an app", one_of(names))
    }
}
