//! What a TLS library says of the other side, in words for an operator.

/// The library's words for what is wrong with a certificate, or with what is no TLS at all, and
/// ours. A kind of the library's that has no word of its own is written by it as Rust code.
const WORDS: [(&str, &str); 9] = [
    (
        "CaUsedAsEndEntity",
        "its certificate is not trusted: it is self-signed, and made to sign others and not for a server",
    ),
    (
        "UnknownIssuer",
        "its certificate is not trusted: it is self-signed, or no authority that is known here has signed it",
    ),
    (
        "BadSignature",
        "its certificate is not trusted: another authority than the one of that name that is known here has signed it",
    ),
    (
        "NotValidYet",
        "its certificate is not valid yet, or this machine's clock is wrong",
    ),
    (
        "certificate not valid yet",
        "its certificate is not valid yet, or this machine's clock is wrong",
    ),
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
    if let Some((_, why)) = error.split_once("failed to lookup address information: ") {
        return format!("its name does not resolve: {why}");
    }
    let Some((before, rest)) = error.split_once("Other(OtherError(") else {
        return error.to_owned();
    };
    format!("{before}{}", rest.trim_end_matches(')'))
}

/// Whether such words say that the other side's certificate is not trusted.
#[must_use]
pub fn is_untrusted(words: &str) -> bool {
    words.contains("is not trusted")
}

/// Where the other side's certificate is configured.
#[derive(Debug, Clone, Copy)]
pub struct CertificateKeys<'a> {
    /// The key of the authority's certificate.
    pub ca: &'a str,
    /// Whether it is set.
    pub is_ca_set: bool,
    /// What to do where the certificate is for another name.
    pub for_name: &'a str,
}

/// What to do about a certificate of which such words are said; `None`: they are about something
/// else.
#[must_use]
pub fn cure(words: &str, keys: &CertificateKeys<'_>) -> Option<String> {
    let ca = keys.ca;
    Some(if words.contains("made to sign others") {
        format!(
            "make one for a server (with `openssl req -x509 … -addext basicConstraints=critical,CA:FALSE`), and set {ca} to it"
        )
    } else if is_untrusted(words) && keys.is_ca_set {
        format!(
            "what {ca} holds is another authority's: set it to the certificate itself or to that of its authority"
        )
    } else if is_untrusted(words) {
        format!("set {ca} to the certificate itself or to that of its authority")
    } else if words.contains("certificate not valid for name") {
        keys.for_name.to_owned()
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cure_does_not_name_what_is_already_done() {
        let of = |words: &str, is_ca_set| {
            cure(
                words,
                &CertificateKeys {
                    ca: "store.tls.ca",
                    is_ca_set,
                    for_name: "another name",
                },
            )
            .unwrap_or_default()
        };
        for is_ca_set in [false, true] {
            assert!(
                of(&plainly("Other(OtherError(CaUsedAsEndEntity))"), is_ca_set)
                    .contains("CA:FALSE")
            );
            assert_eq!(
                of("certificate not valid for name \"a\"", is_ca_set),
                "another name"
            );
            assert_eq!(of("connection refused", is_ca_set), "");
        }
        let unknown = plainly("UnknownIssuer");
        assert!(
            of(&unknown, false).starts_with("set store.tls.ca to"),
            "{unknown}"
        );
        assert!(
            of(&unknown, true).starts_with("what store.tls.ca holds is another authority's"),
            "{unknown}"
        );
    }

    #[test]
    fn no_code_is_left_in_an_error() {
        for (said, words) in [
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                "is not trusted: it is self-signed",
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                "is not trusted: it is self-signed, or no authority",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1 (UNIX), but certificate is not valid after 0",
                "has expired",
            ),
            (
                "invalid peer certificate: BadSignature",
                "is not trusted: another authority",
            ),
            (
                "received corrupt message of type InvalidContentType",
                "speaks no TLS",
            ),
            (
                "invalid peer certificate: Other(OtherError(UnsupportedCriticalExtension))",
                "invalid peer certificate: UnsupportedCriticalExtension",
            ),
            (
                "Connection refused (os error 111)",
                "Connection refused (os error 111)",
            ),
            (
                "failed to lookup address information: Name or service not known",
                "its name does not resolve: Name",
            ),
        ] {
            let plain = plainly(said);
            assert!(
                plain.contains(words) && !plain.contains("OtherError"),
                "{said}: {plain}"
            );
        }
    }
}
