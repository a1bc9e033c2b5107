use super::*;

fn key(byte: u8) -> Secret<[u8; 32]> {
    let mut bytes = [byte; 32];
    bytes[0] = 255;
    Secret::new(bytes)
}

#[test]
fn opens_only_in_its_place_and_unchanged() {
    let ring = Keyring::new(&[key(1)]).unwrap();
    let sealed = ring.seal(b"here", b"tiger");
    assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD);
    assert_eq!(ring.open(b"here", &sealed).unwrap(), b"tiger");
    assert_eq!(ring.open(b"there", &sealed), Err(OpenError::Broken));
    for i in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[i] ^= 1;
        assert!(ring.open(b"here", &changed).is_err(), "byte {i}");
        assert!(ring.open(b"here", &sealed[..i]).is_err(), "cut at {i}");
    }
}

#[test]
fn rotation_opens_old_values_and_a_dropped_key_is_told_apart() {
    let old = Keyring::new(&[key(1)]).unwrap();
    let both = Keyring::new(&[key(2), key(1)]).unwrap();
    let new = Keyring::new(&[key(2)]).unwrap();
    let sealed = old.seal(b"", b"tiger");
    assert_eq!(both.open(b"", &sealed).unwrap(), b"tiger");
    assert_eq!(new.open(b"", &sealed), Err(OpenError::UnknownKey));
    assert!(both.checks(b"token", &old.check_bytes(b"token")));
    assert!(!new.checks(b"token", &old.check_bytes(b"token")));
    assert_eq!(
        Keyring::new(&[key(1), key(1)]).unwrap_err(),
        KeyError::SameId
    );
    assert_eq!(Keyring::new(&[]).unwrap_err(), KeyError::None);
}

#[test]
fn derived_rings_are_the_same_everywhere_and_open_nothing_of_each_other() {
    let (ring, rolled) = (
        Keyring::new(&[key(1)]).unwrap(),
        Keyring::new(&[key(2), key(1)]).unwrap(),
    );
    let sealed = ring.derived("tickets", 7).seal(b"", b"tiger");
    assert_eq!(
        Keyring::new(&[key(1)])
            .unwrap()
            .derived("tickets", 7)
            .open(b"", &sealed)
            .unwrap(),
        b"tiger"
    );
    assert_eq!(
        rolled.derived("tickets", 7).open(b"", &sealed).unwrap(),
        b"tiger"
    );
    for other in [
        ring.derived("tickets", 8),
        ring.derived("others", 7),
        ring,
        rolled,
    ] {
        assert!(other.open(b"", &sealed).is_err());
    }
}

#[test]
fn keys_are_read_as_keygen_prints_them_and_as_hex() {
    let text = generate_key();
    assert_eq!(text.len(), 43);
    let key = parse_key(&text).unwrap();
    assert_eq!(parse_key(&hex::encode(key.expose())).unwrap(), key);
    assert_eq!(parse_key("secret").unwrap_err(), KeyError::Form(6));
    assert_eq!(parse_key(&"0".repeat(64)).unwrap_err(), KeyError::NotRandom);
}
