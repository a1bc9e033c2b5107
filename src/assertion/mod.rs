//! What a backend is told of the user, and the header names that nobody else may use; `believed`
//! has those that backends believe beside them.

pub mod believed;
pub mod claims;
pub mod headers;
pub mod lines;

pub use claims::ClaimHeader;
pub use headers::{HeaderNames, ReservedNames};
pub use lines::IdentityLines;
