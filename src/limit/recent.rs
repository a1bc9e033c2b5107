//! A map of what was used lately, which cannot grow without bound.

use std::collections::HashMap;
use std::hash::Hash;

/// The map has two generations. Each use moves an entry into the young one. A full young generation
/// becomes the old one, and the map forgets what the old one held. So entries in use stay, and
/// entries that are used once push out each other.
#[derive(Debug)]
pub struct Recent<K, V> {
    generation: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Copy, V> Recent<K, V> {
    /// An empty map that holds at most twice `generation` entries, and surely the last `generation`
    /// that were used.
    pub fn new(generation: usize) -> Self {
        Self {
            generation: generation.max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// The entry of a key, made if there is none.
    pub fn entry(&mut self, key: K, fresh: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young
            .entry(key)
            .or_insert_with(|| old.remove(&key).unwrap_or_else(fresh))
    }

    /// The value of a key, made if there is none and it can be made.
    pub fn get_or_try<E>(&mut self, key: K, fresh: impl FnOnce() -> Result<V, E>) -> Result<V, E>
    where
        V: Copy,
    {
        if let Some(value) = self.young.get(&key) {
            return Ok(*value);
        }
        let value = match self.old.get(&key) {
            Some(value) => *value,
            None => fresh()?,
        };
        Ok(*self.entry(key, || value))
    }

    /// The entry of a key, if there is one. Does not count as use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_push_out_each_other_and_not_who_comes_often() {
        let mut recent = Recent::new(100);
        for stranger in 1..100_000_u32 {
            *recent.entry(0, || 0) += 1;
            *recent.entry(stranger, || 0) += 1;
            assert!(recent.len() <= 200);
        }
        assert_eq!(recent.peek(&0), Some(&99_999));
        assert_eq!(
            (recent.peek(&99_999), recent.peek(&99_950), recent.peek(&1)),
            (Some(&1), Some(&1), None)
        );
        assert!(!recent.is_empty());
    }
}
