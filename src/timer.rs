//! A timer for deadlines that move often, such as a connection's. It is set again only when it has
//! rung too early.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use crate::clock::monotonic_now;

/// A timer that is made when it is first needed.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when the moment has come. Until then the task is woken at it or earlier.
    pub fn poll(&mut self, moment: Instant, cx: &mut Context<'_>) -> Poll<()> {
        // Polled every time: a poll that the runtime cuts short, because the task has had its
        // share, leaves no waker behind.
        if let Some(sleep) = &mut self.0
            && !sleep.is_elapsed()
            && sleep.deadline().into_std() <= moment
            && sleep.as_mut().poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        if monotonic_now() >= moment {
            return Poll::Ready(());
        }
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(moment.into())));
        sleep.as_mut().reset(moment.into());
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::task::coop::{consume_budget, has_budget_remaining};

    use super::*;

    /// No timer can be set in a task that has had its share. In the task's next turn it must not be
    /// taken for set.
    #[tokio::test]
    async fn a_timer_that_could_not_be_set_rings_all_the_same() {
        // A task of its own: nothing else wakes it.
        let task = tokio::spawn(async {
            let mut timer = Timer::default();
            let moment = monotonic_now() + Duration::from_millis(50);
            while has_budget_remaining() {
                consume_budget().await;
            }
            poll_fn(|cx| timer.poll(moment, cx)).await;
            monotonic_now() >= moment
        });
        let rang = tokio::time::timeout(Duration::from_secs(60), task)
            .await
            .expect("nobody wakes the task");
        assert!(rang.unwrap(), "it rang too early");
    }
}
