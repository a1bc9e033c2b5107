//! Which requests a route lets in, and how two such rules compare.

/// Whether a request needs a session.
///
/// Rules have no total order: with requirements on claims, neither of two rules need be the
/// stricter one. So they are compared by [`covers`](Self::covers) and combined by
/// [`and`](Self::and), never by `<` or `min`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessRule {
    /// No session: 401.
    Required,
    /// No token: anonymous. A dead token: anonymous, and the answer says so. Store down: 503.
    Optional,
    /// Sessions are not looked at.
    None,
}

impl AccessRule {
    /// Whether everybody whom this rule lets in is let in by `other` too.
    pub const fn covers(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Required, _)
                | (Self::Optional, Self::Optional | Self::None)
                | (Self::None, Self::None)
        )
    }

    /// The rule of a request that both rules must let in.
    pub fn and(self, other: Self) -> Self {
        if self.covers(&other) { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three kinds have a total order. The strictest comes first.
    const RULES: [AccessRule; 3] = [AccessRule::Required, AccessRule::Optional, AccessRule::None];

    #[test]
    fn a_rule_covers_itself_and_weaker_ones_and_both_together_are_the_stricter() {
        for (at, rule) in RULES.iter().enumerate() {
            for (other_at, other) in RULES.iter().enumerate() {
                assert_eq!(rule.covers(other), at <= other_at, "{rule:?} {other:?}");
                let both = rule.clone().and(other.clone());
                assert_eq!(both, RULES[at.min(other_at)], "{rule:?} {other:?}");
            }
        }
    }
}
