//! Which requests a route lets in, and how two such rules compare.

use std::fmt;

use crate::route::requirements::Requirements;
use crate::session::Session;

/// Whether a request needs a session, and what is required of the session.
///
/// Rules have no total order: with requirements on claims, neither of two rules need be the
/// stricter one. So they are compared by [`covers`](Self::covers) and combined by
/// [`and`](Self::and), never by `<` or `min`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessRule {
    /// No session: 401. One that does not meet the requirements: 403.
    Required(Requirements),
    /// No token: anonymous. A dead token: anonymous, and the answer says so. Store down: 503.
    Optional,
    /// Sessions are not looked at.
    None,
}

impl AccessRule {
    /// A session, whatever is in it.
    pub const SESSION: Self = Self::Required(Requirements::NONE);

    /// Whether everybody whom this rule lets in is let in by `other` too. `false` also where that
    /// is not certain.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Required(own), Self::Required(others)) => own.cover(others),
            (Self::Required(_), _)
            | (Self::Optional, Self::Optional | Self::None)
            | (Self::None, Self::None) => true,
            (Self::Optional | Self::None, _) => false,
        }
    }

    /// The rule of a request that both rules must let in.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Required(own), Self::Required(others)) => Self::Required(own.and(others)),
            (own, others) if own.covers(&others) => own,
            (_, others) => others,
        }
    }

    /// Whether it lets a living session in.
    pub fn admits(&self, session: &Session) -> bool {
        match self {
            Self::Required(requirements) => requirements.hold(&session.user.app, &session.claims),
            Self::Optional | Self::None => true,
        }
    }

    /// The claims that it requires something of.
    pub fn required_claims(&self) -> impl Iterator<Item = &str> {
        let requirements = match self {
            Self::Required(requirements) => Some(requirements),
            Self::Optional | Self::None => None,
        };
        requirements.into_iter().flat_map(Requirements::claims)
    }

    /// Whether it requires something of a session.
    pub const fn has_requirements(&self) -> bool {
        matches!(self, Self::Required(requirements) if !requirements.is_empty())
    }
}

impl fmt::Display for AccessRule {
    /// As an operator writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required(requirements) if requirements.is_empty() => f.write_str("\"required\""),
            Self::Required(requirements) => {
                write!(f, "\"required\" and require = {requirements}")
            }
            Self::Optional => f.write_str("\"optional\""),
            Self::None => f.write_str("\"none\""),
        }
    }
}

#[cfg(test)]
mod tests;
