//! Which node of a cluster has which slot.

use redis::{FromRedisValue, Value, from_redis_value};

use super::address::NodeAddress;

/// Slots of a cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// The slot of a key: of what stands between its first braces, or of all of it where there are
/// none.
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    crc16(hashed(key)) % SLOTS
}

fn hashed(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|b| *b == b'{') else {
        return key;
    };
    let rest = &key[open + 1..];
    match rest.iter().position(|b| *b == b'}') {
        Some(len) if len > 0 => &rest[..len],
        _ => key,
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        let shift = |crc: u16, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        };
        (0..8).fold(crc ^ (u16::from(*byte) << 8), shift)
    })
}

/// The masters of a cluster and their slots.
#[derive(Debug, Clone)]
pub(crate) struct SlotMap {
    masters: Vec<NodeAddress>,
    /// For each slot the place of its master in `masters`, plus one; 0: no node has it.
    owners: Vec<u16>,
}

impl SlotMap {
    /// Reads the answer of `CLUSTER SLOTS`. A node that does not know its own address is on the
    /// host that was asked.
    pub(crate) fn read(answer: Value, asked: &str) -> Option<Self> {
        let ranges: Vec<Vec<Value>> = from_redis_value(answer).ok()?;
        let mut map = Self {
            masters: Vec::new(),
            owners: vec![0; usize::from(SLOTS)],
        };
        for range in ranges {
            let mut parts = range.into_iter();
            let (first, last) = (number(parts.next()?)?, number(parts.next()?)?);
            let mut master: Vec<Value> = read(parts.next()?)?;
            if first > last || last >= SLOTS || master.len() < 2 {
                return None;
            }
            let port = number(master.swap_remove(1))?;
            let host: Option<String> = read(master.swap_remove(0))?;
            let host = host
                .filter(|host| !host.is_empty() && host != "?")
                .unwrap_or_else(|| asked.to_owned());
            let owner = map.number(&NodeAddress { host, port });
            map.owners[usize::from(first)..=usize::from(last)].fill(owner);
        }
        (!map.masters.is_empty()).then_some(map)
    }

    /// Who has a slot.
    pub(crate) fn owner(&self, slot: u16) -> Option<&NodeAddress> {
        let number = *self.owners.get(usize::from(slot))?;
        self.masters.get(usize::from(number).checked_sub(1)?)
    }

    /// Notes that a slot has moved.
    pub(crate) fn moved(&mut self, slot: u16, to: &NodeAddress) {
        let owner = self.number(to);
        if let Some(place) = self.owners.get_mut(usize::from(slot)) {
            *place = owner;
        }
    }

    /// Everybody who has a slot.
    pub(crate) fn masters(&self) -> &[NodeAddress] {
        &self.masters
    }

    /// How many slots have no master.
    pub(crate) fn uncovered(&self) -> usize {
        self.owners.iter().filter(|owner| **owner == 0).count()
    }

    /// Whether another map says the same.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        (0..SLOTS).all(|slot| self.owner(slot) == other.owner(slot))
    }

    fn number(&mut self, node: &NodeAddress) -> u16 {
        let place = self
            .masters
            .iter()
            .position(|master| master == node)
            .unwrap_or_else(|| {
                self.masters.push(node.clone());
                self.masters.len() - 1
            });
        // There are fewer masters than slots.
        u16::try_from(place + 1).unwrap_or_default()
    }
}

/// The redis crate cuts a number off that is too large for its type.
fn number(value: Value) -> Option<u16> {
    u16::try_from(read::<i64>(value)?).ok()
}

fn read<T: FromRedisValue>(value: Value) -> Option<T> {
    from_redis_value(value).ok()
}

/// The target of a MOVED or ASK, `host:port`; without a host it is on the machine of whoever said
/// so.
pub(crate) fn redirected(target: &str, by: &str) -> Option<NodeAddress> {
    let (host, port) = target.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" {
        by
    } else {
        host.trim_start_matches('[').trim_end_matches(']')
    };
    Some(NodeAddress {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16) -> NodeAddress {
        NodeAddress {
            host: host.to_owned(),
            port,
        }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let member = |host, port| {
            Value::Array(vec![
                host,
                Value::Int(port),
                text("id"),
                Value::Array(Vec::new()),
            ])
        };
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            member(host, port),
            member(text("replica"), 9),
        ])
    }

    /// Slots as a Redis 7 computes them: `CLUSTER KEYSLOT`.
    #[test]
    fn slots_are_those_of_redis() {
        for (key, slot) in [
            ("123456789", 12739),
            ("", 0),
            ("foo", 12182),
            ("{foo}", 12182),
            ("bar{foo}baz}", 12182),
            ("{}foo", 9500),
            ("foo{", slot_of(b"foo{")),
            ("hufu:s:{__4}:AAAAAAAAAAAAAAAAAAAAAA", slot_of(b"__4")),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn the_map_names_masters_and_takes_moves() {
        let answer = Value::Array(vec![
            range(0, 99, text("a"), 1),
            range(100, 16_382, Value::Nil, 2),
            range(200, 200, text(""), 3),
        ]);
        let mut map = SlotMap::read(answer, "10.0.0.1").unwrap();
        assert_eq!(map.owner(0), Some(&node("a", 1)));
        assert_eq!(map.owner(16_382), Some(&node("10.0.0.1", 2)));
        assert_eq!(map.owner(200), Some(&node("10.0.0.1", 3)));
        assert_eq!(
            (map.owner(16_383), map.owner(SLOTS), map.uncovered()),
            (None, None, 1)
        );
        map.moved(7, &node("b", 4));
        map.moved(16_383, &node("a", 1));
        assert_eq!(
            (map.owner(7), map.owner(8), map.uncovered()),
            (Some(&node("b", 4)), Some(&node("a", 1)), 0)
        );
        assert_eq!(map.masters().len(), 4);
    }

    #[test]
    fn nonsense_is_no_map() {
        for answer in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(5, 4, text("a"), 1)]),
            Value::Array(vec![range(0, 16_384, text("a"), 1)]),
            Value::Array(vec![range(0, 1, text("a"), 70_000)]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(0),
                Value::Int(1),
                Value::Array(vec![text("a")]),
            ])]),
        ] {
            assert!(SlotMap::read(answer.clone(), "h").is_none(), "{answer:?}");
        }
    }

    #[test]
    fn redirections_are_addresses() {
        let by = "10.0.0.1";
        assert_eq!(
            redirected("127.0.0.1:6381", by),
            Some(node("127.0.0.1", 6381))
        );
        assert_eq!(redirected("fd00::1:6381", by), Some(node("fd00::1", 6381)));
        assert_eq!(
            redirected("[fd00::1]:6381", by),
            Some(node("fd00::1", 6381))
        );
        assert_eq!(redirected(":6381", by), Some(node("10.0.0.1", 6381)));
        assert_eq!((redirected("x", by), redirected("h:x", by)), (None, None));
    }
}
