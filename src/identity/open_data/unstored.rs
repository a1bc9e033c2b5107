//! Answers to phone codes that the store could not take. They are paid for, so the process that has
//! one keeps it for those who come again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::clock::{UnixMillis, monotonic_now};
use crate::identity::login_codes::{LoginCodes, Reservation};
use crate::session::store::LoginKey;
use crate::session::{StoreError, Written};

/// So many are kept; those of a store that is down for long are lost.
const MOST: usize = 1024;

/// The answers of one process, sealed as the store would have them.
#[derive(Default)]
pub struct UnstoredAnswers(Mutex<HashMap<LoginKey, (Vec<u8>, Instant)>>);

impl UnstoredAnswers {
    fn keep(&self, code: LoginKey, answer: Vec<u8>, life: Duration) {
        let now = monotonic_now();
        let mut answers = self.0.lock();
        if answers.len() >= MOST {
            answers.retain(|_, (_, end)| now < *end);
        }
        if answers.len() < MOST {
            answers.insert(code, (answer, now + life));
        }
    }

    /// Whether it was there.
    fn replace(&self, code: &LoginKey, answer: &[u8], by: &[u8]) -> bool {
        match self.0.lock().get_mut(code) {
            Some((held, _)) if held == answer => {
                *held = by.to_vec();
                true
            }
            _ => false,
        }
    }

    fn find(&self, code: &LoginKey) -> Option<Vec<u8>> {
        let answers = self.0.lock();
        let (answer, end) = answers.get(code)?;
        (monotonic_now() < *end).then(|| answer.clone())
    }
}

/// The store's codes, and the answers that it could not take.
pub(super) struct PaidCodes<'a> {
    pub(super) store: &'a dyn LoginCodes,
    pub(super) unstored: &'a UnstoredAnswers,
}

#[async_trait]
impl LoginCodes for PaidCodes<'_> {
    async fn reserve(&self, code: &LoginKey, lease: Duration) -> Result<Reservation, StoreError> {
        match self.unstored.find(code) {
            // Nobody counts from its time: this process has sealed it, so it opens.
            Some(answer) => Ok(Reservation::Settled {
                now: UnixMillis(0),
                answer,
            }),
            None => self.store.reserve(code, lease).await,
        }
    }

    async fn settle(
        &self,
        code: &LoginKey,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
    ) -> Result<Written, StoreError> {
        let settled = self.store.settle(code, ticket, answer).await;
        // A replica that has taken over may know nothing of the reservation.
        let is_stored = matches!(settled, Ok(Written::Done));
        if let (false, Some((answer, life))) = (is_stored, answer) {
            self.unstored.keep(*code, answer.to_vec(), life);
        }
        settled
    }

    async fn replace_answer(
        &self,
        code: &LoginKey,
        answer: &[u8],
        by: &[u8],
    ) -> Result<Written, StoreError> {
        if self.unstored.replace(code, answer, by) {
            return Ok(Written::Done);
        }
        self.store.replace_answer(code, answer, by).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that has lost every reservation.
    struct Forgetful;

    #[async_trait]
    impl LoginCodes for Forgetful {
        async fn reserve(&self, _: &LoginKey, _: Duration) -> Result<Reservation, StoreError> {
            Ok(Reservation::Leader {
                now: UnixMillis(1),
                ticket: [1; 16],
            })
        }

        async fn settle(
            &self,
            _: &LoginKey,
            _: &[u8; 16],
            _: Option<(&[u8], Duration)>,
        ) -> Result<Written, StoreError> {
            Ok(Written::Stale)
        }

        async fn replace_answer(
            &self,
            _: &LoginKey,
            _: &[u8],
            _: &[u8],
        ) -> Result<Written, StoreError> {
            Ok(Written::Stale)
        }
    }

    #[tokio::test]
    async fn an_answer_whose_reservation_is_lost_is_kept_all_the_same() {
        let unstored = UnstoredAnswers::default();
        let codes = PaidCodes {
            store: &Forgetful,
            unstored: &unstored,
        };
        let code = LoginKey::default();
        let life = Duration::from_secs(300);
        // A code that is as good as before leaves nothing.
        let _ = codes.settle(&code, &[1; 16], None).await.unwrap();
        let again = codes.reserve(&code, life).await.unwrap();
        assert!(matches!(again, Reservation::Leader { .. }));
        let paid = Some((&b"number"[..], life));
        let _ = codes.settle(&code, &[1; 16], paid).await.unwrap();
        match codes.reserve(&code, life).await.unwrap() {
            Reservation::Settled { answer, .. } => assert_eq!(answer, b"number"),
            other => panic!("{other:?}"),
        }
        let replaced = codes.replace_answer(&code, b"another", b"other").await;
        assert_eq!(replaced.unwrap(), Written::Stale);
        let replaced = codes.replace_answer(&code, b"number", b"kept").await;
        assert_eq!(replaced.unwrap(), Written::Done);
        match codes.reserve(&code, life).await.unwrap() {
            Reservation::Settled { answer, .. } => assert_eq!(answer, b"kept"),
            other => panic!("{other:?}"),
        }
    }
}
