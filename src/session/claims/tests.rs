//! Claims and their changes.

use proptest::prelude::*;
use serde_json::Number;

use super::*;

fn values() -> impl Strategy<Value = ClaimValue<'static>> {
    prop_oneof![
        "(\u{1}|).{0,20}".prop_map(|text| ClaimValue::Text(text.into())),
        any::<i64>().prop_map(|number| ClaimValue::Number(number.into())),
        any::<u64>().prop_map(|number| ClaimValue::Number(number.into())),
        (-1e9..1e9).prop_map(|number| ClaimValue::Number(Number::from_f64(number).unwrap())),
        any::<bool>().prop_map(ClaimValue::Bool),
        prop::collection::vec(".{0,9}", 0..4)
            .prop_map(|texts| ClaimValue::List(texts.into_iter().map(Into::into).collect())),
    ]
}

fn texts_of(value: &ClaimValue<'_>) -> Vec<String> {
    match value {
        ClaimValue::Text(text) => vec![text.to_string()],
        ClaimValue::List(texts) => texts.iter().map(ToString::to_string).collect(),
        ClaimValue::Number(number) => vec![number.to_string()],
        ClaimValue::Bool(yes) => vec![yes.to_string()],
    }
}

fn changes() -> impl Strategy<Value = ClaimsPatch> {
    prop::collection::btree_map("[a-c]", prop::option::of(values()), 0..4)
        .prop_map(|changes| ClaimsPatch::new(changes.into_iter().collect()).unwrap())
}

proptest! {
    #[test]
    fn what_was_given_is_kept(given in prop::collection::btree_map("[a-z0-9_]{1,32}", values(), 0..8)) {
        let claims = Claims::new(given.iter().map(|(name, value)| (&**name, value.clone()))).unwrap();
        for (name, value) in &given {
            prop_assert_eq!(claims.get(name), Some(value.clone()));
            let mut texts = Vec::new();
            claims.stored(name).unwrap().for_each_text(|text| texts.push(text.to_owned()));
            prop_assert_eq!(texts, texts_of(value));
        }
        prop_assert_eq!(claims.iter().count(), given.len());
        prop_assert_eq!(claims.get("none of these!"), None);
        let json = serde_json::to_string(&claims).unwrap();
        let decoded = Claims::decode(claims.encoded()).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Claims>(&json).unwrap(), &claims);
        prop_assert_eq!(decoded, claims);
    }

    #[test]
    fn arbitrary_bytes_are_no_claims_or_those_that_are_written_so(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(claims) = Claims::decode(&bytes) {
            prop_assert_eq!(Claims::new(claims.iter()), Ok(claims.clone()));
            prop_assert_eq!(claims.encoded(), bytes);
        }
    }

    #[test]
    fn a_change_sets_and_removes_and_two_are_one_after_the_other(first in changes(), second in changes()) {
        let before = Claims::new([("a", "1"), ("d", "4")]).unwrap();
        let once = before.merged(&first).unwrap();
        for (name, value) in first.iter() {
            prop_assert_eq!(once.get(name), value.cloned());
        }
        prop_assert_eq!(once.get("d"), before.get("d"));
        let as_object = |claims: &Claims| serde_json::to_value(claims).unwrap();
        let both = first.followed_by(&second).unwrap();
        prop_assert_eq!(
            as_object(&before.merged(&both).unwrap()),
            as_object(&once.merged(&second).unwrap())
        );
        prop_assert_eq!(ClaimsPatch::decode(&both.encoded()), Ok(both.clone()));
        let json = serde_json::to_string(&both).unwrap();
        prop_assert_eq!(serde_json::from_str::<ClaimsPatch>(&json).unwrap(), both);
    }
}

#[test]
fn what_is_no_claims_is_refused_by_the_name_of_the_claim() {
    let cases = [
        ("[]", "an object of claims"),
        (r#"{"User":"1"}"#, r#""User" is no name"#),
        (r#"{"rоle":"staff"}"#, "is no name"),
        (
            r#"{"role":"staff","role":"admin"}"#,
            r#"the claim "role" is there twice"#,
        ),
        (r#"{"a":null}"#, r#"the claim "a" is null"#),
        (r#"{"a":{"b":1}}"#, r#"the claim "a" is an object"#),
        (
            r#"{"a":["x",1]}"#,
            r#"the claim "a" is a list of something else"#,
        ),
        (
            r#"{"a":[["x"]]}"#,
            r#"the claim "a" is a list of something else"#,
        ),
        (r#"{"a":123456789012345678901}"#, "cannot be kept exactly"),
        (r#"{"a":1e400}"#, "out of range"),
    ];
    for (json, reason) in cases {
        let error = serde_json::from_str::<Claims>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(Claims::BYTES_MAX));
    let error = serde_json::from_str::<Claims>(&long).unwrap_err();
    assert!(
        error.to_string().contains("more than 2048 bytes"),
        "{error}"
    );
}

#[test]
fn a_typed_value_is_json_behind_a_control_character() {
    let cases: [(ClaimValue<'_>, &str); 5] = [
        ("42".into(), "42"),
        (true.into(), "\u{1}true"),
        (ClaimValue::Number(42.into()), "\u{1}42"),
        (
            ClaimValue::List(vec!["a".into(), "b".into()]),
            "\u{1}[\"a\",\"b\"]",
        ),
        ("\u{1}true".into(), "\u{1}\"\\u0001true\""),
    ];
    for (value, stored) in cases {
        assert_eq!(value.stored(), stored);
    }
    // A value has one stored form.
    for stored in [
        "\u{1} true",
        "\u{1}\"plain\"",
        "\u{1}null",
        "\u{1}{}",
        "\u{1}1e2",
        "\u{1}",
    ] {
        let mut encoded = Vec::new();
        put_text(&mut encoded, "a");
        put_text(&mut encoded, stored);
        assert_eq!(
            Claims::decode(&encoded),
            Err(ClaimsError::Malformed),
            "{stored:?}"
        );
    }
}

#[test]
fn the_limits_hold() {
    let names: Vec<String> = (0..=Claims::MAX)
        .map(|number| format!("n{number}"))
        .collect();
    let all = |count: usize| Claims::new(names[..count].iter().map(|name| (&**name, "")));
    assert_eq!(all(Claims::MAX).unwrap().iter().count(), Claims::MAX);
    assert_eq!(all(Claims::MAX + 1), Err(ClaimsError::Many));
    // A name of one byte, and the lengths in one and two bytes.
    let long = "x".repeat(Claims::BYTES_MAX - 4);
    assert!(Claims::new([("a", &*long)]).is_ok());
    assert_eq!(Claims::new([("aa", &*long)]), Err(ClaimsError::Long));
    let name = "n".repeat(Claims::NAME_MAX);
    assert!(Claims::new([(&*name, "")]).is_ok());
    for name in ["", "Name", "user-id", "n\u{e9}", &*(name + "n")] {
        assert_eq!(
            Claims::new([(name, "")]),
            Err(ClaimsError::Name(name.to_owned()))
        );
    }
    assert_eq!(
        Claims::new([("a", "1"), ("b", ""), ("a", "2")]),
        Err(ClaimsError::Twice("a".to_owned()))
    );
}

#[test]
fn none_need_no_memory() {
    assert_eq!(Claims::new::<&str>([]), Ok(Claims::default()));
    assert!(Claims::default().encoded().is_empty());
}
