//! Reservations of login codes.

use std::time::Duration;

use async_trait::async_trait;

use super::entries::StoredValue;
use super::store::MemoryStore;
use crate::crypto::random;
use crate::identity::{LoginCodes, Reservation};
use crate::session::store::LoginKey;
use crate::session::{StoreError, Written};

#[async_trait]
impl LoginCodes for MemoryStore {
    async fn reserve(&self, login: &LoginKey, lease: Duration) -> Result<Reservation, StoreError> {
        self.run("reserve", |entries, now| {
            let key = self.keys.login(login);
            Ok(match entries.value(&key) {
                Some(StoredValue::Pending(_)) => Reservation::Pending {
                    now,
                    left: entries.left(&key, now),
                },
                Some(StoredValue::Settled(answer)) => Reservation::Settled {
                    now,
                    answer: answer.clone(),
                },
                _ => {
                    let ticket = random::bytes();
                    entries.put(key, now.plus(lease), StoredValue::Pending(ticket));
                    Reservation::Leader { now, ticket }
                }
            })
        })
    }

    async fn settle(
        &self,
        login: &LoginKey,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
    ) -> Result<Written, StoreError> {
        self.run("settle", |entries, now| {
            Ok(entries.settle(&self.keys.login(login), ticket, answer, now))
        })
    }

    async fn replace_answer(
        &self,
        login: &LoginKey,
        answer: &[u8],
        by: &[u8],
    ) -> Result<Written, StoreError> {
        self.run("replace_answer", |entries, now| {
            let key = self.keys.login(login);
            match entries.value(&key) {
                Some(StoredValue::Settled(held)) if held == answer => {}
                _ => return Ok(Written::Stale),
            }
            let end = now.plus(entries.left(&key, now));
            entries.put(key, end, StoredValue::Settled(by.to_vec()));
            Ok(Written::Done)
        })
    }
}
