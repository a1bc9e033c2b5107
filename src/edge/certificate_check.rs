//! Whether clients will take the listener's certificates: what a phone refuses without a word, said
//! where the operator looks, with the command that fixes it.

use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::certificate::{CertificateFiles, load};
use super::certificate_names::{of_names, uncovered};
use super::x509::Facts;
use crate::clock::UnixMillis;
use crate::diagnostic::{DiagnosedSubject, Diagnostic};
use crate::route::HostPattern;

/// A certificate should be renewed before it has so little time left. The authorities' clients renew
/// it 30 days before its end.
const SOON: u64 = 14 * DAY;
const DAY: u64 = 24 * 3600;

/// What is found of each pair of files, whose first certificate is the server's. `hosts` are those
/// of the routes.
pub fn diagnose(
    files: &[CertificateFiles],
    hosts: &[HostPattern],
    now: UnixMillis,
) -> Vec<DiagnosedSubject> {
    let mut diagnosed: Vec<DiagnosedSubject> = files
        .iter()
        .map(|files| diagnose_one(files, hosts, now))
        .collect();
    if let Some(last) = diagnosed.last_mut() {
        last.diagnostics.extend(uncovered(files, hosts));
    }
    diagnosed
}

/// What is found of one pair on its own.
pub fn diagnose_one(
    files: &CertificateFiles,
    hosts: &[HostPattern],
    now: UnixMillis,
) -> DiagnosedSubject {
    let subject = format!("certificate {}", files.cert.display());
    let diagnostics = match load(files) {
        Ok(certificate) => of_chain(&certificate.cert, files, hosts, now),
        Err(error) => vec![Diagnostic::fail("files", error.to_string(), error.advice())],
    };
    DiagnosedSubject {
        subject,
        diagnostics,
    }
}

fn of_chain(
    chain: &[CertificateDer<'_>],
    files: &CertificateFiles,
    hosts: &[HostPattern],
    now: UnixMillis,
) -> Vec<Diagnostic> {
    let facts: Option<Vec<_>> = chain.iter().map(|one| Facts::of(one)).collect();
    let Some(facts) = facts.filter(|facts| !facts.is_empty()) else {
        let advice = format!(
            "look at it with openssl x509 -in {} -noout -text",
            files.cert.display()
        );
        return vec![Diagnostic::warn(
            "certificate",
            "a certificate in the file violates RFC 5280, so some clients may refuse it",
            advice,
        )];
    };
    let mut diagnostics: Vec<Diagnostic> = vec![
        of_times(&facts, files, now.0 / 1000),
        of_issuers(&facts, files),
    ];
    diagnostics.extend(of_names(&facts[0], files, hosts));
    diagnostics
}

/// Whether all of them hold now, and for how long.
fn of_times(facts: &[Facts], files: &CertificateFiles, now: u64) -> Diagnostic {
    // Clients have their own copy of an authority that signs itself.
    let counted = || {
        let numbered = facts.iter().enumerate();
        numbered.filter(|(at, one)| *at == 0 || !one.is_self_signed())
    };
    let latest = counted().max_by_key(|(_, one)| one.not_before);
    if let Some((at, late)) = latest.filter(|(_, late)| late.not_before > now) {
        return Diagnostic::fail(
            "validity",
            format!(
                "{} does not hold before {}: every client refuses it",
                named(facts, at),
                date(late.not_before)
            ),
            "see with `date` whether this machine's clock is right; else use the certificate of before until then",
        );
    }
    let (at, end) = counted()
        .map(|(at, one)| (at, one.not_after))
        .min_by_key(|(_, end)| *end)
        .unwrap_or_default();
    let left = end.saturating_sub(now);
    let days = match left / DAY {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    match left {
        0 => Diagnostic::fail(
            "validity",
            format!(
                "{} ended on {}: every client refuses it",
                named(facts, at),
                date(end)
            ),
            renewal(facts, files, at),
        ),
        1..=SOON => Diagnostic::warn(
            "validity",
            format!("{} ends in {days}, on {}", named(facts, at), date(end)),
            renewal(facts, files, at),
        ),
        _ => Diagnostic::ok("validity", format!("holds for {days}, until {}", date(end))),
    }
}

/// A certificate of the chain, in a sentence about it.
fn named(facts: &[Facts], at: usize) -> String {
    if at == 0 {
        "it".to_owned()
    } else {
        format!("{}, which is behind it,", facts[at].subject.1)
    }
}

/// What to do about one that has ended, or soon will.
fn renewal(facts: &[Facts], files: &CertificateFiles, at: usize) -> String {
    match at {
        0 if facts[0].is_self_signed() => format!("make another one and its key: {}", files.by_hand()),
        0 => "renew it, as with certbot renew or acme.sh --renew; the new files are taken as they come".to_owned(),
        _ => format!("have the certificate issued anew, and put its authority's new ones behind it in {}", files.cert.display()),
    }
}

/// Whether there is a way from the server's certificate to an authority.
fn of_issuers(facts: &[Facts], files: &CertificateFiles) -> Diagnostic {
    if facts[0].is_self_signed() {
        let advice = "get one from a public authority, as with certbot certonly; for a try, tell the client to trust it";
        return Diagnostic::warn(
            "issuer",
            "it is self-signed: phones and browsers refuse it",
            advice,
        );
    }
    let misplaced = facts
        .windows(2)
        .find(|pair| pair[0].issuer.0 != pair[1].subject.0 && !pair[0].is_self_signed());
    match misplaced {
        Some(pair) => of_misplaced(&pair[0], &pair[1], files),
        None => of_last(facts, files),
    }
}

fn of_misplaced(before: &Facts, behind: &Facts, files: &CertificateFiles) -> Diagnostic {
    let file = files.cert.display();
    Diagnostic::warn(
        "issuer",
        format!(
            "{} was signed by {}, and behind it stands {}: some clients find no way to an authority",
            before.subject.1, before.issuer.1, behind.subject.1
        ),
        format!(
            "put each certificate's authority right behind it in {file}; openssl storeutl -noout -text {file} shows them"
        ),
    )
}

/// Whether the last certificate of a chain leads to an authority that this machine knows.
fn of_last(facts: &[Facts], files: &CertificateFiles) -> Diagnostic {
    let last = &facts[facts.len() - 1];
    // The file of a complete chain does not decide whether anybody trusts its root.
    let is_complete = last.is_self_signed();
    let seen = if is_complete {
        format!("{} certificates, up to {}", facts.len(), last.subject.1)
    } else {
        format!("leads to {}", last.issuer.1)
    };
    // A machine without authorities cannot tell. But a server's certificate that stands alone and
    // names the address of its authority's certificate lacks that one.
    let cannot_tell = is_complete || facts.len() > 1 || last.issuer_at.is_none();
    match authorities() {
        Some(known) if known.contains(&last.issuer.0) => Diagnostic::ok("issuer", seen),
        None if cannot_tell => Diagnostic::note(
            "issuer",
            format!("{seen}; this machine has no authorities to compare with"),
            "",
        ),
        _ if is_complete => Diagnostic::warn(
            "issuer",
            format!(
                "{seen}, which is self-signed and not among this machine's authorities: phones and browsers trust their own list alone, and refuse it"
            ),
            "get one from a public authority, as with certbot certonly; an authority of your own must be installed on every client",
        ),
        _ => Diagnostic::warn(
            "issuer",
            format!(
                "{} was signed by {}, which is neither in the file nor among this machine's authorities: without that certificate phones refuse it",
                if facts.len() == 1 {
                    "it"
                } else {
                    &last.subject.1
                },
                last.issuer.1
            ),
            missing_issuer(last, files),
        ),
    }
}

/// The command that adds the certificate in between.
fn missing_issuer(last: &Facts, files: &CertificateFiles) -> String {
    let file = files.cert.display();
    let whole = files.cert.with_file_name("fullchain.pem");
    if whole != files.cert && whole.is_file() {
        return format!("write cert = {:?}", whole.display().to_string());
    }
    // What stands in a certificate is not for a shell to read, unless it looks like a URL.
    let harmless = |url: &&String| {
        url.starts_with("http")
            && url
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b":/._-~%".contains(&b))
    };
    match last.issuer_at.as_ref().filter(harmless) {
        Some(url) => format!("add it: curl -sS {url} | openssl x509 -inform DER >> {file}"),
        None => format!(
            "if a public authority is behind {0}, add the certificate of {0} at the end of {file}: cat INTERMEDIATE.pem >> {file}; else get one from a public \
             authority, as with certbot certonly: one of your own must be installed on every client",
            last.issuer.1
        ),
    }
}

/// The names of the authorities that this machine knows; `None`: it has none.
fn authorities() -> Option<Vec<Vec<u8>>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let names: Vec<_> = roots
        .subjects()
        .iter()
        .map(|name| name.as_ref().to_vec())
        .collect();
    (!names.is_empty()).then_some(names)
}

fn date(unix_seconds: u64) -> String {
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds));
    moment
        .map(|moment| {
            humantime::format_rfc3339_seconds(moment)
                .to_string()
                .replace('T', " ")
                .replace('Z', " UTC")
        })
        .unwrap_or_default()
}
