//! Tickets of TLS 1.3: what a client brings along to resume its session at whichever gateway it
//! reaches. Nothing is stored; the keys are of this hour, made from `secrets.keys`, so gateways
//! that share those open each other's. Where there are none, they last as long as the process.
//!
//! A ticket opens no recorded traffic, since a resumption exchanges new keys. TLS 1.2 does not, so
//! its sessions get none (RFC 9325, 3.4).

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::server::ProducesTickets;

use crate::clock::Clock;
use crate::crypto::keyring::Keyring;

/// How long a ticket opens at least, in seconds; never for three times as long.
const HOUR: u64 = 3600;
const PURPOSE: &str = "tls 1.3 tickets";

/// The keys of tickets, which change with the hour.
pub struct TicketKeys {
    keys: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    in_use: RwLock<Arc<Hours>>,
}

/// The rings around one hour.
struct Hours {
    hour: u64,
    /// Of this hour, which seals; of the one before; and of the next one, since another gateway's
    /// clock may be ahead.
    rings: [Keyring; 3],
}

/// Tickets of sessions with one certificate.
pub struct Tickets {
    keys: Arc<TicketKeys>,
    /// What they are bound to.
    place: Vec<u8>,
}

impl TicketKeys {
    /// Derived from these keys.
    pub fn new(keys: Arc<Keyring>, clock: Arc<dyn Clock>) -> Self {
        let in_use = RwLock::new(Arc::new(Hours::around(&keys, hour(&*clock))));
        Self {
            keys,
            clock,
            in_use,
        }
    }

    /// Tickets that open for a certificate with these names alone. Another installation may have
    /// the same keys: it must not speak for names that it has no certificate of.
    pub fn bound_to(self: &Arc<Self>, names: &[String]) -> Tickets {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        Tickets {
            keys: self.clone(),
            place: names.join("\0").into_bytes(),
        }
    }

    fn hours(&self) -> Arc<Hours> {
        let now = hour(&*self.clock);
        let in_use = self.in_use.read().clone();
        if in_use.hour == now {
            return in_use;
        }
        let fresh = Arc::new(Hours::around(&self.keys, now));
        *self.in_use.write() = fresh.clone();
        fresh
    }
}

impl Hours {
    fn around(keys: &Keyring, hour: u64) -> Self {
        Self {
            hour,
            rings: [hour, hour.saturating_sub(1), hour.saturating_add(1)]
                .map(|hour| keys.derived(PURPOSE, hour)),
        }
    }
}

fn hour(clock: &dyn Clock) -> u64 {
    clock.unix_now().0 / 1000 / HOUR
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        HOUR as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        is_tls13(plain).then(|| self.keys.hours().rings[0].seal(&self.place, plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.keys
            .hours()
            .rings
            .iter()
            .find_map(|ring| ring.open(&self.place, cipher).ok())
    }
}

/// Whether it is a session of TLS 1.3: behind the server's name stands the version. A client that
/// offers cipher suites of 1.3 may settle for 1.2 after all.
fn is_tls13(session: &[u8]) -> bool {
    let version = match session {
        [0, rest @ ..] => Some(rest),
        [1, length, rest @ ..] => rest.get(usize::from(*length)..),
        _ => None,
    };
    version.is_some_and(|version| version.starts_with(&[3, 4]))
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, UnixMillis};
    use crate::secret::Secret;

    const SESSION: &[u8] = &[1, 3, b'a', b'.', b'b', 3, 4, 0x13, 1];

    fn key(first: u8) -> Secret<[u8; 32]> {
        let mut bytes = [7; 32];
        bytes[0] = first;
        Secret::new(bytes)
    }

    fn tickets(keys: &[Secret<[u8; 32]>], names: &[&str], clock: &ManualClock) -> Tickets {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(TicketKeys::new(
            Arc::new(Keyring::new(keys).unwrap()),
            Arc::new(clock.clone()),
        ))
        .bound_to(&names)
    }

    const MINUTE: u64 = 60_000;
    /// The beginning of an hour.
    const HOUR_BEGINS: u64 = 1_000_000 * 60 * MINUTE;

    #[test]
    fn a_ticket_opens_in_its_hour_and_the_two_beside_it() {
        let at = |moment| tickets(&[key(1)], &["a.b"], &ManualClock::at(UnixMillis(moment)));
        let late = HOUR_BEGINS + 59 * MINUTE;
        // A client keeps it for as long as it was told.
        let told = u64::from(at(late).lifetime()) * 1000;
        for (sealed, opened, opens) in [
            (late, late, true),
            (late, late + told, true),
            (late, late + told + MINUTE, false),
            // A gateway whose clock is behind, by less than an hour and by more.
            (late, HOUR_BEGINS, true),
            (HOUR_BEGINS, HOUR_BEGINS - 1, true),
            (HOUR_BEGINS, HOUR_BEGINS - 60 * MINUTE - 1, false),
        ] {
            let ticket = at(sealed).encrypt(SESSION).unwrap();
            let found = at(opened).decrypt(&ticket);
            assert_eq!(
                found.as_deref(),
                opens.then_some(SESSION),
                "{sealed} {opened}"
            );
        }
    }

    #[test]
    fn a_ticket_opens_with_every_key_and_for_its_own_names_only() {
        let clock = ManualClock::at(UnixMillis(HOUR_BEGINS));
        let ticket = tickets(&[key(1)], &["a.b", "c.d"], &clock)
            .encrypt(SESSION)
            .unwrap();
        assert!(
            tickets(&[key(2), key(1)], &["c.d", "a.b"], &clock)
                .decrypt(&ticket)
                .is_some()
        );
        for (keys, names) in [
            (key(2), vec!["a.b", "c.d"]),
            (key(1), vec!["a.b"]),
            (key(1), vec![]),
            (key(1), vec!["a.b", "c.d", "e.f"]),
        ] {
            assert_eq!(
                tickets(&[keys], &names, &clock).decrypt(&ticket),
                None,
                "{names:?}"
            );
        }
        let mut changed = ticket.clone();
        changed[20] ^= 1;
        let ours = tickets(&[key(1)], &["a.b", "c.d"], &clock);
        assert!(
            ours.decrypt(&changed).is_none()
                && ours.decrypt(&ticket[..10]).is_none()
                && ours.decrypt(b"").is_none()
        );
    }

    #[test]
    fn a_session_of_tls_1_2_gets_no_ticket() {
        let tickets = tickets(&[key(1)], &["a.b"], &ManualClock::at(UnixMillis(0)));
        assert!(tickets.encrypt(&[0, 3, 4, 0x13, 1]).is_some());
        for older in [
            &[0, 3, 3, 0xc0, 0x2b][..],
            &[1, 3, b'a', b'.', b'b', 3, 3, 4],
            &[1, 200, 3, 4],
            &[2, 3, 4],
            &[1],
            &[],
        ] {
            assert_eq!(tickets.encrypt(older), None, "{older:?}");
        }
    }
}
