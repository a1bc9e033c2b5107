//! Work that its caller cannot stop half-way.

use tokio::task::spawn_local;

/// Does work in a task of its own: it comes to its end also when the caller leaves, such as a
/// request whose client hangs up. `None`: it broke off, which is logged.
pub async fn detached<T: 'static>(work: impl Future<Output = T> + 'static) -> Option<T> {
    let done = spawn_local(work).await;
    done.inspect_err(|lost| log::error!("a request's work was interrupted: {lost}"))
        .ok()
}
