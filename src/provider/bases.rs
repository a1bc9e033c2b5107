//! The addresses of a platform, and which of them is called first.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::base_url::BaseUrl;

pub(super) struct Bases {
    all: Vec<BaseUrl>,
    /// Where the last call was answered: a dead first address costs its connect timeout once, not at
    /// every call.
    preferred: AtomicUsize,
}

impl Bases {
    pub(super) const fn new(all: Vec<BaseUrl>) -> Self {
        Self {
            all,
            preferred: AtomicUsize::new(0),
        }
    }

    pub(super) fn all(&self) -> &[BaseUrl] {
        &self.all
    }

    /// Each address once with its number, the preferred one first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (usize, &BaseUrl)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let (before, from) = self.all.split_at(first);
        let numbered = from.iter().chain(before).enumerate();
        numbered.map(move |(offset, base)| ((first + offset) % self.all.len(), base))
    }

    /// The next call begins with this address.
    pub(super) fn prefer(&self, at: usize) {
        self.preferred.store(at, Ordering::Relaxed);
    }

    /// The next call does not begin with this address, unless another call has since preferred it.
    pub(super) fn leave(&self, at: usize) {
        let next = (at + 1) % self.all.len();
        let relaxed = Ordering::Relaxed;
        let _ = self.preferred.compare_exchange(at, next, relaxed, relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(bases: &Bases) -> Vec<(usize, String)> {
        let order = bases.in_order();
        order.map(|(at, base)| (at, base.host())).collect()
    }

    #[test]
    fn an_address_that_fails_comes_last() {
        let parsed = ["http://a", "http://b", "http://c"].map(|base| BaseUrl::parse(base).unwrap());
        let bases = Bases::new(parsed.to_vec());
        let [a, b, c] = [(0, "a"), (1, "b"), (2, "c")].map(|(at, host)| (at, host.to_owned()));
        let from_a = vec![a.clone(), b.clone(), c.clone()];
        let from_b = vec![b.clone(), c.clone(), a.clone()];
        assert_eq!(order(&bases), from_a);
        bases.leave(0);
        assert_eq!(order(&bases), from_b);
        // Somebody else who has seen the same is late.
        bases.leave(0);
        assert_eq!(order(&bases), from_b);
        bases.prefer(2);
        assert_eq!(order(&bases), vec![c, a, b]);
        bases.leave(2);
        assert_eq!(order(&bases), from_a);
    }
}
