//! What a TLS library says of the other side, in words for an operator.

/// What is wrong with the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerTrouble {
    /// Its certificate is an authority's, and no server's.
    AuthorityAsServer,
    /// No authority that is known here has signed its certificate.
    Untrusted,
    /// Its certificate is for another name.
    OtherName,
    /// Something else about certificates.
    Certificate,
    NoTls,
    UnknownHost,
    Refused,
    TimedOut,
    Other,
}

/// The library's words for what is wrong with a certificate, or with what is no TLS at all, and
/// ours. A kind of the library's that has no word of its own is written by it as Rust code.
const WORDS: [(&str, PeerTrouble, &str); 9] = [
    (
        "CaUsedAsEndEntity",
        PeerTrouble::AuthorityAsServer,
        "its certificate is not trusted: it is self-signed, and made to sign others and not for a server",
    ),
    (
        "UnknownIssuer",
        PeerTrouble::Untrusted,
        "its certificate is not trusted: it is self-signed, or no authority that is known here has signed it",
    ),
    (
        "BadSignature",
        PeerTrouble::Untrusted,
        "its certificate is not trusted: another authority than the one of that name that is known here has signed it",
    ),
    ("NotValidYet", PeerTrouble::Certificate, NOT_YET),
    (
        "certificate not valid yet",
        PeerTrouble::Certificate,
        NOT_YET,
    ),
    ("Expired", PeerTrouble::Certificate, EXPIRED),
    ("certificate expired", PeerTrouble::Certificate, EXPIRED),
    (
        "InvalidContentType",
        PeerTrouble::NoTls,
        "it speaks no TLS there",
    ),
    (
        "CertificateRequired",
        PeerTrouble::Certificate,
        "it wants a certificate of ours",
    ),
];
const NOT_YET: &str = "its certificate is not valid yet, or this machine's clock is wrong";
const EXPIRED: &str = "its certificate has expired";
const UNKNOWN_HOST: &str = "failed to lookup address information: ";
/// Other words of libraries and of the operating system.
const SIGNS: [(&str, PeerTrouble); 7] = [
    ("certificate not valid for name", PeerTrouble::OtherName),
    ("certificate", PeerTrouble::Certificate),
    (UNKNOWN_HOST, PeerTrouble::UnknownHost),
    ("Connection refused", PeerTrouble::Refused),
    ("timed out", PeerTrouble::TimedOut),
    ("deadline has elapsed", PeerTrouble::TimedOut),
    ("", PeerTrouble::Other),
];

/// What an error of a connection means, by a library's words or the operating system's.
pub fn trouble(error: &str) -> PeerTrouble {
    let words = WORDS.iter().map(|(theirs, trouble, _)| (*theirs, *trouble));
    words
        .chain(SIGNS)
        .find(|(theirs, _)| error.contains(theirs))
        .map_or(PeerTrouble::Other, |(_, trouble)| trouble)
}

/// An error of a connection, where it is one of TLS in plain words.
pub fn plainly(error: &str) -> String {
    if let Some((.., ours)) = WORDS.iter().find(|(theirs, ..)| error.contains(theirs)) {
        return (*ours).to_owned();
    }
    if let Some((_, why)) = error.split_once(UNKNOWN_HOST) {
        return format!("its name does not resolve: {why}");
    }
    let Some((before, rest)) = error.split_once("Other(OtherError(") else {
        return error.to_owned();
    };
    format!("{before}{}", rest.trim_end_matches(')'))
}

/// Where the other side's certificate is configured.
#[derive(Debug, Clone, Copy)]
pub struct CertificateKeys<'a> {
    /// The key of the authority's certificate.
    pub ca: &'a str,
    pub is_ca_set: bool,
    /// What to do where the certificate is for another name.
    pub for_name: &'a str,
}

/// What to do about a certificate; `None`: the trouble is another.
pub fn cure(trouble: PeerTrouble, keys: &CertificateKeys<'_>) -> Option<String> {
    let ca = keys.ca;
    match trouble {
        PeerTrouble::AuthorityAsServer => Some(format!(
            "make one for a server (with `openssl req -x509 … -addext basicConstraints=critical,CA:FALSE`), and set {ca} to it"
        )),
        PeerTrouble::Untrusted if keys.is_ca_set => Some(format!(
            "what {ca} holds is another authority's: set it to the certificate itself or to that of its authority"
        )),
        PeerTrouble::Untrusted => Some(format!(
            "set {ca} to the certificate itself or to that of its authority"
        )),
        PeerTrouble::OtherName => Some(keys.for_name.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "Connection refused (os error 111)";
    const TIMED_OUT: &str = "Connection timed out (os error 110)";
    const RESET: &str = "Connection reset by peer";

    #[test]
    fn a_cure_does_not_name_what_is_already_done() {
        let untrusted = "invalid peer certificate: UnknownIssuer";
        for (error, is_ca_set, words) in [
            ("Other(OtherError(CaUsedAsEndEntity))", true, "CA:FALSE"),
            ("Other(OtherError(CaUsedAsEndEntity))", false, "CA:FALSE"),
            ("certificate not valid for name \"a\"", true, "another name"),
            (untrusted, false, "set store.tls.ca to"),
            (
                untrusted,
                true,
                "what store.tls.ca holds is another authority's",
            ),
        ] {
            let keys = CertificateKeys {
                ca: "store.tls.ca",
                is_ca_set,
                for_name: "another name",
            };
            let cure = cure(trouble(error), &keys).unwrap();
            assert!(cure.contains(words), "{error}: {cure}");
        }
    }

    #[test]
    fn an_error_of_a_connection_has_a_meaning_and_no_code_is_left_in_it() {
        let lookup = "failed to lookup address information: Name or service not known";
        let critical = "invalid peer certificate: Other(OtherError(UnsupportedCriticalExtension))";
        for (said, means, words) in [
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                PeerTrouble::AuthorityAsServer,
                "is not trusted: it is self-signed",
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                PeerTrouble::Untrusted,
                "is not trusted: it is self-signed, or no authority",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1 (UNIX), but certificate is not valid after 0",
                PeerTrouble::Certificate,
                "has expired",
            ),
            (
                "invalid peer certificate: BadSignature",
                PeerTrouble::Untrusted,
                "is not trusted: another authority",
            ),
            (
                "received corrupt message of type InvalidContentType",
                PeerTrouble::NoTls,
                "speaks no TLS",
            ),
            (
                critical,
                PeerTrouble::Certificate,
                "invalid peer certificate: UnsupportedCriticalExtension",
            ),
            (
                lookup,
                PeerTrouble::UnknownHost,
                "its name does not resolve: Name",
            ),
            (REFUSED, PeerTrouble::Refused, REFUSED),
            (TIMED_OUT, PeerTrouble::TimedOut, TIMED_OUT),
            (RESET, PeerTrouble::Other, RESET),
        ] {
            let plain = plainly(said);
            assert_eq!(trouble(said), means, "{said}");
            assert!(
                plain.contains(words) && !plain.contains("OtherError"),
                "{said}: {plain}"
            );
        }
    }
}
