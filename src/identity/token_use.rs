//! Whether a platform took the token that a call carried.

/// What came of a call that carried a token.
#[derive(Debug)]
pub enum TokenUse<T> {
    /// The platform took the token; what it made of the call is the caller's business.
    Taken(T),
    /// The platform refused the token and did nothing; why, for the log.
    Refused(String),
}
