//! The API that a team's own servers call in an app's name: what differs between platforms.

/// How servers call a platform with an app's access token.
pub struct ServerApi {
    /// The parameter of the query that carries the access token.
    pub token_parameter: &'static str,
    /// The parameters that carry other credentials.
    pub other_credentials: &'static [&'static str],
    /// Where a server fetches an access token with a query, and with a JSON body.
    pub token_by_query: &'static str,
    pub token_by_body: &'static str,
    /// What both want as `grant_type`.
    pub grant_type: &'static str,
    /// Where it fetches a ticket; the gateway answers that itself.
    pub ticket: &'static str,
    /// How a page in the platform's browser is signed.
    pub page_signature: fn(&PageFacts<'_>) -> String,
    /// Paths that are never passed on, in lower case. A `*` at the end stands for any rest, and a
    /// `/*` for none too.
    pub withheld: &'static [&'static str],
    /// What the names of headers begin with that belong to calls, beside those of the content; in
    /// lower case.
    pub header_prefix: &'static str,
    /// The field of an answer that holds the number of an error, and the one that holds its text.
    pub error_fields: [&'static str; 2],
    /// The numbers by which the access token is refused.
    pub refused_token: &'static [i64],
    /// How the platform would say it: its number and the beginning of its text. None of them may be
    /// one that makes SDKs repeat the call by themselves without end.
    pub refusal: fn(ServerRefusal) -> (i64, &'static str),
}

/// Why the gateway refuses a server's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRefusal {
    NotAllowed,
    /// The app has not authorised the one that acts for it.
    NotAuthorized,
    WrongSecret,
    TokenExpired,
    TooOften,
}

/// What the signature of a page covers.
#[derive(Debug, Clone, Copy)]
pub struct PageFacts<'a> {
    pub ticket: &'a str,
    pub nonce: &'a str,
    /// In Unix seconds.
    pub timestamp: u64,
    /// Without its fragment.
    pub url: &'a str,
}
