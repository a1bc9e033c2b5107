//! Every small rule, compared with an evaluator that looks at each caller.

use std::collections::BTreeSet;

use super::*;
use crate::route::{Fact, RequiredValue, Requirement};
use crate::session::Claims;

const VALUES: [&str; 3] = ["a", "b", "c"];
/// Those that are required. There is another one.
const APPS: [&str; 2] = ["shop", "game"];

/// Somebody who asks. Without a session only routes that need none let them in.
type Caller = Option<(&'static str, Claims)>;

/// Nonempty sets of these texts.
fn subsets(texts: &[&'static str]) -> Vec<Vec<&'static str>> {
    let chosen = |set: u32| {
        let is_in = |at: &usize| set & (1 << at) != 0;
        (0..texts.len()).filter(is_in).map(|at| texts[at]).collect()
    };
    (1..1 << texts.len()).map(chosen).collect()
}

fn requirement(fact: &Fact, texts: &[&str]) -> Requirement {
    let values: BTreeSet<_> = texts
        .iter()
        .map(|text| RequiredValue::Text((*text).into()))
        .collect();
    Requirement::new(fact.clone(), values).unwrap()
}

/// Every single requirement on the app and on one claim, with the values that will do.
fn single() -> Vec<(Fact, Vec<&'static str>)> {
    let of = |fact: Fact, texts| {
        subsets(texts)
            .into_iter()
            .map(move |set| (fact.clone(), set))
    };
    of(Fact::App, &APPS)
        .chain(of(Fact::Claim("x".into()), &VALUES))
        .collect()
}

/// A rule with the requirements that it was made of, as they were given.
struct Sample {
    rule: AccessRule,
    given: Vec<(Fact, Vec<&'static str>)>,
}

/// Every rule with at most two requirements.
fn samples() -> Vec<Sample> {
    let all = single();
    let pairs = all.iter().enumerate().flat_map(|(at, one)| {
        let others = all[at + 1..].iter();
        others.map(move |other| vec![one.clone(), other.clone()])
    });
    let given = [vec![]]
        .into_iter()
        .chain(all.iter().map(|one| vec![one.clone()]))
        .chain(pairs);
    let sessions = given.map(|given| Sample {
        rule: AccessRule::Required(Requirements::new(
            given.iter().map(|(fact, texts)| requirement(fact, texts)),
        )),
        given,
    });
    let open = [AccessRule::Optional, AccessRule::None].map(|rule| Sample {
        rule,
        given: Vec::new(),
    });
    sessions.chain(open).collect()
}

/// Nobody, and a session of each app with each list, text and absence of the claim.
fn callers() -> Vec<Caller> {
    let lists = subsets(&VALUES)
        .into_iter()
        .chain([vec![]])
        .map(|list| serde_json::json!({ "x": list }));
    let others = ["a", "b", "c", "d"].map(|text| serde_json::json!({ "x": text }));
    let claims: Vec<Claims> = lists
        .chain(others)
        .chain([
            serde_json::json!({}),
            serde_json::json!({ "x": 1, "y": "a" }),
        ])
        .map(|json| serde_json::from_value(json).unwrap())
        .collect();
    let sessions = ["shop", "game", "other"]
        .into_iter()
        .flat_map(|app| claims.iter().map(move |claims| Some((app, claims.clone()))));
    [None].into_iter().chain(sessions).collect()
}

/// Without any of the code that is tested.
fn lets_in(sample: &Sample, caller: &Caller) -> bool {
    let AccessRule::Required(_) = sample.rule else {
        return true;
    };
    let Some((app, claims)) = caller else {
        return false;
    };
    let has = |fact: &Fact, text: &str| match fact {
        Fact::App => *app == text,
        Fact::Claim(name) => {
            let json = serde_json::to_value(claims).unwrap();
            let value = &json[&**name];
            value == text
                || value
                    .as_array()
                    .is_some_and(|list| list.contains(&text.into()))
        }
    };
    sample
        .given
        .iter()
        .all(|(fact, texts)| texts.iter().any(|text| has(fact, text)))
}

fn admits(rule: &AccessRule, caller: &Caller) -> bool {
    match (rule, caller) {
        (AccessRule::Required(_), None) => false,
        (AccessRule::Required(requirements), Some((app, claims))) => requirements.hold(app, claims),
        _ => true,
    }
}

/// Everybody whom a rule lets in, by the naive evaluator.
fn admitted(sample: &Sample, callers: &[Caller]) -> Vec<bool> {
    callers
        .iter()
        .map(|caller| lets_in(sample, caller))
        .collect()
}

/// How strict the kind is. Callers do not tell "optional" from "none", and the store does.
fn kind(rule: &AccessRule) -> u8 {
    match rule {
        AccessRule::Required(_) => 2,
        AccessRule::Optional => 1,
        AccessRule::None => 0,
    }
}

#[test]
fn a_rule_lets_in_whom_a_naive_evaluator_lets_in() {
    let callers = callers();
    assert_eq!(samples().len(), 1 + 10 + 45 + 2);
    for sample in samples() {
        for caller in &callers {
            let expected = lets_in(&sample, caller);
            assert_eq!(
                admits(&sample.rule, caller),
                expected,
                "{} {caller:?}",
                sample.rule
            );
        }
    }
}

#[test]
fn what_covers_lets_nobody_in_whom_the_other_refuses() {
    let (samples, callers) = (samples(), callers());
    let admitted: Vec<_> = samples.iter().map(|one| admitted(one, &callers)).collect();
    let mut covering = 0;
    for (one, its) in samples.iter().zip(&admitted) {
        for (other, others) in samples.iter().zip(&admitted) {
            let implies = its
                .iter()
                .zip(others)
                .all(|(mine, theirs)| !mine || *theirs)
                && kind(&one.rule) >= kind(&other.rule);
            let covers = one.rule.covers(&other.rule);
            covering += usize::from(covers);
            assert!(!covers || implies, "{} {}", one.rule, other.rule);
            // A session is of one app only, which a rule cannot see: with two requirements on the
            // app, "covers" may say no where it could say yes.
            let by_claims = |sample: &Sample| {
                sample
                    .given
                    .iter()
                    .filter(|(fact, _)| *fact == Fact::App)
                    .count()
                    < 2
            };
            if by_claims(one) && by_claims(other) {
                assert!(covers || !implies, "{} {}", one.rule, other.rule);
            }
        }
    }
    assert!(covering > samples.len());
}

#[test]
fn both_together_let_in_whom_each_lets_in() {
    let (samples, callers) = (samples(), callers());
    let admitted: Vec<_> = samples.iter().map(|one| admitted(one, &callers)).collect();
    for (one, its) in samples.iter().zip(&admitted) {
        for (other, others) in samples.iter().zip(&admitted) {
            let both = one.rule.clone().and(other.rule.clone());
            for (caller, (mine, theirs)) in callers.iter().zip(its.iter().zip(others)) {
                let expected = *mine && *theirs;
                assert_eq!(admits(&both, caller), expected, "{both} {caller:?}");
            }
            assert!(both.covers(&one.rule) && both.covers(&other.rule), "{both}");
            assert_eq!(kind(&both), kind(&one.rule).max(kind(&other.rule)));
            // In whatever order they come, and again.
            assert_eq!(other.rule.clone().and(one.rule.clone()), both);
            assert_eq!(both.clone().and(one.rule.clone()), both);
        }
    }
}

#[test]
fn two_requirements_on_one_list_are_never_one_on_what_they_share() {
    let one = |text| {
        let fact = Fact::Claim("x".into());
        AccessRule::Required(Requirements::new([requirement(&fact, &[text])]))
    };
    let both = one("a").and(one("b"));
    let claims = serde_json::from_str(r#"{"x":["b","a"]}"#).unwrap();
    assert!(admits(&both, &Some(("shop", claims))));
    assert!(!one("a").covers(&both) && !one("b").covers(&both));
    assert_eq!(
        both.to_string(),
        r#""required" and require = { claim.x = "a", claim.x = "b" }"#
    );
}
