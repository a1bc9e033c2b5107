//! Open data opens under its own key and IV to what was sealed, and says nothing where it does not
//! open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hufu::crypto::open_data::{encrypt, open};

const KEY: &str = "HyVFkGl5F5OQWJZZaNzBBg==";

/// See the module. Three lines, key, IV and data as clients send them; all of it is also sealed and
/// opened again.
pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let mut lines = text.splitn(3, '\n');
        let mut next = || lines.next().unwrap_or_default();
        opens_as_it_was_sealed(next(), next(), next());
    }
    let iv = data.first_chunk().copied().unwrap_or([7; 16]);
    let (sealed, sealed_iv) = encrypt(KEY, iv, data).expect("the key is one");
    // A form decoder that has eaten the plus signs does no harm.
    for eaten in ["+", " "] {
        let opened = open(
            KEY,
            &sealed_iv.replace('+', eaten),
            &sealed.replace('+', eaten),
        );
        assert!(opened.is_whole());
        assert_eq!(opened.text(), data);
    }
}

fn opens_as_it_was_sealed(key: &str, iv: &str, encrypted: &str) {
    let opened = open(key, iv, encrypted);
    if !opened.is_whole() {
        return;
    }
    let bytes = |text: &str| {
        STANDARD_NO_PAD
            .decode(text.replace(' ', "+").trim_end_matches('='))
            .expect("what opens is base64")
    };
    let iv: [u8; 16] = bytes(iv).try_into().expect("an IV has 16 bytes");
    let (again, _) = encrypt(key, iv, opened.text()).expect("the key is one");
    assert_eq!(
        bytes(&again),
        bytes(encrypted),
        "two ciphertexts for one text"
    );
}
