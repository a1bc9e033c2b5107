//! Choosing among the endpoints that can be used. Nothing here allocates, locks or waits: it runs
//! for every request to an upstream with several endpoints.

/// What a choice looks at. Whoever asks answers `None` for an endpoint that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its share beside the others; at least 1.
    pub weight: u32,
    /// Requests under way.
    pub load: usize,
    /// A hash of its address, which does not depend on the others.
    pub place: u64,
}

/// The order in which endpoints take turns, each as often as its weight, spread out as evenly as that
/// goes. A round of it is as long as the weights together, divided by what they have in common.
pub fn turns(weights: &[u32]) -> Vec<u16> {
    let common = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let total: i64 = weights
        .iter()
        .map(|weight| i64::from(weight / common))
        .sum();
    let mut due = vec![0_i64; weights.len()];
    let mut order = Vec::with_capacity(usize::try_from(total).unwrap_or_default());
    for _ in 0..total {
        due.iter_mut()
            .zip(weights)
            .for_each(|(due, weight)| *due += i64::from(weight / common));
        // The first of several that are equally due.
        let next = (0..due.len())
            .rev()
            .max_by_key(|index| due[*index])
            .unwrap_or_default();
        due[next] -= total;
        order.push(u16::try_from(next).unwrap_or_default());
    }
    order
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The endpoint whose turn it is, or the next in the order that can be used.
pub fn round_robin(
    order: &[u16],
    turn: usize,
    candidate: impl Fn(usize) -> Option<Candidate>,
) -> Option<usize> {
    let start = if order.is_empty() {
        0
    } else {
        turn % order.len()
    };
    order[start..]
        .iter()
        .chain(&order[..start])
        .map(|index| usize::from(*index))
        .find(|index| candidate(*index).is_some())
}

/// Two endpoints are drawn at random, by their weights; the one with fewer requests under way for its
/// weight is taken. `draw` gives a number below its argument.
pub fn least_request(
    count: usize,
    candidate: impl Fn(usize) -> Option<Candidate>,
    mut draw: impl FnMut(u64) -> u64,
) -> Option<usize> {
    let usable = |not: Option<usize>| (0..count).filter(move |index| Some(*index) != not);
    let total = |not| {
        usable(not)
            .filter_map(&candidate)
            .map(|candidate| u64::from(candidate.weight))
            .sum::<u64>()
    };
    let mut drawn = |not| {
        let mut left = draw(total(not).max(1));
        usable(not).find_map(|index| {
            let candidate = candidate(index)?;
            match left.checked_sub(u64::from(candidate.weight)) {
                Some(rest) => {
                    left = rest;
                    None
                }
                None => Some((index, candidate)),
            }
        })
    };
    let (first, one) = drawn(None)?;
    let Some((second, other)) = drawn(Some(first)) else {
        return Some(first);
    };
    let busier =
        one.load as u64 * u64::from(other.weight) > other.load as u64 * u64::from(one.weight);
    Some(if busier { second } else { first })
}

/// Weighted rendezvous: every endpoint has a score with every user, and the highest wins. One
/// that comes takes only the users whose score with it is the highest; one that goes leaves its users to
/// their second best, and moves nobody else.
pub fn user_hash(
    count: usize,
    candidate: impl Fn(usize) -> Option<Candidate>,
    user: u64,
) -> Option<usize> {
    let score = |candidate: Candidate| {
        f64::from(candidate.weight) / -unit(mix(user ^ candidate.place)).ln()
    };
    (0..count)
        .filter_map(|index| Some((index, score(candidate(index)?))))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(index, _)| index)
}

/// A hash that is the same in every process and every release: FNV-1a over the parts, each with its
/// end marked, then mixed.
pub fn stable_hash(parts: &[&[u8]]) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let part = |hash: u64, part: &&[u8]| {
        step(part.iter().fold(hash, |hash, byte| step(hash, *byte)), 0xff)
    };
    mix(parts.iter().fold(0xcbf2_9ce4_8422_2325, part))
}

/// The finalizer of SplitMix64: every bit of the input moves every bit of the output.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Strictly between 0 and 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
fn unit(x: u64) -> f64 {
    ((x >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(place: u64, weight: u32, load: usize) -> Candidate {
        Candidate {
            weight,
            load,
            place: mix(place + 1),
        }
    }

    /// A repeatable draw.
    fn draws(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed;
        move |below| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state) % below
        }
    }

    fn candidates() -> impl Strategy<Value = Vec<Option<Candidate>>> {
        let candidate =
            (1_u32..20, 0_usize..50, any::<u64>()).prop_map(|(weight, load, place)| Candidate {
                weight,
                load,
                place,
            });
        proptest::collection::vec(proptest::option::of(candidate), 0..12)
    }

    #[test]
    fn turns_are_spread_by_weight() {
        assert_eq!(turns(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(turns(&[50, 50]), [0, 1]);
        assert_eq!(turns(&[4, 2]), [0, 1, 0]);
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert!(turns(&[]).is_empty());
    }

    #[test]
    fn idle_endpoints_are_drawn_by_weight_and_busy_ones_avoided() {
        let of = |candidates: [Candidate; 2]| {
            let mut draw = draws(7);
            let mut counts = [0_u32; 2];
            for _ in 0..3000 {
                counts[least_request(2, |index| Some(candidates[index]), &mut draw).unwrap()] += 1;
            }
            counts
        };
        let weighted = of([at(0, 1, 0), at(1, 2, 0)]);
        assert!((800..1200).contains(&weighted[0]), "{weighted:?}");
        assert_eq!(of([at(0, 1, 9), at(1, 1, 2)]), [0, 3000]);
        assert_eq!(
            of([at(0, 4, 3), at(1, 1, 2)]),
            [3000, 0],
            "three of four are fewer than two of one"
        );
    }

    #[test]
    fn users_follow_the_weights() {
        let candidates = [at(0, 1, 0), at(1, 3, 0)];
        let second = (0..4000)
            .filter(|user| user_hash(2, |index| Some(candidates[index]), mix(*user)) == Some(1))
            .count();
        assert!(
            (2800..3200).contains(&second),
            "{second} of 4000 instead of 3000"
        );
    }

    #[test]
    fn the_hash_is_the_same_for_ever() {
        assert_eq!(
            stable_hash(&[b"wechat-mini-program", b"shop", b"openid"]),
            0x89c9_ba09_8204_d9a5
        );
        assert_ne!(stable_hash(&[b"ab", b"c"]), stable_hash(&[b"a", b"bc"]));
    }

    proptest! {
        /// Every policy chooses only usable endpoints, and chooses one if there is any.
        #[test]
        fn only_what_can_be_used_is_chosen(candidates in candidates(), turn in any::<usize>(), seed in any::<u64>()) {
            let candidate = |index: usize| candidates[index];
            let order = turns(&candidates.iter().map(|candidate| candidate.map_or(1, |candidate| candidate.weight)).collect::<Vec<_>>());
            let choices = [round_robin(&order, turn, candidate), least_request(candidates.len(), candidate, draws(seed)), user_hash(candidates.len(), candidate, seed)];
            for choice in choices {
                prop_assert_eq!(choice.is_some(), candidates.iter().any(Option::is_some));
                prop_assert!(choice.is_none_or(|index| candidates[index].is_some()));
            }
        }

        /// A round holds every endpoint as often as its weight says.
        #[test]
        fn a_round_is_fair(weights in proptest::collection::vec(1_u32..30, 1..8)) {
            let order = turns(&weights);
            for (index, weight) in weights.iter().enumerate() {
                let turns = order.iter().filter(|candidate| usize::from(**candidate) == index).count();
                prop_assert_eq!(turns * weights.iter().sum::<u32>() as usize, *weight as usize * order.len());
            }
        }

        /// A new endpoint moves about one user in n, all of them to itself; one that cannot be used
        /// moves its own users only.
        #[test]
        fn few_users_move(count in 1_usize..10, seed in any::<u64>()) {
            const USERS: u64 = 2000;
            let user = |n: u64| mix(seed.wrapping_add(n));
            let candidate = |index: usize| Some(at(index as u64, 1, 0));
            let mut moved = 0;
            for n in 0..USERS {
                let before = user_hash(count, candidate, user(n));
                let after = user_hash(count + 1, candidate, user(n));
                if before != after {
                    prop_assert_eq!(after, Some(count));
                    moved += 1;
                }
                let without_first = user_hash(count + 1, |index| if index == 0 { None } else { candidate(index) }, user(n));
                prop_assert!(after == Some(0) || without_first == after);
            }
            let share = USERS / (count as u64 + 1);
            // Eight standard deviations at the least.
            prop_assert!(moved <= share + share / 4 + 60, "{} of {} users moved to one of {}", moved, USERS, count + 1);
        }
    }
}
