//! Slows down whoever guesses the admin token. Pure: the caller says what time it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limit::address::network;

/// Wrong tokens that an address may send before it has to wait: somebody mistypes, a script has the
/// old one.
const FREE: u32 = 5;
/// The first wait; each further wrong token doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// After this long without a wrong token an address starts anew.
const FORGIVEN: Duration = Duration::from_secs(600);
/// Addresses that are remembered; beyond them the one that has been quiet for longest is forgotten.
const ADDRESSES: usize = 1000;

/// Who has sent wrong tokens.
#[derive(Debug, Default)]
pub(super) struct Lockout(HashMap<IpAddr, Guesses>);

#[derive(Debug)]
struct Guesses {
    wrong: u32,
    last: Instant,
}

impl Lockout {
    /// How long this address has still to wait; `None`: its token may be looked at.
    pub(super) fn wait(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let guesses = self.0.get(&network(from))?;
        let left = guesses
            .wait()
            .saturating_sub(now.saturating_duration_since(guesses.last));
        (!left.is_zero()).then_some(left)
    }

    /// A wrong token came.
    pub(super) fn wrong(&mut self, from: IpAddr, now: Instant) {
        self.0
            .retain(|_, guesses| now.saturating_duration_since(guesses.last) < FORGIVEN);
        if self.0.len() >= ADDRESSES
            && let Some(quietest) = self
                .0
                .iter()
                .min_by_key(|(_, guesses)| guesses.last)
                .map(|(address, _)| *address)
        {
            self.0.remove(&quietest);
        }
        let guesses = self.0.entry(network(from)).or_insert(Guesses {
            wrong: 0,
            last: now,
        });
        guesses.wrong = guesses.wrong.saturating_add(1);
        guesses.last = now;
    }

    /// The right token came.
    pub(super) fn right(&mut self, from: IpAddr) {
        self.0.remove(&network(from));
    }
}

impl Guesses {
    fn wait(&self) -> Duration {
        match self.wrong.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(over) => FIRST
                .saturating_mul(2_u32.saturating_pow(over))
                .min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::clock::monotonic_now;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_wait_grows_and_ends() {
        let mut lockout = Lockout::default();
        let from = address("192.0.2.1");
        let mut now = monotonic_now();
        let mut waits = Vec::new();
        for _ in 0..14 {
            lockout.wrong(from, now);
            let wait = lockout.wait(from, now).unwrap_or_default();
            waits.push(wait.as_secs());
            assert_eq!(
                lockout.wait(address("192.0.2.2"), now),
                None,
                "a stranger is not held"
            );
            now += wait;
            assert_eq!(lockout.wait(from, now), None);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        lockout.wrong(from, now);
        lockout.right(from);
        assert_eq!(lockout.wait(from, now), None);
        for _ in 0..9 {
            lockout.wrong(from, now);
        }
        lockout.wrong(from, now + FORGIVEN);
        assert_eq!(
            lockout.wait(from, now + FORGIVEN),
            None,
            "forgiven, and one wrong token is free"
        );
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_the_table_is_bounded() {
        let mut lockout = Lockout::default();
        let now = monotonic_now();
        for n in 0..6_u16 {
            lockout.wrong(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, n).into(), now);
        }
        assert!(lockout.wait(address("2001:db8:0:1::ffff"), now).is_some());
        assert_eq!(lockout.wait(address("2001:db8:0:2::1"), now), None);
        for _ in 0..6 {
            lockout.wrong(address("::ffff:192.0.2.1"), now);
        }
        assert!(lockout.wait(address("192.0.2.1"), now).is_some());
        for n in 0..5000_u32 {
            lockout.wrong(IpAddr::V4(n.into()), now + Duration::from_millis(n.into()));
        }
        assert!(lockout.0.len() <= ADDRESSES);
    }
}
