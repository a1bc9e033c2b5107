//! Who a route lets in, and how two such rules compare.

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
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn rule() -> impl Strategy<Value = AccessRule> {
        select(vec![
            AccessRule::Required,
            AccessRule::Optional,
            AccessRule::None,
        ])
    }

    /// The place of a rule in the order that the three kinds have; the strictest comes first.
    fn place(rule: &AccessRule) -> u8 {
        match rule {
            AccessRule::Required => 0,
            AccessRule::Optional => 1,
            AccessRule::None => 2,
        }
    }

    proptest! {
        #[test]
        fn covering_is_reflexive_and_transitive(a in rule(), b in rule(), c in rule()) {
            prop_assert!(a.covers(&a));
            prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c), "{:?} {:?} {:?}", a, b, c);
        }

        #[test]
        fn the_three_kinds_have_a_total_order(a in rule(), b in rule()) {
            prop_assert_eq!(a.covers(&b), place(&a) <= place(&b), "{:?} {:?}", a, b);
        }

        #[test]
        fn both_rules_together_cover_each_and_ask_for_no_more(a in rule(), b in rule(), c in rule()) {
            let both = a.clone().and(b.clone());
            prop_assert!(both.covers(&a) && both.covers(&b));
            prop_assert!(!(c.covers(&a) && c.covers(&b)) || c.covers(&both), "{:?} {:?} {:?}", a, b, c);
            prop_assert_eq!(both, b.and(a));
        }
    }
}
