//! Headers that servers and frameworks believe: they take the path, the script's place, the host,
//! the scheme or the user from them, or do something else that no client should choose.
//! docs/headers.md says who reads each, and what it does there.

use crate::assertion::headers::fold;

/// Whose word a header may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Nobody's: it goes on only where a route allows it by name.
    Nobody,
    /// A trusted proxy's.
    Proxies,
}

/// A name, or with a `*` at its end all names that begin so; of several that match the first one
/// counts. Their page is held to this list.
pub const BELIEVED: &[(&str, Speaker)] = &[
    // The path, and where the application stands in it.
    ("SCRIPT_NAME", Speaker::Nobody),
    ("PATH_INFO", Speaker::Nobody),
    ("REQUEST_URI", Speaker::Nobody),
    ("Daphne-Root-Path", Speaker::Nobody),
    ("X-Script-Name", Speaker::Nobody),
    ("X-Forwarded-Script-Name", Speaker::Nobody),
    ("X-Traversal-Path", Speaker::Nobody),
    ("X-Request-Base", Speaker::Nobody),
    ("X-Vhm-*", Speaker::Nobody),
    ("X-Original-URL", Speaker::Nobody),
    ("X-Rewrite-URL", Speaker::Nobody),
    ("X-Envoy-Original-*", Speaker::Nobody),
    ("X-ProxyContextPath", Speaker::Nobody),
    ("X-Replaced-Path", Speaker::Nobody),
    ("X-Ingress-Path", Speaker::Nobody),
    ("X-Waws-Unencoded-Url", Speaker::Nobody),
    ("X-MS-Original-URL", Speaker::Nobody),
    // What frameworks say to themselves.
    ("X-Middleware-*", Speaker::Nobody),
    ("X-Invoke-*", Speaker::Nobody),
    ("X-Matched-Path", Speaker::Nobody),
    ("X-Now-Route-Matches", Speaker::Nobody),
    ("X-React-Router-*", Speaker::Nobody),
    ("X-Astro-*", Speaker::Nobody),
    // The host.
    ("X-Host", Speaker::Nobody),
    ("X-HTTP-Host-Override", Speaker::Nobody),
    ("X-ProxyHost", Speaker::Nobody),
    ("X-ProxyPort", Speaker::Nobody),
    // The scheme, and what TLS has found out.
    ("Front-End-Https", Speaker::Nobody),
    ("From-Https", Speaker::Nobody),
    ("HTTPS", Speaker::Nobody),
    ("X-HTTPS", Speaker::Nobody),
    ("X-Scheme", Speaker::Nobody),
    ("X-Url-Scheme", Speaker::Nobody),
    ("X-ProxyScheme", Speaker::Nobody),
    ("X-Proxied-Https", Speaker::Nobody),
    ("WL-Proxy-SSL", Speaker::Nobody),
    ("X-ARR-SSL", Speaker::Nobody),
    ("ssl_client_*", Speaker::Nobody),
    ("ssl_cipher*", Speaker::Nobody),
    ("ssl_session_id", Speaker::Nobody),
    ("X-SSL-*", Speaker::Nobody),
    ("Proxy-Ssl-Id", Speaker::Nobody),
    // The user, by name or by certificate.
    ("REMOTE_USER", Speaker::Nobody),
    ("AUTH_TYPE", Speaker::Nobody),
    ("AUTH_USER", Speaker::Nobody),
    ("LOGON_USER", Speaker::Nobody),
    ("Remote-Name", Speaker::Nobody),
    ("Remote-Email", Speaker::Nobody),
    ("Remote-Groups", Speaker::Nobody),
    ("X-Remote-*", Speaker::Nobody),
    ("X-Authenticated-*", Speaker::Nobody),
    ("X-Auth-Request-*", Speaker::Nobody),
    ("X-WebAuth-*", Speaker::Nobody),
    ("X-Forwarded-User", Speaker::Nobody),
    ("X-Forwarded-Email", Speaker::Nobody),
    ("X-Forwarded-Groups", Speaker::Nobody),
    ("X-Forwarded-Preferred-Username", Speaker::Nobody),
    ("X-Forwarded-Access-Token", Speaker::Nobody),
    ("X-Forwarded-Client-Cert", Speaker::Nobody),
    ("X-Forwarded-Tls-Client-*", Speaker::Nobody),
    ("X-ProxiedEntitiesChain", Speaker::Nobody),
    ("X-Proxy-User", Speaker::Nobody),
    ("X-Proxy-Roles", Speaker::Nobody),
    ("X-authentik-*", Speaker::Nobody),
    ("X-MS-CLIENT-PRINCIPAL*", Speaker::Nobody),
    ("X-MS-TOKEN-*", Speaker::Nobody),
    ("X-Amzn-Oidc-*", Speaker::Nobody),
    ("X-Goog-Authenticated-User-*", Speaker::Nobody),
    ("Cf-Access-Authenticated-User-Email", Speaker::Nobody),
    ("Tailscale-User-*", Speaker::Nobody),
    ("SM_USER*", Speaker::Nobody),
    ("OAM_REMOTE_USER*", Speaker::Nobody),
    ("iv-user", Speaker::Nobody),
    ("iv-groups", Speaker::Nobody),
    ("iv-creds", Speaker::Nobody),
    ("Client-Cert", Speaker::Nobody),
    ("Client-Cert-Chain", Speaker::Nobody),
    ("X-Client-Cert", Speaker::Nobody),
    ("X-Client-DN", Speaker::Nobody),
    ("X-Client-Verify", Speaker::Nobody),
    ("X-ARR-ClientCert", Speaker::Nobody),
    ("MS-ASPNETCORE-*", Speaker::Nobody),
    ("Proxy-Auth-Cert", Speaker::Nobody),
    ("WL-Proxy-Client-Cert", Speaker::Nobody),
    ("WL-Proxy-Client-Keysize", Speaker::Nobody),
    ("Proxy-Keysize", Speaker::Nobody),
    ("$WS*", Speaker::Nobody),
    ("X-Consumer-Username", Speaker::Nobody),
    ("X-Consumer-Custom-ID", Speaker::Nobody),
    ("X-Consumer-Id", Speaker::Nobody),
    ("X-Consumer-Groups", Speaker::Nobody),
    ("X-Auth-CouchDB-*", Speaker::Nobody),
    ("X-Auth-Username", Speaker::Nobody),
    ("X-Auth-Userid", Speaker::Nobody),
    ("X-Auth-Roles", Speaker::Nobody),
    ("X-Userinfo", Speaker::Nobody),
    ("X-Endpoint-API-UserInfo", Speaker::Nobody),
    ("X-Apigateway-Api-Userinfo", Speaker::Nobody),
    ("X-Appengine-*", Speaker::Nobody),
    ("X-Amzn-Request-Context", Speaker::Nobody),
    ("X-Amzn-Mtls-*", Speaker::Nobody),
    ("X-Vouch-*", Speaker::Nobody),
    ("X-Pomerium-*", Speaker::Nobody),
    ("X-Scope-OrgID", Speaker::Nobody),
    ("OIDC_CLAIM_*", Speaker::Nobody),
    ("MELLON_*", Speaker::Nobody),
    ("CAS-User", Speaker::Nobody),
    ("SM_UNIVERSALID", Speaker::Nobody),
    ("SM_AUTHTYPE", Speaker::Nobody),
    ("X-CloudBase-*", Speaker::Nobody),
    ("X-Apigateway-Event", Speaker::Nobody),
    ("X-Apigateway-Context", Speaker::Nobody),
    ("X-Auth-Subject", Speaker::Nobody),
    ("X-Auth-Email", Speaker::Nobody),
    ("X-RStudio-*", Speaker::Nobody),
    ("From-Source", Speaker::Nobody),
    ("Impersonate-User", Speaker::Nobody),
    ("Impersonate-Group", Speaker::Nobody),
    ("Impersonate-Uid", Speaker::Nobody),
    ("Impersonate-Extra-*", Speaker::Nobody),
    // What else servers do because of a header.
    ("Proxy", Speaker::Nobody),
    ("X-Sendfile-Type", Speaker::Nobody),
    ("X-Accel-*", Speaker::Nobody),
    // Where a request came from, as proxies say it.
    ("X-Forwarded*", Speaker::Proxies),
    ("Forwarded", Speaker::Proxies),
    ("Forwarded-For", Speaker::Proxies),
    ("X-Original-*", Speaker::Proxies),
    ("X-Client-IP", Speaker::Proxies),
    ("X-Cluster-Client-IP", Speaker::Proxies),
    ("CF-Connecting-IP", Speaker::Proxies),
    ("True-Client-IP", Speaker::Proxies),
    ("Client-IP", Speaker::Proxies),
    ("Proxy-Client-IP", Speaker::Proxies),
    ("WL-Proxy-Client-IP", Speaker::Proxies),
    ("Fastly-Client-IP", Speaker::Proxies),
    ("X-Azure-ClientIP", Speaker::Proxies),
    ("X-Envoy-External-Address", Speaker::Proxies),
    ("CloudFront-Forwarded-Proto", Speaker::Proxies),
    ("Forwarded-Proto", Speaker::Proxies),
    ("HTTP_X_FORWARDED*", Speaker::Proxies),
    ("HTTP_CLIENT_IP", Speaker::Proxies),
    ("CF-Visitor", Speaker::Proxies),
    ("Fly-Client-IP", Speaker::Proxies),
    ("Ali-Cdn-Real-Ip", Speaker::Proxies),
    ("Cdn-Src-Ip", Speaker::Proxies),
    ("Proxy-Ip", Speaker::Proxies),
];

/// Those from which servers take the path, or the application's place in it.
const OF_PATH: [&str; 21] = [
    "SCRIPT_NAME",
    "PATH_INFO",
    "REQUEST_URI",
    "Daphne-Root-Path",
    "X-Script-Name",
    "X-Forwarded-Script-Name",
    "X-Traversal-Path",
    "X-Request-Base",
    "X-Vhm-*",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Envoy-Original-*",
    "X-ProxyContextPath",
    "X-Replaced-Path",
    "X-Ingress-Path",
    "X-Waws-Unencoded-Url",
    "X-MS-Original-URL",
    "X-Middleware-*",
    "X-Invoke-*",
    "X-Matched-Path",
    "X-Forwarded-Prefix",
];

/// For every key the lengths of the names that have it: nearly all headers of a request are told
/// apart without looking at a name.
static LENGTHS: [u64; 256] = lengths();

/// Whose word a header of this name may be, in whatever spelling; `None`: anybody's.
#[must_use]
pub fn speaker(name: &[u8]) -> Option<Speaker> {
    if name.is_empty() || LENGTHS[key(name) as usize] & bit(name.len()) == 0 {
        return None;
    }
    BELIEVED
        .iter()
        .find(|(pattern, _)| matches(pattern, name))
        .map(|(_, speaker)| *speaker)
}

/// Whether a header of this name is a proxy's to say, whoever else may not.
#[must_use]
pub fn is_of_proxies(name: &[u8]) -> bool {
    BELIEVED
        .iter()
        .any(|(pattern, speaker)| *speaker == Speaker::Proxies && matches(pattern, name))
}

/// Whether a header of this name moves the path of a request at servers that believe it.
#[must_use]
pub fn moves_path(name: &[u8]) -> bool {
    OF_PATH.iter().any(|pattern| matches(pattern, name))
}

fn matches(pattern: &str, name: &[u8]) -> bool {
    let (pattern, exact) = (stem(pattern.as_bytes()), !pattern.ends_with('*'));
    (name.len() == pattern.len() || !exact && name.len() > pattern.len())
        && pattern.iter().zip(name).all(|(a, b)| fold(*a) == fold(*b))
}

const fn stem(pattern: &[u8]) -> &[u8] {
    match pattern {
        [stem @ .., b'*'] => stem,
        _ => pattern,
    }
}

/// The letter that tells most: the first, and behind `X-` the third.
const fn key(name: &[u8]) -> u8 {
    match name {
        [_, dash, third, ..] if fold(*dash) == b'-' => fold(*third) | 0x80,
        [first, ..] => fold(*first),
        [] => 0,
    }
}

/// The longest ones share one.
const fn bit(len: usize) -> u64 {
    1 << if len < 63 { len } else { 63 }
}

const fn lengths() -> [u64; 256] {
    let (mut all, mut at) = ([0; 256], 0);
    while at < BELIEVED.len() {
        let pattern = BELIEVED[at].0.as_bytes();
        let stem = stem(pattern);
        let this = bit(stem.len());
        // Of a beginning the longer ones too.
        all[key(stem) as usize] |= if stem.len() < pattern.len() {
            !(this - 1)
        } else {
            this
        };
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_moves_the_path_is_believed() {
        for pattern in OF_PATH {
            let name = pattern.replace('*', "x");
            assert!(speaker(name.as_bytes()).is_some() && moves_path(name.as_bytes()));
        }
        assert!(moves_path(b"x_script-name") && !moves_path(b"X-Forwarded-User"));
    }

    #[test]
    fn every_spelling_of_every_name_is_found() {
        for (pattern, expected) in BELIEVED {
            let stem = pattern.trim_end_matches('*');
            let longer = format!("{stem}more");
            let names = if stem == *pattern {
                vec![stem]
            } else {
                vec![stem, &longer]
            };
            for name in names {
                let folded: String = name
                    .chars()
                    .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                    .collect();
                for other in ["-", "_", ".", "~"] {
                    for spelled in [
                        folded.replace('-', other),
                        folded.replace('-', other).to_uppercase(),
                        folded.replace('-', other).to_lowercase(),
                    ] {
                        assert_eq!(speaker(spelled.as_bytes()), Some(*expected), "{spelled}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_clients_send_is_theirs() {
        for name in [
            "",
            "x",
            "x-",
            "host",
            "accept",
            "content-type",
            "cookie",
            "user-agent",
            "authorization",
            "origin",
            "referer",
            "x-requested-with",
            "x-http-method-override",
            "x-user-id",
            "x-nextjs-data",
            "x-csrf-token",
            "proxy2",
            "httpsx",
            "script-names",
            "sec-fetch-mode",
            "sentry-trace",
            "if-none-match",
            "range",
            "ssl-clien",
        ] {
            assert_eq!(speaker(name.as_bytes()), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_filter_leaves_nothing_out(name in "[xX][-_.][a-z$_-]{0,30}|[$a-zA-Z_-]{0,40}", at in 0..BELIEVED.len(), cut in 0..40_usize) {
            let pattern = BELIEVED[at].0;
            let near = format!("{}{name}", &pattern[..cut.min(pattern.len())]);
            for name in [name.as_str(), &near] {
                let found = BELIEVED.iter().find(|(pattern, _)| matches(pattern, name.as_bytes())).map(|(_, speaker)| *speaker);
                prop_assert_eq!(speaker(name.as_bytes()), found, "{}", name);
            }
        }
    }
}
