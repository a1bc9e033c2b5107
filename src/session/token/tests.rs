use std::collections::HashSet;

use super::*;

#[test]
fn a_token_has_one_spelling_and_one_issuer() {
    let keys = Keyring::ephemeral();
    let token = SessionToken::issue(&keys, [1, 2]);
    let text = token.expose();
    assert_eq!(text.len(), TOKEN_LEN);
    assert_eq!(SessionToken::parse(&keys, &text).unwrap().id(), token.id());
    assert_eq!(
        SessionToken::parse(&Keyring::ephemeral(), &text).unwrap_err(),
        TokenError::Foreign
    );
    assert_eq!(token.id().tag, [1, 2]);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for i in 0..text.len() {
        for other in alphabet {
            let mut changed = text.clone().into_bytes();
            if changed[i] == *other {
                continue;
            }
            changed[i] = *other;
            assert!(
                SessionToken::parse(&keys, std::str::from_utf8(&changed).unwrap()).is_err(),
                "{i} {other}"
            );
        }
    }
    for wrong in [
        "",
        "hufu_",
        &text[1..],
        &text[..55],
        &format!("{text}A"),
        &format!("{text}="),
        &format!(" {text}"),
        &text.to_uppercase(),
    ] {
        assert_eq!(
            SessionToken::parse(&keys, wrong).unwrap_err(),
            TokenError::Malformed,
            "{wrong:?}"
        );
    }
}

#[test]
fn a_known_token_is_read_as_an_unknown_one_and_nothing_else_becomes_known() {
    let (keys, known) = (Keyring::ephemeral(), KnownTokens::default());
    for n in 0..3 {
        let token = SessionToken::issue(&keys, [n, 2]);
        for _ in 0..3 {
            assert_eq!(known.session(&keys, &token.expose()).unwrap(), token.id());
        }
        let foreign = SessionToken::issue(&Keyring::ephemeral(), [n, 2]).expose();
        for _ in 0..2 {
            assert_eq!(
                known.session(&keys, &foreign).unwrap_err(),
                TokenError::Foreign
            );
        }
    }
    assert_eq!(known.0.lock().len(), 3);
}

#[test]
fn known_tokens_are_bounded_and_the_used_ones_stay() {
    let (keys, known) = (Keyring::ephemeral(), KnownTokens::default());
    let used = SessionToken::issue(&keys, [0, 0]);
    for n in 0..=2 * KnownTokens::GENERATION {
        let mut body = [0; BODY];
        body[..8].copy_from_slice(&n.to_be_bytes());
        let check = keys.check_bytes(&body[..CHECKED]);
        body[CHECKED..].copy_from_slice(&check);
        known
            .session(&keys, &SessionToken::of(body).expose())
            .unwrap();
        known.session(&keys, &used.expose()).unwrap();
    }
    assert!(known.0.lock().len() <= 2 * KnownTokens::GENERATION);
    let another = Keyring::ephemeral();
    assert_eq!(known.session(&another, &used.expose()), Ok(used.id()));
}

#[test]
fn a_token_in_another_text_is_made_unreadable() {
    let token = SessionToken::issue(&Keyring::ephemeral(), [1, 2]).expose();
    assert_eq!(redacted(&format!("/api/{token}/x")), "/api/hufu_[hidden]/x");
    assert_eq!(
        redacted(&format!("{token}{token}")),
        "hufu_[hidden]hufu_[hidden]"
    );
    for other in ["/api/x", "/hufu_docs/intro", "hufu_", "/é/hufu_é"] {
        assert!(matches!(redacted(other), Cow::Borrowed(_)), "{other}");
    }
}

#[test]
fn ids_are_read_back_and_tell_nothing_of_the_token() {
    let token = SessionToken::issue(&Keyring::ephemeral(), [9, 9]);
    let id = token.id();
    assert_eq!(id.to_string().len(), 25);
    assert_eq!(SessionId::parse(&id.to_string()), Some(id));
    assert!(!token.expose().contains(&id.to_string()[3..]));
    assert!(!format!("{token:?}").contains(&token.expose()));
    for wrong in ["", "AAA", &"A".repeat(24), &"A".repeat(26), &"é".repeat(13)] {
        assert_eq!(SessionId::parse(wrong), None, "{wrong:?}");
    }
}

#[test]
fn ten_thousand_tokens_are_unique_and_their_bits_balanced() {
    let keys = Keyring::ephemeral();
    let mut seen = HashSet::new();
    let mut ones = 0_u32;
    for _ in 0..10_000 {
        let token = SessionToken::issue(&keys, [0, 0]);
        ones += token.body.expose()[2..CHECKED]
            .iter()
            .map(|b| b.count_ones())
            .sum::<u32>();
        assert!(seen.insert(token.expose()));
    }
    // Monobit: 2 560 000 bits, standard deviation 800; six of them fail once in 10^9 runs.
    assert!((1_275_200..=1_284_800).contains(&ones), "{ones}");
}
