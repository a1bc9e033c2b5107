//! Changes that their caller cannot stop half-way.

use tokio::task::spawn_local;

use crate::http::{ErrorCode, GatewayError};
use crate::session::StoreError;

/// Does what an operator asked for whether or not the operator stays for the answer: what the store
/// has carried out is to be counted, logged, and known to the near caches.
pub(super) async fn to_the_end<T: 'static>(
    work: impl Future<Output = Result<T, GatewayError>> + 'static,
) -> Result<T, GatewayError> {
    spawn_local(work).await.unwrap_or_else(|lost| {
        log::error!("admin API: an operation was interrupted: {lost}");
        Err(GatewayError::new(
            ErrorCode::Internal,
            "The operation was interrupted. Look up what has changed.",
        ))
    })
}

/// What an audit line says of a change that got this error. A store that is silent may have carried
/// it out.
pub(super) const fn outcome_of(error: &StoreError) -> &'static str {
    if error.answered { "failed" } else { "unknown" }
}
