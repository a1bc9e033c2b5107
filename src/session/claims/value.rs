//! The value of one claim.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Number;

/// What a claim says.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimValue<'a> {
    /// A text, which may be empty.
    Text(Cow<'a, str>),
    /// A number that JSON can write. One without a fraction has at most 64 bits.
    Number(Number),
    /// A boolean.
    Bool(bool),
    /// Texts, in the order in which they were given; there may be none.
    List(Vec<Cow<'a, str>>),
}

/// The first character of a stored value that is no plain text. What follows is JSON. A release that
/// knows texts only reads such a value as a text, so sessions survive a rolling update.
const TYPED: char = '\u{1}';

/// From here on a floating-point number may stand for several whole ones: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredValue<'a>(pub(super) &'a str);

impl<'a> StoredValue<'a> {
    /// The value itself.
    #[must_use]
    pub fn value(self) -> Option<ClaimValue<'a>> {
        ClaimValue::of_stored(self.0)
    }

    /// Passes on the texts of a list, one after the other, or what is no list as one text: a number
    /// or a boolean as JSON writes it. Most values need no allocation for this, so a request may ask.
    pub fn for_each_text(self, mut pass: impl FnMut(&str)) {
        let Some(json) = self.0.strip_prefix(TYPED) else {
            return pass(self.0);
        };
        if let Some(texts) = texts_without_escapes(json) {
            return texts.for_each(pass);
        }
        if !json.starts_with(['[', '"']) {
            return pass(json);
        }
        match self.value() {
            Some(ClaimValue::Text(text)) => pass(&text),
            Some(ClaimValue::List(texts)) => texts.iter().for_each(|text| pass(text)),
            Some(ClaimValue::Number(_) | ClaimValue::Bool(_)) | None => {}
        }
    }
}

/// The texts of this JSON list, in which no character is escaped: between two of its quotes there is
/// a text or a comma.
fn texts_without_escapes(json: &str) -> Option<impl Iterator<Item = &str>> {
    let inner = json.strip_prefix("[\"")?.strip_suffix("\"]")?;
    (!inner.contains('\\')).then(|| inner.split('"').step_by(2))
}

impl<'a> ClaimValue<'a> {
    /// The value that these stored texts stand for; `None`: they are none.
    pub(super) fn of_stored(stored: &'a str) -> Option<Self> {
        let Some(json) = stored.strip_prefix(TYPED) else {
            return Some(Self::Text(Cow::Borrowed(stored)));
        };
        let mut json = serde_json::Deserializer::from_str(json);
        let value = ValueSeed("").deserialize(&mut json).ok()??;
        json.end().ok()?;
        Some(value)
    }

    /// As it is stored: a text as it is, anything else as JSON behind U+0001. A value has one stored
    /// form.
    pub(super) fn stored(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) if !text.starts_with(TYPED) => Cow::Borrowed(text),
            typed => Cow::Owned(format!("{TYPED}{}", typed.to_json())),
        }
    }

    /// Whether a claim can be this number, written with a fraction or an exponent. A larger one may
    /// have been a long id, and its last digits are gone.
    #[must_use]
    pub fn is_exact(number: f64) -> bool {
        number.abs() < EXACT
    }

    /// As a JSON value.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_ref().into(),
            Self::Number(number) => number.clone().into(),
            Self::Bool(bool) => (*bool).into(),
            Self::List(texts) => texts
                .iter()
                .map(AsRef::as_ref)
                .collect::<Vec<&str>>()
                .into(),
        }
    }

    /// The value, independent of where it was read.
    #[must_use]
    pub fn into_owned(self) -> ClaimValue<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Text(text) => ClaimValue::Text(owned(text)),
            Self::Number(number) => ClaimValue::Number(number),
            Self::Bool(bool) => ClaimValue::Bool(bool),
            Self::List(texts) => ClaimValue::List(texts.into_iter().map(owned).collect()),
        }
    }
}

impl<'a> From<&'a str> for ClaimValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<bool> for ClaimValue<'_> {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl Serialize for ClaimValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// Reads the JSON value of the claim of this name; `None`: null.
#[derive(Clone, Copy)]
pub(super) struct ValueSeed<'n>(pub(super) &'n str);

impl ValueSeed<'_> {
    fn refused<T, E: Error>(self, what: &str) -> Result<T, E> {
        let Self(name) = self;
        Err(E::custom(format_args!(
            "the claim {name:?} is {what}; a claim is a text, a number, a boolean or a list of texts"
        )))
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Option<ClaimValue<'static>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Option<ClaimValue<'static>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a boolean or a list of texts")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, bool: bool) -> Result<Self::Value, E> {
        Ok(Some(bool.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(ClaimValue::Number(number.into())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(ClaimValue::Number(number.into())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        match Number::from_f64(number) {
            Some(written) if ClaimValue::is_exact(number) => Ok(Some(ClaimValue::Number(written))),
            _ => self.refused("a number that cannot be kept exactly (send it as a text)"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(ClaimValue::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            let Some(ClaimValue::Text(text)) = value else {
                return self.refused("a list of something else than texts");
            };
            texts.push(text);
        }
        Ok(Some(ClaimValue::List(texts)))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        self.refused("an object")
    }
}
