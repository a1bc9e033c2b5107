//! Changes that their caller cannot stop half-way.

use super::error::{ErrorCode, GatewayError};
use crate::detached::detached;

/// Does what a request asks for whether or not its client stays for the answer: what the store has
/// carried out is to be counted, logged, and known to the near caches.
pub async fn to_the_end<T: 'static>(
    work: impl Future<Output = Result<T, GatewayError>> + 'static,
) -> Result<T, GatewayError> {
    detached(work).await.unwrap_or_else(|| {
        Err(GatewayError::new(
            ErrorCode::Internal,
            "The operation was interrupted. Look up what has changed.",
        ))
    })
}
