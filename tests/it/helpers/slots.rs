//! What clients of two gateways share that are killed or replaced one after the other; and numbers
//! that a seed decides.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::wait::until_blocking;

/// Numbers that a seed decides (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// The numbers of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number below this.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Where the gateways listen (`None`: dead at the moment), and how many answers all clients
/// together have had from them.
pub(crate) struct Slots {
    listen: Mutex<[Option<SocketAddr>; 2]>,
    answers: AtomicUsize,
}

impl Slots {
    /// Both live.
    pub(crate) fn new(at: [SocketAddr; 2]) -> Self {
        Self {
            listen: Mutex::new(at.map(Some)),
            answers: AtomicUsize::new(0),
        }
    }

    /// Somebody else listens there now, or nobody.
    pub(crate) fn set(&self, slot: usize, at: Option<SocketAddr>) {
        self.listen.lock().unwrap()[slot] = at;
    }

    /// An answer came.
    pub(crate) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for so many more answers, so that a machine that is slow is not killed idle.
    pub(crate) fn wait_for_answers(&self, more: usize) {
        let enough = self.answers.load(Ordering::Relaxed) + more;
        until_blocking("answers", || self.answers.load(Ordering::Relaxed) >= enough);
    }

    /// Where a request goes; `None`: nobody lives at the moment.
    pub(crate) fn any(&self, dice: &mut Dice) -> Option<SocketAddr> {
        let living: Vec<_> = self
            .listen
            .lock()
            .unwrap()
            .iter()
            .flatten()
            .copied()
            .collect();
        (!living.is_empty())
            .then(|| living[usize::try_from(dice.below(living.len() as u64)).unwrap()])
    }
}
