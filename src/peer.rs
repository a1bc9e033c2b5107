//! What a TLS library says of the other side, in words for an operator.

/// The library's words for what is wrong with a certificate, or with what is no TLS at all, and ours. A kind of the library's that has no
/// word of its own is written by it as Rust code.
const WORDS: [(&str, &str); 8] = [
    ("CaUsedAsEndEntity", "its certificate is not trusted: it is self-signed, and made to sign others and not for a server"),
    ("UnknownIssuer", "its certificate is not trusted: it is self-signed, or no authority that is known here has signed it"),
    ("NotValidYet", "its certificate is not valid yet, or this machine's clock is wrong"),
    ("certificate not valid yet", "its certificate is not valid yet, or this machine's clock is wrong"),
    ("Expired", "its certificate has expired"),
    ("certificate expired", "its certificate has expired"),
    ("InvalidContentType", "it speaks no TLS there"),
    ("CertificateRequired", "it wants a certificate of ours"),
];

/// An error of a connection, where it is one of TLS in plain words.
#[must_use]
pub fn plainly(error: &str) -> String {
    if let Some((_, ours)) = WORDS.iter().find(|(theirs, _)| error.contains(theirs)) {
        return (*ours).to_owned();
    }
    let Some((before, rest)) = error.split_once("Other(OtherError(") else { return error.to_owned() };
    format!("{before}{}", rest.trim_end_matches(')'))
}

/// Whether such words say that the other side's certificate is not trusted.
#[must_use]
pub fn is_untrusted(words: &str) -> bool {
    words.contains("is not trusted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_left_in_an_error() {
        for (said, words) in [
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "is not trusted: it is self-signed"),
            ("invalid peer certificate: UnknownIssuer", "is not trusted: it is self-signed, or no authority"),
            ("invalid peer certificate: certificate expired: verification time 1 (UNIX), but certificate is not valid after 0", "has expired"),
            ("received corrupt message of type InvalidContentType", "speaks no TLS"),
            ("invalid peer certificate: Other(OtherError(UnsupportedCriticalExtension))", "invalid peer certificate: UnsupportedCriticalExtension"),
            ("Connection refused (os error 111)", "Connection refused (os error 111)"),
        ] {
            let plain = plainly(said);
            assert!(plain.contains(words) && !plain.contains("OtherError"), "{said}: {plain}");
        }
    }
}
