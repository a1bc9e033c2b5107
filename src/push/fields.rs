//! What is read of a message: the two fields that matter here. The rest is the backend's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::messages::MessageFormat;

mod xml;

/// What stands beside the sealed text of a message that is nothing else: to whom it goes.
const BESIDE_SEALED: [&str; 3] = ["Encrypt", "ToUserName", "AppId"];
/// Longest number of a message that is believed, in characters.
const ID_MAX: usize = 128;

/// A body that is neither well-formed XML nor JSON, or holds what no message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// The sealed message.
    pub(super) sealed: Option<String>,
    /// Whether there is more than this sealed message; of no meaning without one.
    pub(super) has_others: bool,
    /// The message's number.
    pub(super) id: Option<String>,
}

impl Fields {
    pub(super) fn note(&mut self, name: &str, value: String) -> Result<(), Unreadable> {
        self.has_others |= !BESIDE_SEALED.contains(&name);
        let field = match name {
            "Encrypt" => &mut self.sealed,
            "MsgId" => &mut self.id,
            _ => return Ok(()),
        };
        // Two of them have two readings.
        if field.replace(value).is_some() {
            return Err(Unreadable);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct JsonFields {
    #[serde(rename = "Encrypt")]
    sealed: Option<String>,
    #[serde(rename = "MsgId")]
    id: Option<Value>,
}

/// Reads a body in the language that it begins in.
pub(super) fn read(body: &[u8]) -> Result<(MessageFormat, Fields), Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable)?;
    let text = text.trim_start_matches('\u{feff}').trim_ascii();
    let (format, mut fields) = match text.as_bytes().first() {
        Some(b'<') => {
            let mut fields = Fields::default();
            xml::children(text, |name, value| fields.note(name, value))?;
            (MessageFormat::Xml, fields)
        }
        Some(b'{') => (MessageFormat::Json, of_json(text)?),
        _ => return Err(Unreadable),
    };
    for field in [&mut fields.sealed, &mut fields.id] {
        let trimmed = field.as_deref().map(str::trim_ascii);
        *field = trimmed.filter(|text| !text.is_empty()).map(str::to_owned);
    }
    // Zero is what a message without a number has there: it would be that of all of them.
    fields.id = fields
        .id
        .filter(|id| id.len() <= ID_MAX && id.bytes().any(|b| b != b'0'));
    Ok((format, fields))
}

/// All texts that stand directly in a body, by their names.
pub(super) fn texts(body: &[u8]) -> Result<BTreeMap<String, String>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable)?;
    let text = text.trim_start_matches('\u{feff}').trim_ascii();
    let mut texts = BTreeMap::new();
    if text.starts_with('{') {
        let object: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| Unreadable)?;
        texts.extend(object.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Number(number) => Some((name, number.to_string())),
            _ => None,
        }));
        return Ok(texts);
    }
    xml::children(text, |name, value| {
        let value = value.trim_ascii().to_owned();
        match texts.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(Unreadable),
        }
    })?;
    Ok(texts)
}

fn of_json(text: &str) -> Result<Fields, Unreadable> {
    let JsonFields { sealed, id } = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let id = match id {
        Some(Value::String(id)) => Some(id),
        // A number that does not fit is read with fewer digits, and would be that of others too.
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => {
            Some(number.to_string())
        }
        _ => None,
    };
    let all: BTreeMap<String, IgnoredAny> = match sealed {
        Some(_) => serde_json::from_str(text).map_err(|_| Unreadable)?,
        None => BTreeMap::new(),
    };
    Ok(Fields {
        has_others: all.keys().any(|name| !BESIDE_SEALED.contains(&&**name)),
        sealed,
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Option<(MessageFormat, Option<String>, Option<String>)> {
        let (format, fields) = read(body.as_bytes()).ok()?;
        Some((format, fields.sealed, fields.id))
    }

    #[test]
    fn both_languages_are_read() {
        use MessageFormat::{Json, Xml};
        let text = |text: &str| Some(text.to_owned());
        for (body, expected) in [
            (
                "<xml><Encrypt><![CDATA[ab+/]]></Encrypt><MsgId>1</MsgId></xml>",
                (Xml, text("ab+/"), text("1")),
            ),
            (
                "\u{feff} <?xml version=\"1.0\"?>\n<!-- c --><xml>\n<A><MsgId>9</MsgId></A><MsgId> 7 </MsgId>\n</xml>\n",
                (Xml, None, text("7")),
            ),
            (
                "<xml><MsgId>1&amp;&#65;</MsgId></xml>",
                (Xml, None, text("1&A")),
            ),
            ("<xml><MsgId/></xml>", (Xml, None, None)),
            ("<xml/>", (Xml, None, None)),
            (
                r#"{"Encrypt":"ab","MsgId":18446744073709551615}"#,
                (Json, text("ab"), text("18446744073709551615")),
            ),
            (r#"{"MsgId":"x","a":{"MsgId":1}}"#, (Json, None, text("x"))),
            (r#"{"MsgId":18446744073709551616}"#, (Json, None, None)),
            (r#"{"MsgId":1.5}"#, (Json, None, None)),
            (r#"{"MsgId":null}"#, (Json, None, None)),
            (r#"{"MsgId":0}"#, (Json, None, None)),
            (r#"{"MsgId":"00"}"#, (Json, None, None)),
            (r#"{"MsgId":100}"#, (Json, None, text("100"))),
            ("<xml><MsgId>0</MsgId></xml>", (Xml, None, None)),
            (
                "<xml><MsgId><![CDATA[ 00 ]]></MsgId></xml>",
                (Xml, None, None),
            ),
        ] {
            assert_eq!(found(body), Some(expected), "{body}");
        }
    }

    #[test]
    fn a_sealed_message_is_told_from_one_with_fields_of_its_own() {
        for (body, expected) in [
            (
                "<xml><ToUserName>a</ToUserName><Encrypt>ab</Encrypt></xml>",
                false,
            ),
            ("<xml><AppId>a</AppId><Encrypt>ab</Encrypt></xml>", false),
            (
                "<xml><Encrypt>ab</Encrypt><MsgType>text</MsgType></xml>",
                true,
            ),
            (r#"{"ToUserName":"a","Encrypt":"ab"}"#, false),
            (r#"{"Encrypt":"ab","MsgType":"text"}"#, true),
            (r#"{"Encrypt":"ab","debug":{"a":[1]}}"#, true),
        ] {
            let (_, fields) = read(body.as_bytes()).unwrap();
            assert_eq!(fields.has_others, expected, "{body}");
        }
    }

    #[test]
    fn all_texts_of_a_message_are_read_once_each() {
        let read = |body: &str| texts(body.as_bytes());
        let event = read(
            "<xml><InfoType><![CDATA[authorized]]></InfoType><CreateTime> 7 </CreateTime></xml>",
        );
        let event = event.unwrap();
        assert_eq!(
            (&*event["InfoType"], &*event["CreateTime"]),
            ("authorized", "7")
        );
        assert_eq!(
            read(r#"{"CreateTime":7,"x":[1]}"#).unwrap()["CreateTime"],
            "7"
        );
        assert!(read("<xml><A>1</A><A>2</A></xml>").is_err());
        assert!(read("<!DOCTYPE x><xml/>").is_err() && read("success").is_err());
    }

    #[test]
    fn what_no_message_is_is_refused() {
        for body in [
            "",
            "success",
            "[]",
            "<xml>",
            "<xml></xml><xml></xml>",
            "<xml/><xml/>",
            "<xml></yml>",
            "<xml></xml>x",
            "x<xml></xml>",
            "<!DOCTYPE xml><xml></xml>",
            "<!DOCTYPE xml [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><xml><MsgId>&a;</MsgId></xml>",
            "<xml><!DOCTYPE x></xml>",
            "<xml><MsgId>&a;</MsgId></xml>",
            "<xml>&a;</xml>",
            "<?php 1 ?><xml></xml>",
            "<xml><MsgId>1</MsgId><MsgId>2</MsgId></xml>",
            "<xml><Encrypt>1</Encrypt><Encrypt/></xml>",
            &format!("{}{}", "<a>".repeat(17), "</a>".repeat(17)),
            r#"{"MsgId":1,"MsgId":2}"#,
            r#"{"Encrypt":"a","Encrypt":"b"}"#,
            r#"{"Encrypt":1}"#,
            r#"{"MsgId":1} x"#,
            "{",
        ] {
            assert_eq!(found(body), None, "{body}");
        }
        assert_eq!(read(b"<xml>\xff</xml>"), Err(Unreadable));
    }
}
