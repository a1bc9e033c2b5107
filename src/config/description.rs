//! What a key takes, as the reader itself says it: for the schema that editors use.

use std::collections::BTreeMap;

use super::problem::Wrong;

/// The keys by their dotted paths, with `*` for the names that the operator chooses.
pub(super) type Descriptions = BTreeMap<String, Description>;

/// What a key takes.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) kind: Kind,
    /// Whether its table is none without it.
    pub(super) required: bool,
}

/// The kinds of values.
#[derive(Debug)]
pub(super) enum Kind {
    /// A text; one of these, where there are a few.
    Text(Vec<&'static str>),
    /// A list of such texts, or a single one.
    List(Vec<&'static str>),
    /// A whole number up to this.
    Number(u64),
    Flag,
}

impl Description {
    pub(super) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            required: false,
        }
    }

    /// A text that is read in this way: what it refuses says which words there are.
    pub(super) fn text<T>(parse: impl Fn(&str) -> Result<T, Wrong>) -> Self {
        Self::new(Kind::Text(choices(parse)))
    }

    /// A list of such texts.
    pub(super) fn list<T>(parse: impl Fn(&str) -> Result<T, Wrong>) -> Self {
        Self::new(Kind::List(choices(parse)))
    }
}

fn choices<T>(parse: impl Fn(&str) -> Result<T, Wrong>) -> Vec<&'static str> {
    // Nobody's word.
    parse("\u{0}")
        .err()
        .map(|wrong| wrong.choices)
        .unwrap_or_default()
}
