//! Headers that servers and frameworks believe: they take the path, the script's place, the host,
//! the scheme or the user from them, or do something else that no client should choose.
//! docs/headers.md says who reads each, and what it does there.

use crate::assertion::reserved::fold;

/// Whose word a header may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Nobody may set it: it is forwarded only on a route that allows it by name.
    Nobody,
    /// A trusted proxy's.
    Proxies,
}

impl Speaker {
    /// The names of its headers; one with a `*` at its end is all names that begin so. Their page
    /// is held to these lists.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let lists = match self {
            Self::Nobody => [OF_PATH, OF_USER, NOBODYS],
            Self::Proxies => [PROXIES, &[], &[]],
        };
        lists.into_iter().flatten().copied()
    }

    /// Whether a header of this name is its to say, whoever else may not.
    pub fn says(self, name: &[u8]) -> bool {
        self.names().any(|pattern| matches(pattern, name))
    }
}

/// Those of nobody's from which servers take the path, or the application's place in it.
const OF_PATH: &[&str] = &[
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
];

/// Those from which servers take the user, by name or by certificate.
const OF_USER: &[&str] = &[
    "REMOTE_USER",
    "AUTH_TYPE",
    "AUTH_USER",
    "LOGON_USER",
    "Remote-Name",
    "Remote-Email",
    "Remote-Groups",
    "X-Remote-*",
    "X-Authenticated-*",
    "X-Auth-Request-*",
    "X-WebAuth-*",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-*",
    "X-ProxiedEntitiesChain",
    "X-Proxy-User",
    "X-Proxy-Roles",
    "X-authentik-*",
    "X-MS-CLIENT-PRINCIPAL*",
    "X-MS-TOKEN-*",
    "X-Amzn-Oidc-*",
    "X-Goog-Authenticated-User-*",
    "Cf-Access-Authenticated-User-Email",
    "Tailscale-User-*",
    "SM_USER*",
    "OAM_REMOTE_USER*",
    "iv-user",
    "iv-groups",
    "iv-creds",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Client-Cert",
    "X-Client-DN",
    "X-Client-Verify",
    "X-ARR-ClientCert",
    "MS-ASPNETCORE-*",
    "Proxy-Auth-Cert",
    "WL-Proxy-Client-Cert",
    "WL-Proxy-Client-Keysize",
    "Proxy-Keysize",
    "$WS*",
    "X-Consumer-Username",
    "X-Consumer-Custom-ID",
    "X-Consumer-Id",
    "X-Consumer-Groups",
    "X-Auth-CouchDB-*",
    "X-Auth-Username",
    "X-Auth-Userid",
    "X-Auth-Roles",
    "X-Userinfo",
    "X-Endpoint-API-UserInfo",
    "X-Apigateway-Api-Userinfo",
    "X-Appengine-*",
    "X-Amzn-Request-Context",
    "X-Amzn-Mtls-*",
    "X-Vouch-*",
    "X-Pomerium-*",
    "X-Scope-OrgID",
    "OIDC_CLAIM_*",
    "MELLON_*",
    "CAS-User",
    "SM_UNIVERSALID",
    "SM_AUTHTYPE",
    "X-CloudBase-*",
    "X-Apigateway-Event",
    "X-Apigateway-Context",
    "X-Auth-Subject",
    "X-Auth-Email",
    "X-RStudio-*",
    "From-Source",
    "Impersonate-User",
    "Impersonate-Group",
    "Impersonate-Uid",
    "Impersonate-Extra-*",
];

/// The others.
const NOBODYS: &[&str] = &[
    // What frameworks say to themselves.
    "X-Now-Route-Matches",
    "X-React-Router-*",
    "X-Astro-*",
    // The host.
    "X-Host",
    "X-HTTP-Host-Override",
    "X-ProxyHost",
    "X-ProxyPort",
    // The scheme, and what TLS has found out.
    "Front-End-Https",
    "From-Https",
    "HTTPS",
    "X-HTTPS",
    "X-Scheme",
    "X-Url-Scheme",
    "X-ProxyScheme",
    "X-Proxied-Https",
    "WL-Proxy-SSL",
    "X-ARR-SSL",
    "ssl_client_*",
    "ssl_cipher*",
    "ssl_session_id",
    "X-SSL-*",
    "Proxy-Ssl-Id",
    // What else servers do because of a header.
    "Proxy",
    "X-Sendfile-Type",
    "X-Accel-*",
];

/// Where a request came from. A name that is in the other list too is nobody's.
const PROXIES: &[&str] = &[
    "X-Forwarded*",
    "Forwarded",
    "Forwarded-For",
    "X-Original-*",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "CF-Connecting-IP",
    "True-Client-IP",
    "Client-IP",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "Fastly-Client-IP",
    "X-Azure-ClientIP",
    "X-Envoy-External-Address",
    "CloudFront-Forwarded-Proto",
    "Forwarded-Proto",
    "HTTP_X_FORWARDED*",
    "HTTP_CLIENT_IP",
    "CF-Visitor",
    "Fly-Client-IP",
    "Ali-Cdn-Real-Ip",
    "Cdn-Src-Ip",
    "Proxy-Ip",
];

/// For every key the lengths of the names that have it: nearly all headers of a request are told
/// apart without looking at a name.
static LENGTHS: [u64; 256] = lengths();

/// Whose word a header of this name may be, in whatever spelling; `None`: anybody's.
pub fn speaker(name: &[u8]) -> Option<Speaker> {
    if name.is_empty() || LENGTHS[key(name) as usize] & bit(name.len()) == 0 {
        return None;
    }
    [Speaker::Nobody, Speaker::Proxies]
        .into_iter()
        .find(|speaker| speaker.says(name))
}

/// Whether a header of this name moves the path of a request at servers that believe it.
pub fn moves_path(name: &[u8]) -> bool {
    let mut moves = OF_PATH.iter().chain(&["X-Forwarded-Prefix"]);
    moves.any(|pattern| matches(pattern, name))
}

/// Whether servers believe this header, and take something other than the user from it.
pub fn is_believed_of_request(name: &[u8]) -> bool {
    let names_user = OF_USER.iter().any(|pattern| matches(pattern, name));
    match speaker(name) {
        Some(Speaker::Nobody) => !names_user,
        Some(Speaker::Proxies) => true,
        None => false,
    }
}

fn matches(pattern: &str, name: &[u8]) -> bool {
    let is_beginning = pattern.ends_with('*');
    let pattern = stem(pattern.as_bytes());
    (name.len() == pattern.len() || is_beginning && name.len() > pattern.len())
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
    let mut all = [0; 256];
    add_lengths(OF_PATH, &mut all);
    add_lengths(OF_USER, &mut all);
    add_lengths(NOBODYS, &mut all);
    add_lengths(PROXIES, &mut all);
    all
}

const fn add_lengths(patterns: &[&str], all: &mut [u64; 256]) {
    let mut at = 0;
    while at < patterns.len() {
        let pattern = patterns[at].as_bytes();
        let stem = stem(pattern);
        let this = bit(stem.len());
        // A pattern that is a beginning matches longer names too.
        all[key(stem) as usize] |= if stem.len() < pattern.len() {
            !(this - 1)
        } else {
            this
        };
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_moves_the_path_is_believed() {
        for pattern in OF_PATH.iter().chain(&["X-Forwarded-Prefix"]) {
            let name = pattern.replace('*', "x");
            assert!(speaker(name.as_bytes()).is_some() && moves_path(name.as_bytes()));
        }
        assert!(moves_path(b"x_script-name") && !moves_path(b"X-Forwarded-User"));
    }

    #[test]
    fn a_name_of_the_user_says_nothing_else() {
        for name in ["Remote-User", "X-Consumer-Id", "X-Auth-Roles"] {
            assert!(!is_believed_of_request(name.as_bytes()), "{name}");
            assert!(speaker(name.as_bytes()).is_some(), "{name}");
        }
        for name in ["Script-Name", "Proxy", "X-Host", "X-Client-IP", "HTTPS"] {
            assert!(is_believed_of_request(name.as_bytes()), "{name}");
        }
        assert!(!is_believed_of_request(b"X-User-Role"));
    }

    #[test]
    fn every_spelling_of_every_name_is_found() {
        let names = |speaker: Speaker| speaker.names().map(move |name| (name, speaker));
        for (pattern, expected) in names(Speaker::Nobody).chain(names(Speaker::Proxies)) {
            let stem = pattern.trim_end_matches('*');
            let longer = format!("{stem}more");
            let names = if stem == pattern {
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
                        assert_eq!(speaker(spelled.as_bytes()), Some(expected), "{spelled}");
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
        fn the_filter_leaves_nothing_out(name in "[xX][-_.][a-z$_-]{0,30}|[$a-zA-Z_-]{0,40}", at in 0..OF_PATH.len() + OF_USER.len() + NOBODYS.len() + PROXIES.len(), cut in 0..40_usize) {
            let pattern = OF_PATH.iter().chain(OF_USER).chain(NOBODYS).chain(PROXIES).nth(at).unwrap();
            let near = format!("{}{name}", &pattern[..cut.min(pattern.len())]);
            for name in [name.as_str(), &near] {
                let found = [Speaker::Nobody, Speaker::Proxies].into_iter().find(|speaker| speaker.says(name.as_bytes()));
                prop_assert_eq!(speaker(name.as_bytes()), found, "{}", name);
            }
        }
    }
}
