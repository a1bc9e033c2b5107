//! What the gateway's own errors look like: the problem document of RFC 9457, or what older clients
//! expect.

use std::fmt;

use actix_web::http::StatusCode;

/// The shape of errors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FailureShape {
    /// `application/problem+json` under the code's own status.
    #[default]
    Problem,
    /// A JSON text of the operator's.
    Template {
        /// The status of every error; `None`: the code's own.
        status: Option<StatusCode>,
        body: Template,
    },
}

impl FailureShape {
    /// This text under this status; `None`: it is no status of an answer with a body.
    pub fn template(status: Option<u16>, body: Template) -> Option<Self> {
        let of_answers = |status: u16| {
            StatusCode::from_u16(status)
                .ok()
                .filter(|_| (200..600).contains(&status) && !matches!(status, 204 | 205 | 304))
        };
        let status = match status {
            Some(status) => Some(of_answers(status)?),
            None => None,
        };
        Some(Self::Template { status, body })
    }
}

/// What may stand in braces in a template.
pub const PLACEHOLDERS: [&str; 5] = ["code", "detail", "title", "status", "request_id"];

/// What stands for each placeholder, in their order.
pub type Filling<'a> = [&'a str; PLACEHOLDERS.len()];

/// A JSON text with placeholders.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<TemplatePart>);

#[derive(Clone, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    /// The place in [`PLACEHOLDERS`].
    Value(usize),
}

/// Why a text is no template. For the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A word in braces that stands for nothing.
    #[error("has the unknown placeholder {{{0}}}")]
    Unknown(String),
    /// Once filled it is no JSON.
    #[error("is not valid JSON after filling in the placeholders: {0}")]
    NotJson(String),
}

impl Template {
    /// Reads a template: `{code}` and the other placeholders, anything else as it is.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let word: String = rest[at + 1..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let end = at + 1 + word.len();
            if word.is_empty() || !rest[end..].starts_with('}') {
                plain.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
                continue;
            }
            let value = PLACEHOLDERS
                .iter()
                .position(|known| *known == word)
                .ok_or(TemplateError::Unknown(word))?;
            plain.push_str(&rest[..at]);
            parts.extend([
                TemplatePart::Text(std::mem::take(&mut plain)),
                TemplatePart::Value(value),
            ]);
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        parts.push(TemplatePart::Text(plain));
        let template = Self(parts);
        let sample = template.fill(&["code", "a \"detail\"", "Title", "401", "id"]);
        match serde_json::from_str::<serde::de::IgnoredAny>(&sample) {
            Ok(_) => Ok(template),
            Err(error) => Err(TemplateError::NotJson(error.to_string())),
        }
    }

    /// The text with these values in it, written so that none of them can end the JSON string that
    /// it stands in.
    pub fn fill(&self, values: &Filling<'_>) -> String {
        let mut out = String::with_capacity(256);
        for part in &self.0 {
            match part {
                TemplatePart::Text(text) => out.push_str(text),
                TemplatePart::Value(at) => out.push_str(&escaped(values[*at])),
            }
        }
        out
    }
}

/// The text as it stands within the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_string() {
        let template = Template::parse(r#"{"ret":-1,"code":"{code}","msg":"{detail}","id":"{request_id}","s":{status},"e":{}}"#).unwrap();
        let text = template.fill(&[
            "session_expired",
            "a \"b\" \\ \n</script>{code}",
            "T",
            "401",
            "虎",
        ]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["msg"], "a \"b\" \\ \n</script>{code}");
        assert_eq!(
            (&value["ret"], &value["s"], &value["id"]),
            (&(-1).into(), &401.into(), &"虎".into())
        );
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        assert_eq!(
            Template::parse(r#"{"a":"{reason}"}"#),
            Err(TemplateError::Unknown("reason".to_owned()))
        );
        for text in ["", "{code}", "{\"a\":{detail}}", "{\"a\":\"{code}\""] {
            assert!(
                matches!(Template::parse(text), Err(TemplateError::NotJson(_))),
                "{text}"
            );
        }
        assert!(Template::parse("\"{code}\"").is_ok());
    }
}
