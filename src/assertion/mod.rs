//! What a backend is told of the user, and the header names that nobody else may use; `believed`
//! has those that backends believe beside them. `issuer` signs the same for backends that do not
//! trust their network, and `cache` keeps what is signed.

pub mod believed;
pub mod cache;
pub mod claims;
pub mod headers;
pub mod issuer;
pub mod lines;
pub mod reserved;

pub use claims::ClaimHeader;
pub use headers::HeaderNames;
pub use issuer::{AssertionIssuer, AssertionSettings, WorkerAssertions};
pub use lines::{CallerLines, IdentityLines};
pub use reserved::ReservedNames;

#[cfg(test)]
pub(crate) mod sample;
