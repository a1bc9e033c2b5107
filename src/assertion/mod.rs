//! What a backend is told of the user, and the header names that nobody else may use.

pub mod headers;

pub use headers::{HeaderNames, IdentityHeaders, ReservedNames};
