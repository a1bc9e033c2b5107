//! Randomness comes from here and nowhere else.

use std::cell::RefCell;

use rand::rngs::{SmallRng, SysRng};
use rand::{RngExt as _, SeedableRng as _, TryRng as _};

/// `N` bytes from the operating system's generator: tokens, keys, nonces.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    SysRng
        .try_fill_bytes(&mut out)
        .expect("the operating system's random generator answers once it has been seeded at boot");
    out
}

/// A number in 0..1 for jitter and balancing; fast, never for secrets.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that draws randomness"
)]
pub fn fraction() -> f64 {
    rand::rng().random()
}

/// Fast random bytes for request ids and trace ids, which are names and not secrets. Whoever has
/// seen some can predict the next ones.
pub fn name_bytes<const N: usize>() -> [u8; N] {
    thread_local! {
        static NAMES: RefCell<SmallRng> = RefCell::new(SmallRng::from_seed(bytes()));
    }
    NAMES.with_borrow_mut(|names| names.random())
}
