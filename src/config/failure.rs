//! `failure`: what the gateway's own errors look like, for all clients or for those of one route.

use std::sync::Arc;

use toml::de::DeValue;

use super::effective;
use super::parsers::alike;
use super::problem::{Wrong, refuse};
use super::reader::Section;
use crate::http::failure::{FailureShape, PLACEHOLDERS, Template, TemplateError};

const FORM: &str = r#"write "problem", or a template as in { status = 200, body = '{"code":"{code}","msg":"{detail}"}' }"#;

/// The shape for all; `problem` unless told.
pub(super) fn read_global(root: &mut Section<'_>) -> Arc<FailureShape> {
    let shape = read(root);
    if shape.is_none() && !root.has("failure") {
        root.note("failure", Some("problem".into()));
    }
    shape.unwrap_or_default()
}

/// The shape that this table names.
pub(super) fn read(section: &mut Section<'_>) -> Option<Arc<FailureShape>> {
    let given = section.take("failure")?;
    let shape = match given.value {
        DeValue::Table(_) => section.inline(&given, template).flatten(),
        _ => section.entry(&given, word),
    };
    section.note(
        "failure",
        shape.as_ref().map(|_| effective::written(given.value)),
    );
    shape.map(Arc::new)
}

fn word(text: &str) -> Result<FailureShape, Wrong> {
    match text {
        "problem" => Ok(FailureShape::Problem),
        "wafer" => refuse("is not supported by this version", FORM),
        _ => refuse("is not an error format", FORM),
    }
}

fn template(table: &mut Section<'_>) -> Option<FailureShape> {
    let status: Option<u16> = table.has("status").then(|| table.number("status", 599));
    let body = table.required("body", "write the JSON text that clients get", |text| {
        Template::parse(text).map_err(|error| Wrong::new(error.to_string(), hint(&error)))
    });
    let shape = FailureShape::template(status, body?);
    if shape.is_none() {
        table.problem(
            "status",
            "is not a status of an answer with a body",
            "write 200 to 599, or leave it out: then each error has its own",
        );
    }
    shape
}

fn hint(error: &TemplateError) -> String {
    let known = || PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ");
    match error {
        TemplateError::Unknown(word) => match alike(word, PLACEHOLDERS.into_iter(), 0.83) {
            Some(name) => format!("did you mean {{{name}}}?"),
            None => format!("there are {}", known()),
        },
        TemplateError::NotJson(_) => format!(
            "{} must be within quotes; only {{status}} may be without",
            known()
        ),
    }
}
