//! What clients of two gateways share that are killed or replaced one after the other; and numbers
//! that a seed decides.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;

use super::gateway::Gateway;
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

/// Clients at the same time.
const CLIENTS: u64 = 4;

/// Where the gateways listen (`None`: dead at the moment), and how many answers all clients
/// together have had from them.
pub(crate) struct Slots {
    listen: Mutex<[Option<SocketAddr>; 2]>,
    answers: AtomicUsize,
}

impl Slots {
    /// Clients ask again and again while each gateway is killed so many times at random moments, and
    /// another is started in its place; `at`: where its clients go; `ask`: whether an answer came.
    /// Answers the last gateways.
    pub(crate) async fn ask_under_kills(
        gateways: [Gateway; 2],
        kills: usize,
        seed: u64,
        at: fn(&Gateway) -> SocketAddr,
        ask: impl AsyncFn(SocketAddr) -> bool,
    ) -> Vec<Gateway> {
        let slots = Arc::new(Self::new(gateways.each_ref().map(at)));
        let stop = AtomicBool::new(false);
        let client = async |number: u64| {
            let mut dice = Dice::new(seed ^ number);
            while !stop.load(Ordering::Relaxed) {
                let Some(at) = slots.any(&mut dice) else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if ask(at).await {
                    slots.answered();
                }
            }
        };
        let struck = async {
            let survivors = slots.strike(gateways, kills, seed, at).await;
            stop.store(true, Ordering::Relaxed);
            survivors
        };
        let (survivors, _) = tokio::join!(struck, join_all((0..CLIENTS).map(client)));
        survivors
    }

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

    /// Kills each gateway so many times at random moments, and starts another in its place; `at`:
    /// where its clients are. Answers the last ones.
    pub(crate) async fn strike(
        self: &Arc<Self>,
        gateways: [Gateway; 2],
        kills: usize,
        seed: u64,
        at: fn(&Gateway) -> SocketAddr,
    ) -> Vec<Gateway> {
        let strikes = gateways.into_iter().enumerate().map(|(slot, mut gateway)| {
            let (slots, mut dice) = (self.clone(), Dice::new(!seed ^ slot as u64));
            tokio::task::spawn_blocking(move || {
                for _ in 0..kills {
                    slots.wait_for_answers(usize::try_from(dice.below(8)).unwrap());
                    std::thread::sleep(Duration::from_millis(dice.below(60)));
                    slots.set(slot, None);
                    gateway.signal(Signal::SIGKILL);
                    gateway = gateway.sibling();
                    slots.set(slot, Some(at(&gateway)));
                }
                gateway
            })
        });
        let survivors = join_all(strikes).await;
        survivors.into_iter().map(Result::unwrap).collect()
    }
}
