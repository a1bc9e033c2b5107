//! One timer for each connection. Deadlines move with every request; the timer is set again only when it has rung too early.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use crate::clock::monotonic_now;

/// A timer that is made when it is first needed.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether the moment has come. If not, the task is woken at it or earlier.
    pub fn has_come(&mut self, moment: Instant, cx: &mut Context<'_>) -> bool {
        // Polled every time: a poll that the runtime cuts short, because the task has had its share, leaves no waker behind.
        if let Some(sleep) = &mut self.0
            && !sleep.is_elapsed()
            && sleep.deadline().into_std() <= moment
            && sleep.as_mut().poll(cx).is_pending()
        {
            return false;
        }
        if monotonic_now() >= moment {
            return true;
        }
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(moment.into())));
        sleep.as_mut().reset(moment.into());
        sleep.as_mut().poll(cx).is_ready()
    }
}
