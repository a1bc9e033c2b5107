use super::*;

fn requirements(json: &str) -> Requirements {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let one = |(name, values): (&String, &serde_json::Value)| {
        let values = match values {
            serde_json::Value::Array(values) => values.iter().map(required).collect(),
            value => [required(value)].into(),
        };
        let fact = match name.as_str() {
            "app" => Fact::App,
            name => Fact::Claim(name.into()),
        };
        Requirement::new(fact, values).unwrap()
    };
    Requirements::new(value.as_object().unwrap().iter().map(one))
}

fn required(value: &serde_json::Value) -> RequiredValue {
    match value {
        serde_json::Value::String(text) => RequiredValue::Text((**text).into()),
        serde_json::Value::Bool(value) => RequiredValue::Bool(*value),
        serde_json::Value::Number(number) => {
            RequiredValue::Number(RequiredNumber::of(number).unwrap())
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_key_must_hold_and_any_value_will_do() {
    for (required, claims, holds) in [
        (r#"{"role":["staff","admin"]}"#, r#"{"role":"admin"}"#, true),
        (
            r#"{"role":["staff","admin"]}"#,
            r#"{"role":"guest"}"#,
            false,
        ),
        (r#"{"role":"staff"}"#, "{}", false),
        (r#"{"role":"staff"}"#, r#"{"role":["guest","staff"]}"#, true),
        (r#"{"role":"staff"}"#, r#"{"role":[]}"#, false),
        (r#"{"role":"staff"}"#, r#"{"role":["guest"]}"#, false),
        (r#"{"role":"staff"}"#, r#"{"roles":"staff"}"#, false),
        (
            r#"{"role":"staff","vip":true}"#,
            r#"{"role":"staff","vip":true}"#,
            true,
        ),
        (
            r#"{"role":"staff","vip":true}"#,
            r#"{"role":"staff"}"#,
            false,
        ),
        (r#"{"role":"staff","vip":true}"#, r#"{"vip":true}"#, false),
        // One type is not another.
        (r#"{"level":1}"#, r#"{"level":"1"}"#, false),
        (r#"{"level":"1"}"#, r#"{"level":1}"#, false),
        (r#"{"level":1}"#, r#"{"level":["1"]}"#, false),
        (r#"{"vip":true}"#, r#"{"vip":"true"}"#, false),
        (r#"{"vip":"true"}"#, r#"{"vip":true}"#, false),
        (r#"{"vip":true}"#, r#"{"vip":1}"#, false),
        (r#"{"vip":true}"#, r#"{"vip":false}"#, false),
        (r#"{"level":["1",2,true]}"#, r#"{"level":2}"#, true),
        // One number in two spellings, and two that a float would mix up.
        (r#"{"level":1}"#, r#"{"level":1.0}"#, true),
        (r#"{"level":0}"#, r#"{"level":-0.0}"#, true),
        (r#"{"level":1.5}"#, r#"{"level":1.5}"#, true),
        (r#"{"level":1}"#, r#"{"level":1.5}"#, false),
        (
            r#"{"level":9007199254740993}"#,
            r#"{"level":9007199254740992}"#,
            false,
        ),
        (
            r#"{"level":9007199254740993}"#,
            r#"{"level":9007199254740993}"#,
            true,
        ),
        (
            r#"{"level":18446744073709551615}"#,
            r#"{"level":18446744073709551615}"#,
            true,
        ),
        (
            r#"{"level":18446744073709551615}"#,
            r#"{"level":-1}"#,
            false,
        ),
        // Look-alikes, other cases and parts are other texts.
        (r#"{"role":"admin"}"#, r#"{"role":"аdmin"}"#, false),
        (r#"{"role":"admin"}"#, r#"{"role":"Admin"}"#, false),
        (r#"{"role":"admin"}"#, r#"{"role":"admin "}"#, false),
        (r#"{"role":"admin"}"#, r#"{"role":"admin,staff"}"#, false),
        (r#"{"role":"é"}"#, r#"{"role":"e\u0301"}"#, false),
        // What would be the stored form of another type is a text.
        (r#"{"vip":true}"#, r#"{"vip":"\u0001true"}"#, false),
        (r#"{"app":["shop","game"]}"#, "{}", true),
        (r#"{"app":"game"}"#, r#"{"app":"game"}"#, false),
    ] {
        let claims: Claims = serde_json::from_str(claims).unwrap();
        assert_eq!(
            requirements(required).hold("shop", &claims),
            holds,
            "{required} {claims:?}"
        );
    }
}

#[test]
fn what_no_claim_can_be_is_no_required_number() {
    for number in [1e20, -9_007_199_254_740_992.0, f64::NAN, f64::INFINITY] {
        assert_eq!(RequiredNumber::of_float(number), None, "{number}");
        let json = format!(r#"{{"a":{number:e}}}"#);
        assert!(serde_json::from_str::<Claims>(&json).is_err(), "{json}");
    }
    assert_eq!(RequiredNumber::of_whole(1 << 64), None);
    assert_eq!(RequiredNumber::of_whole(i128::MIN), None);
    assert_eq!(RequiredNumber::of_float(2.0), RequiredNumber::of_whole(2));
}

#[test]
fn they_are_shown_as_they_are_written() {
    let all = requirements(
        r#"{"role":["staff","a\"b"],"app":"shop","vip":true,"level":[2,1.5],"big":18446744073709551615}"#,
    );
    assert_eq!(
        all.to_string(),
        r#"{ app = "shop", claim.big = 18446744073709551615, claim.level = [2, 1.5], role = ["a\"b", "staff"], claim.vip = true }"#
    );
}
