//! The stored form of a session_key generation, and which generations stay. Version 1:
//!
//! ```text
//! version      1 byte
//! reserved     6 bytes, big-endian milliseconds: when the login that brought the key reserved its code
//! fingerprint  8 bytes, keyed: the same key of the same user has the same one
//! sealed key   47 bytes for the usual key of 16 bytes
//! ```
//!
//! 62 bytes: up to 64 a Redis hash keeps its compact form. Version, time and fingerprint stand
//! where the script can compare them, so these 15 bytes keep their place in every later version.

use crate::clock::UnixMillis;
use crate::session::codec::{time_bytes, time_of};

/// Bytes before the sealed key.
pub(super) const HEADER: usize = 15;
/// How many generations a user has: the clients' parallel logins may use the one before the newest
/// for a while.
pub(super) const KEPT: usize = 2;
/// The fields of the user's hash that hold them, newest first. No session is called so: their
/// fields have 16 bytes.
pub(super) const FIELDS: [&str; KEPT] = ["k0", "k1"];

/// The bytes that stand before the sealed key.
pub(super) fn header(version: u8, reserved_at: UnixMillis, fingerprint: [u8; 8]) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[0] = version;
    out[1..7].copy_from_slice(&time_bytes(reserved_at));
    out[7..].copy_from_slice(&fingerprint);
    out
}

/// When the generation's code was reserved.
pub(super) fn reserved_at(header: &[u8; HEADER]) -> UnixMillis {
    time_of(&header[1..7])
}

/// Those that a user has, newest first. `scripts/generations.lua` does the same inside Redis.
#[derive(Clone, Default)]
pub(super) struct Generations {
    kept: Vec<Vec<u8>>,
    /// When the platform last reset the user's key.
    reset_at: Option<UnixMillis>,
}

impl Generations {
    pub(super) fn kept(&self) -> &[Vec<u8>] {
        &self.kept
    }

    /// Puts a generation among them: ordered by reservation, the same key only once and with its
    /// newest time, the oldest beyond [`KEPT`] dropped. A login that reserved its code before the
    /// last reset may bring the key that the reset has ended.
    pub(super) fn keep(&mut self, fresh: Vec<u8>) {
        let Some((time, print)) = parts(&fresh).filter(|(time, _)| Some(*time) >= self.reset_at)
        else {
            return;
        };
        let kept = &mut self.kept;
        let known = |old: &Vec<u8>| parts(old).is_some_and(|(_, old_print)| old_print == print);
        if kept
            .iter()
            .any(|old| known(old) && parts(old).is_some_and(|(old_time, _)| old_time >= time))
        {
            return;
        }
        kept.retain(|old| parts(old).is_some() && !known(old));
        let place = kept
            .iter()
            .position(|old| parts(old).is_some_and(|(old_time, _)| old_time <= time))
            .unwrap_or(kept.len());
        kept.insert(place, fresh);
        kept.truncate(KEPT);
    }

    /// Takes all of them away, and says when the last reset was before this one.
    pub(super) fn take(&mut self, now: UnixMillis) -> (Vec<Vec<u8>>, Option<UnixMillis>) {
        let before = self.reset_at;
        if !self.kept.is_empty() {
            self.reset_at = Some(now);
        }
        (std::mem::take(&mut self.kept), before)
    }

    /// Puts back what was taken then, unless there was another reset since.
    pub(super) fn put_back(
        &mut self,
        taken: Vec<Vec<u8>>,
        at: UnixMillis,
        before: Option<UnixMillis>,
    ) {
        if self.reset_at == Some(at) {
            self.reset_at = before;
            taken
                .into_iter()
                .for_each(|generation| self.keep(generation));
        }
    }

    /// Puts a generation into the place of all older ones: the platform has reset the key. What a
    /// login has brought since stays.
    pub(super) fn reset(&mut self, fresh: Vec<u8>) {
        let Some((time, _)) = parts(&fresh) else {
            return;
        };
        self.reset_at = self.reset_at.max(Some(time));
        self.kept
            .retain(|old| parts(old).is_some_and(|(old_time, _)| old_time >= time));
        self.keep(fresh);
    }
}

fn parts(value: &[u8]) -> Option<(UnixMillis, &[u8])> {
    let header = value.first_chunk::<HEADER>()?;
    Some((reserved_at(header), &header[7..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(time: u64, key: u8) -> Vec<u8> {
        header(1, UnixMillis(time), [key; 8]).to_vec()
    }

    fn of(generations: &Generations) -> Vec<(u64, u8)> {
        generations
            .kept()
            .iter()
            .map(|v| (reserved_at(v.first_chunk().unwrap()).0, v[7]))
            .collect()
    }

    #[test]
    fn the_newest_two_stay_whatever_order_they_come_in() {
        let mut kept = Generations::default();
        for (time, key, then) in [
            (10, 1, vec![(10, 1)]),
            (30, 3, vec![(30, 3), (10, 1)]),
            (20, 2, vec![(30, 3), (20, 2)]),
            (15, 4, vec![(30, 3), (20, 2)]),
            (40, 2, vec![(40, 2), (30, 3)]),
            (35, 2, vec![(40, 2), (30, 3)]),
            (40, 5, vec![(40, 5), (40, 2)]),
        ] {
            kept.keep(value(time, key));
            assert_eq!(of(&kept), then, "after {time} {key}");
        }
        kept.kept[1] = b"damaged".to_vec();
        kept.keep(value(41, 6));
        assert_eq!(of(&kept), [(41, 6), (40, 5)]);
    }

    #[test]
    fn a_reset_ends_the_older_ones_also_those_that_come_late() {
        let mut kept = Generations::default();
        kept.keep(value(10, 1));
        kept.keep(value(20, 2));
        kept.reset(value(30, 3));
        assert_eq!(of(&kept), [(30, 3)]);
        kept.keep(value(29, 4));
        assert_eq!(of(&kept), [(30, 3)], "its login began before the reset");
        kept.keep(value(40, 5));
        kept.reset(value(35, 6));
        assert_eq!(of(&kept), [(40, 5), (35, 6)], "a login was faster");
    }

    proptest! {
        #[test]
        fn parallel_logins_with_one_key_do_not_push_the_previous_key_out(times in prop::collection::vec(100_u64..1000, 1..20)) {
            let mut kept = Generations::default();
            kept.keep(value(50, 1));
            for time in &times {
                kept.keep(value(*time, 2));
            }
            prop_assert_eq!(of(&kept), vec![(*times.iter().max().unwrap(), 2), (50, 1)]);
        }

        #[test]
        fn with_different_keys_the_newest_two_stay(mut times in prop::collection::btree_set(0_u64..1 << 40, 2..20).prop_map(|s| s.into_iter().collect::<Vec<_>>()).prop_shuffle()) {
            let mut kept = Generations::default();
            for time in &times {
                kept.keep(header(1, UnixMillis(*time), time.to_be_bytes()).to_vec());
            }
            times.sort_unstable();
            let newest: Vec<u64> = times.iter().rev().take(KEPT).copied().collect();
            prop_assert_eq!(kept.kept().iter().map(|v| reserved_at(v.first_chunk().unwrap()).0).collect::<Vec<_>>(), newest);
        }
    }
}
