//! The published keys, and their change in three steps.

use hufu::crypto::keyring::generate_key;

use super::{asserted, get, holds, orders, part, published, signed_by};
use crate::helpers::{Gateway, Upstream};

#[tokio::test]
async fn everybody_may_read_the_public_keys_and_nothing_else() {
    let (one, two) = (generate_key(), generate_key());
    let gateway = Gateway::start(&signed_by(&[&one, &two]));
    for line in ["", "Origin: https://anybody.example.com\r\n"] {
        let answer = get(&gateway, "/auth/jwks.json", line).await;
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=300"),
            ("access-control-allow-origin", "*"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{}", answer.text);
        }
    }
    let set = published(&gateway).await;
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let names: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
    }
    assert!(!set.to_string().contains(&one) && !set.to_string().contains(&two));
    let unsigned = Gateway::start("");
    let answer = get(&unsigned, "/auth/jwks.json", "").await;
    answer.refuses(404, "endpoint_not_found", "without keys");
}

/// A verifier that has fetched the key set at any time within the last 300 s takes every assertion:
/// at each step it still has the set of the step before.
#[tokio::test]
async fn three_steps_change_the_key_and_no_verifier_refuses_anybody() {
    let upstream = Upstream::ok();
    let (old, new) = (generate_key(), generate_key());
    let config = |keys: &[&str]| signed_by(keys) + &orders(&upstream);
    let gateway = Gateway::start(&config(&[&old]));
    let token = gateway.token("alice").await;
    let mut last = asserted(&gateway, &upstream, "/orders", &token).await;
    let mut ids = Vec::new();
    for keys in [[&*old, &new].as_slice(), &[&new, &old], &[&new]] {
        let cached = published(&gateway).await;
        assert!(holds(&cached, &last));
        gateway.reload(&config(keys), "applied").await;
        let fresh = asserted(&gateway, &upstream, "/orders", &token).await;
        let now = published(&gateway).await;
        assert_eq!(now["keys"].as_array().unwrap().len(), keys.len());
        for (set, assertion) in [(&cached, &fresh), (&now, &last), (&now, &fresh)] {
            assert!(holds(set, assertion), "{keys:?}: {set} {assertion}");
        }
        ids.push(part(&fresh, 0)["kid"].clone());
        last = fresh;
    }
    assert!(ids[0] != ids[1] && ids[1] == ids[2]);
    // At once, it would not have held: that is what the steps are for.
    let cached = published(&gateway).await;
    gateway.reload(&config(&[&generate_key()]), "applied").await;
    let fresh = asserted(&gateway, &upstream, "/orders", &token).await;
    assert!(!holds(&cached, &fresh));
}

#[tokio::test]
async fn the_steps_of_the_page_are_these() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/backends.md"));
    let page = page.unwrap();
    let (_, section) = page.split_once("## Changing keys").unwrap();
    let steps: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    let said = ["**after** the old one", "Swap them", "Wait 120 s"];
    assert_eq!(steps.len(), 3);
    for (step, said) in steps.iter().zip(said) {
        assert!(step.contains(said), "{step}");
    }
}
