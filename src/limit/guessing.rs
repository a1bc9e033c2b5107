//! Addresses that send many tokens which nobody issued.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock::monotonic_now;
use crate::limit::address::network;
use crate::limit::recent::Recent;
use crate::metrics::Metrics;

/// Invalid tokens that an address may send within [`SPAN`] before it counts as guessing: many
/// phones share an address, and each of them may hold a token of a key that is gone.
const FREE: u32 = 30;
const SPAN: Duration = Duration::from_secs(60);
/// The log names an address that goes on again after this long.
const AGAIN: Duration = Duration::from_secs(600);
/// And of all addresses together one in this time.
const BETWEEN: Duration = Duration::from_secs(1);
/// Addresses remembered at the least; at most twice as many. Those that go on sending stay.
const ADDRESSES: usize = 10_000;

/// What is known of an address.
#[derive(Debug, Clone, Copy)]
struct Sender {
    since: Instant,
    sent: u32,
    logged_at: Option<Instant>,
}

/// What an invalid token means.
#[derive(Debug, PartialEq, Eq)]
enum Sighting {
    /// Somebody has an old token, or mistyped.
    Stray,
    /// The address has sent many.
    Guessing,
    /// The same, and it is time to say so; with the number of addresses that were passed over since
    /// the last time.
    Log { passed_over: u64 },
}

/// Who has sent invalid tokens lately. Pure: the caller says what time it is.
#[derive(Debug)]
struct Senders {
    by_address: Recent<IpAddr, Sender>,
    logged_at: Option<Instant>,
    passed_over: u64,
}

impl Senders {
    fn new(addresses: usize) -> Self {
        Self {
            by_address: Recent::new(addresses),
            logged_at: None,
            passed_over: 0,
        }
    }

    fn saw(&mut self, from: IpAddr, now: Instant) -> Sighting {
        let sender = self.by_address.entry(network(from), || Sender {
            since: now,
            sent: 0,
            logged_at: None,
        });
        if now.saturating_duration_since(sender.since) >= SPAN {
            (sender.since, sender.sent) = (now, 0);
        }
        sender.sent = sender.sent.saturating_add(1);
        if sender.sent <= FREE {
            return Sighting::Stray;
        }
        if sender
            .logged_at
            .is_some_and(|logged_at| now.saturating_duration_since(logged_at) < AGAIN)
        {
            return Sighting::Guessing;
        }
        sender.logged_at = Some(now);
        if self
            .logged_at
            .is_some_and(|logged_at| now.saturating_duration_since(logged_at) < BETWEEN)
        {
            self.passed_over += 1;
            return Sighting::Guessing;
        }
        self.logged_at = Some(now);
        Sighting::Log {
            passed_over: std::mem::take(&mut self.passed_over),
        }
    }
}

/// Watches for guessing, for the whole process: a metric and, now and then, a log line. Nobody is
/// refused for it: a made-up token costs less to refuse than a limit would.
pub struct GuessWatch {
    senders: Mutex<Senders>,
    metrics: Arc<Metrics>,
}

impl GuessWatch {
    /// Nobody has sent anything.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            senders: Mutex::new(Senders::new(ADDRESSES)),
            metrics,
        }
    }

    /// A token came that nobody issued.
    pub fn invalid_token(&self, from: IpAddr) {
        let sighting = self.senders.lock().saw(from, monotonic_now());
        if sighting != Sighting::Stray {
            self.metrics.login.guessed_tokens.inc();
        }
        if let Sighting::Log { passed_over } = sighting {
            let others = if passed_over == 0 {
                String::new()
            } else {
                format!(" ({passed_over} more such addresses since the last line)")
            };
            log::warn!(
                client = network(from).to_string().as_str();
                "{} has sent more than {FREE} tokens within a minute that this gateway never issued: somebody guesses tokens, or a sealing key was removed too early{others}",
                network(from)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn an_address_is_told_of_once_and_again_much_later() {
        let (mut senders, from, now) = (
            Senders::new(100),
            "192.0.2.1".parse().unwrap(),
            monotonic_now(),
        );
        let saw: Vec<_> = (0..1000).map(|_| senders.saw(from, now)).collect();
        assert!(saw[..30].iter().all(|s| *s == Sighting::Stray));
        assert_eq!(saw[30], Sighting::Log { passed_over: 0 });
        assert!(saw[31..].iter().all(|s| *s == Sighting::Guessing));
        assert_eq!(senders.saw(from, now + SPAN), Sighting::Stray);
        let later = now + AGAIN;
        let logged = (0..1000)
            .filter(|_| matches!(senders.saw(from, later), Sighting::Log { .. }))
            .count();
        assert_eq!(logged, 1);
    }

    #[test]
    fn a_few_an_hour_are_no_guessing() {
        let (mut senders, from, now) = (
            Senders::new(100),
            "192.0.2.1".parse().unwrap(),
            monotonic_now(),
        );
        for minute in 0..600 {
            for _ in 0..FREE {
                assert_eq!(senders.saw(from, now + minute * SPAN), Sighting::Stray);
            }
        }
    }

    #[test]
    fn many_addresses_neither_fill_the_memory_nor_the_log() {
        let (mut senders, now) = (Senders::new(100), monotonic_now());
        let mut logged = 0;
        for network in 0..2000_u128 {
            for host in 0..40_u128 {
                let from = Ipv6Addr::from_bits((0x2001_0db8 << 96) | (network << 64) | host).into();
                logged += u32::from(matches!(senders.saw(from, now), Sighting::Log { .. }));
            }
            assert!(senders.by_address.len() <= 200);
        }
        assert_eq!(logged, 1);
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        let last = (0..31)
            .map(|_| senders.saw(from, now + BETWEEN))
            .last()
            .unwrap();
        assert_eq!(last, Sighting::Log { passed_over: 1999 });
    }
}
