//! Reservations of login codes.

use std::time::Duration;

use async_trait::async_trait;

use super::held::Value;
use super::store::MemorySessionStore;
use crate::crypto::random;
use crate::identity::{LoginCodes, Reservation};
use crate::session::store::LoginKey;
use crate::session::{StoreError, Written};

impl MemorySessionStore {
    fn reserve_now(&self, login: &LoginKey, lease: Duration) -> Reservation {
        let (mut held, now) = self.at_now();
        let key = self.keys.login(login);
        match held.entries.get(&key).map(|entry| &entry.value) {
            Some(Value::Pending(_)) => Reservation::Pending { now },
            Some(Value::Settled(answer)) => Reservation::Settled {
                now,
                answer: answer.clone(),
            },
            _ => {
                let ticket = random::bytes();
                held.put(key, now.plus(lease), Value::Pending(ticket));
                Reservation::Leader { now, ticket }
            }
        }
    }
}

#[async_trait]
impl LoginCodes for MemorySessionStore {
    async fn reserve(&self, login: &LoginKey, lease: Duration) -> Result<Reservation, StoreError> {
        self.meter
            .watch("reserve", async { Ok(self.reserve_now(login, lease)) })
            .await
    }

    async fn settle(
        &self,
        login: &LoginKey,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
    ) -> Result<Written, StoreError> {
        let settle = || {
            let (mut held, now) = self.at_now();
            held.settle(&self.keys.login(login), ticket, answer, now)
        };
        self.meter.watch("settle", async { Ok(settle()) }).await
    }
}
