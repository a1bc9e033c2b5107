//! What a rule requires of a session beyond being one: facts, each with the values that will do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Number;

use crate::session::{ClaimValue, Claims};

/// The claim that has a key of its own.
const ROLE: &str = "role";

/// Requirements that must hold together; by default none. There is no negation, so who has more
/// claims is never refused more.
///
/// None is implied by another of them, and they are sorted. So equal ones are equal in their bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements(Option<Arc<[Requirement]>>);

/// One fact of a session, and the values of which it must have one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    fact: Fact,
    values: BTreeSet<RequiredValue>,
}

/// What a requirement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// The app of the session, by its name in the configuration.
    App,
    /// The claim of this name.
    Claim(Box<str>),
}

/// A value that will do. Values of two JSON types are never equal: `"1"` is not `1`. Texts are
/// equal if their bytes are: nothing is folded or normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequiredValue {
    Text(Box<str>),
    Number(RequiredNumber),
    Bool(bool),
}

/// A number in the one form that all its spellings have: `1` and `1.0` are the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequiredNumber {
    Whole(i128),
    /// The bits of a number that is not whole.
    Fraction(u64),
}

impl Requirements {
    /// A session is all that is needed.
    pub const NONE: Self = Self(None);

    /// All of these together.
    pub fn new(all: impl IntoIterator<Item = Requirement>) -> Self {
        let mut all: Vec<Requirement> = all.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        let kept: Vec<_> = all
            .iter()
            .filter(|one| !all.iter().any(|other| other != *one && other.implies(one)))
            .cloned()
            .collect();
        Self((!kept.is_empty()).then(|| kept.into()))
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The claims that they are about.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|one| match &one.fact {
            Fact::Claim(name) => Some(&**name),
            Fact::App => None,
        })
    }

    /// Whether a session of this app with these claims meets all of them.
    pub fn hold(&self, app: &str, claims: &Claims) -> bool {
        // On most routes there are none.
        let Some(all) = &self.0 else {
            return true;
        };
        all.iter().all(|one| one.holds(app, claims))
    }

    /// Whether everybody who meets these meets `other` too: each requirement there has one here
    /// about the same fact, with a subset of its values.
    pub fn cover(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|wanted| self.iter().any(|own| own.implies(wanted)))
    }

    /// Both together. Two requirements on one fact stay two: a list with an "a" and a "b" meets
    /// both, and no value is in both.
    pub fn and(self, other: Self) -> Self {
        if self.cover(&other) {
            self
        } else if other.cover(&self) {
            other
        } else {
            Self::new(self.iter().chain(other.iter()).cloned())
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter().flat_map(|all| all.iter())
    }
}

impl Requirement {
    /// `None`: nobody could meet it, since it has no value.
    pub fn new(fact: Fact, values: BTreeSet<RequiredValue>) -> Option<Self> {
        (!values.is_empty()).then_some(Self { fact, values })
    }

    fn implies(&self, other: &Self) -> bool {
        self.fact == other.fact && self.values.is_subset(&other.values)
    }

    fn holds(&self, app: &str, claims: &Claims) -> bool {
        match &self.fact {
            Fact::App => self.has_text(app),
            Fact::Claim(name) => match claims.get(name) {
                None => false,
                Some(ClaimValue::Text(text)) => self.has_text(&text),
                Some(ClaimValue::List(texts)) => texts.iter().any(|text| self.has_text(text)),
                Some(ClaimValue::Bool(value)) => self.values.contains(&RequiredValue::Bool(value)),
                Some(ClaimValue::Number(number)) => RequiredNumber::of(&number)
                    .is_some_and(|number| self.values.contains(&RequiredValue::Number(number))),
            },
        }
    }

    fn has_text(&self, text: &str) -> bool {
        self.values
            .iter()
            .any(|value| matches!(value, RequiredValue::Text(wanted) if **wanted == *text))
    }
}

impl RequiredNumber {
    /// `None`: no claim can be this number.
    pub fn of_float(number: f64) -> Option<Self> {
        ClaimValue::is_exact(number).then(|| {
            if number.fract() == 0.0 {
                Self::Whole(number as i128)
            } else {
                Self::Fraction(number.to_bits())
            }
        })
    }

    /// `None`: no claim can be this number.
    pub fn of_whole(number: i128) -> Option<Self> {
        let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
        range.contains(&number).then_some(Self::Whole(number))
    }

    fn of(number: &Number) -> Option<Self> {
        let whole = number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from));
        whole
            .map(Self::Whole)
            .or_else(|| Self::of_float(number.as_f64()?))
    }
}

impl fmt::Display for Requirements {
    /// As an operator writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.iter().map(ToString::to_string).collect();
        write!(f, "{{ {} }}", all.join(", "))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fact {
            Fact::App => f.write_str("app"),
            Fact::Claim(name) if **name == *ROLE => f.write_str(ROLE),
            Fact::Claim(name) => write!(f, "claim.{name}"),
        }?;
        let values: Vec<_> = self.values.iter().map(ToString::to_string).collect();
        match &values[..] {
            [one] => write!(f, " = {one}"),
            several => write!(f, " = [{}]", several.join(", ")),
        }
    }
}

impl fmt::Display for RequiredValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", serde_json::Value::from(&**text)),
            Self::Number(RequiredNumber::Whole(number)) => write!(f, "{number}"),
            Self::Number(RequiredNumber::Fraction(bits)) => write!(f, "{}", f64::from_bits(*bits)),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests;
