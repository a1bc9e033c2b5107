//! Walks a whole store in Redis and proves what the gateway promises of it at every moment, whoever
//! died in the middle of what: no key is without an expiry, no index names a session that is gone,
//! and no session is missing in its user's index, where nothing could revoke it.

use std::collections::BTreeMap;

use super::redis_server::RedisServer;

/// What can be seen in one moment: nobody else's write comes between the reads of a script. Answers
/// the time, then of each key its name, its type, when it expires (-1: never), how many values it
/// has, and these.
const SNAPSHOT: &str = r"
local function digits(number) return string.format('%.0f', number) end
local time, cursor = redis.call('TIME'), '0'
local began = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local seen = { digits(began) }
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. ':*', 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local kind, values = redis.call('TYPE', key).ok, {}
    if kind == 'string' then values = { redis.call('GET', key) } end
    if kind == 'hash' then values = redis.call('HGETALL', key) end
    local expiry = redis.pcall('PEXPIRETIME', key)
    if type(expiry) == 'table' then
      -- Older than Redis 7.0. What is left is counted from when the script began.
      local lives = redis.call('PTTL', key)
      expiry = lives < 0 and -1 or began + lives
    end
    -- SCAN may name a key that has expired.
    if kind ~= 'none' then
      for _, part in ipairs({ key, kind, digits(expiry), digits(#values) }) do seen[#seen + 1] = part end
      for _, value in ipairs(values) do seen[#seen + 1] = value end
    end
  end
until cursor == '0'
return seen";

/// How much two times may differ that are the same, in milliseconds: Redis tells a script a time
/// that is a little behind.
const NEAR: u64 = 100;
/// Longest that anything but a session lives: a rotated token's forward, a code's answer, in
/// milliseconds.
const LONGEST_PASSING: u64 = 600_000;

/// Longest that a user's state lives: ten years, in milliseconds.
const LONGEST_STATE: u64 = 3653 * 24 * 3_600_000;

/// What a walk has found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Sessions that live.
    pub(crate) sessions: usize,
    /// Tokens that were rotated away and open their session a moment longer.
    pub(crate) forwards: usize,
    /// Users who are signed in.
    pub(crate) users: usize,
    /// Login codes that are being exchanged, or have been.
    pub(crate) codes: usize,
    problems: Vec<String>,
}

struct Entry {
    kind: String,
    expiry: Option<u64>,
    values: Vec<Vec<u8>>,
}

/// Of an index's member: where it stands, and its expiry.
type Members<'a> = BTreeMap<(&'a str, String), Vec<(&'a str, u64)>>;

/// Looks at every key that begins so.
pub(crate) fn walk(server: &RedisServer, prefix: &str) -> Walk {
    let parts: Vec<Vec<u8>> = redis::cmd("EVAL")
        .arg(SNAPSHOT)
        .arg(0)
        .arg(prefix)
        .query(&mut server.connect(""))
        .unwrap();
    let (now, entries) = read(parts);
    let mut walk = Walk::default();
    let members = walk.indexes(prefix, now, &entries);
    for (key, entry) in &entries {
        walk.one(prefix, now, key, entry, &members);
    }
    for ((tag, name), places) in members {
        for (index, _) in places.iter().filter(|(_, expiry)| *expiry > now + NEAR) {
            let record = entries.get(&format!("{prefix}:s:{{{tag}}}:{name}"));
            if !record.is_some_and(|record| is_record(&record.values)) {
                walk.problems.push(format!(
                    "{index} names {name}, and there is no such session"
                ));
            }
        }
    }
    walk
}

impl Walk {
    /// Fails if anything is not as promised.
    #[track_caller]
    pub(crate) fn assert_sound(self) -> Self {
        assert!(self.problems.is_empty(), "{:#?}", self.problems);
        self
    }

    /// What is wrong, a line each.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Who is in the indexes, and that each lives as long as the last of its members.
    fn indexes<'a>(
        &mut self,
        prefix: &str,
        now: u64,
        entries: &'a BTreeMap<String, Entry>,
    ) -> Members<'a> {
        let mut members = Members::new();
        let beginning = format!("{prefix}:u:{{");
        for (key, entry) in entries
            .iter()
            .filter(|(key, _)| key.starts_with(&beginning))
        {
            self.users += 1;
            let tag = key[beginning.len()..].split('}').next().unwrap_or_default();
            let mut last = 0;
            for field in entry.values.chunks_exact(2) {
                if field[0].len() == 16 {
                    let (expiry, _) = std::str::from_utf8(&field[1])
                        .ok()
                        .and_then(|value| value.split_once(':'))
                        .unwrap_or_default();
                    let expiry = expiry.parse().unwrap_or(u64::MAX);
                    last = last.max(expiry);
                    members
                        .entry((tag, hufu::crypto::encoding::base64url(&field[0])))
                        .or_default()
                        .push((key, expiry));
                } else if !matches!(&*field[0], b"k0" | b"k1") {
                    self.problems.push(format!(
                        "{key} has a field {:?}",
                        field[0].escape_ascii().to_string()
                    ));
                }
            }
            if entry.kind != "hash" || last + NEAR < now || !near(entry.expiry, last) {
                self.problems.push(format!("{key} is a {} until {:?}; the last of its sessions ends at {last}, it is {now}", entry.kind, entry.expiry));
            }
        }
        members
    }

    fn one(&mut self, prefix: &str, now: u64, key: &str, entry: &Entry, members: &Members<'_>) {
        let Some(expiry) = entry.expiry else {
            self.problems.push(format!("{key} has no expiry"));
            return;
        };
        let rest = key.strip_prefix(prefix).unwrap_or_default();
        if let Some(session) = rest.strip_prefix(":s:{") {
            let (tag, name) = session.split_once("}:").unwrap_or_default();
            let places = members
                .get(&(tag, name.to_owned()))
                .map(Vec::as_slice)
                .unwrap_or_default();
            if is_record(&entry.values) {
                self.sessions += 1;
                // Not in the index: nobody could sign it out with the others. In two: it would not
                // be its user's alone.
                if places.len() != 1 || !near(Some(expiry), places[0].1) {
                    self.problems.push(format!(
                        "{key} ends at {expiry}, and the indexes have it as {places:?}"
                    ));
                }
            } else {
                self.forwards += 1;
                self.passing(key, now, expiry);
            }
        } else if rest.starts_with(":c:") {
            self.codes += 1;
            self.passing(key, now, expiry);
        } else if rest.starts_with(":l:") {
            // A cell of a limit goes when the quota has filled up again.
            self.passing(key, now, expiry);
        } else if rest.starts_with(":a:{") {
            let is_state = entry.values.first().is_some_and(|state| state[0] == 1);
            if !is_state || expiry > now + LONGEST_STATE + NEAR {
                self.problems.push(format!(
                    "{key} is no state, or stays for {} ms",
                    expiry - now
                ));
            }
        } else if !rest.starts_with(":u:{") {
            self.problems
                .push(format!("{key} is nothing that the gateway writes"));
        }
    }

    fn passing(&mut self, key: &str, now: u64, expiry: u64) {
        if expiry > now + LONGEST_PASSING + NEAR {
            self.problems
                .push(format!("{key} stays for {} ms", expiry - now));
        }
    }
}

fn near(one: Option<u64>, other: u64) -> bool {
    one.is_some_and(|one| one.abs_diff(other) <= NEAR)
}

/// A session's record and not where it went: `scripts/index.lua` looks at the same bit.
fn is_record(values: &[Vec<u8>]) -> bool {
    values
        .first()
        .and_then(|value| value.first())
        .is_some_and(|version| *version < 128)
}

fn read(parts: Vec<Vec<u8>>) -> (u64, BTreeMap<String, Entry>) {
    let mut parts = parts.into_iter();
    let text = |parts: &mut std::vec::IntoIter<Vec<u8>>| {
        parts.next().map(|part| String::from_utf8(part).unwrap())
    };
    let now: u64 = text(&mut parts).unwrap().parse().unwrap();
    let mut entries = BTreeMap::new();
    while let Some(key) = text(&mut parts) {
        let kind = text(&mut parts).unwrap();
        let expiry: i64 = text(&mut parts).unwrap().parse().unwrap();
        let count: usize = text(&mut parts).unwrap().parse().unwrap();
        let values = parts.by_ref().take(count).collect();
        entries.insert(
            key,
            Entry {
                kind,
                expiry: u64::try_from(expiry).ok(),
                values,
            },
        );
    }
    (now, entries)
}
