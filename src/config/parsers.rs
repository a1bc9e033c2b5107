//! What a text means: durations, sizes, one of a few words.

use std::time::Duration;

use super::problem::{Wrong, refuse};
use crate::limit::{BadQuota, Quota};

/// Longer than anything here could mean; and a deadline that far ahead can still be computed.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A duration; `min` is the shortest that makes sense.
pub(super) fn duration(min: Duration) -> impl Fn(&str) -> Result<Duration, Wrong> {
    move |text| {
        let hint = "write a number with a unit, as in \"500ms\", \"15m\" or \"24h\"";
        let span =
            humantime::parse_duration(text).map_err(|_| Wrong::new("is not a duration", hint))?;
        match span {
            _ if span < min && min.is_zero() => refuse("is too short", hint),
            _ if span < min => refuse(
                "is too short",
                format!("the shortest is {}", humantime::format_duration(min)),
            ),
            _ if span > LONGEST => refuse("is longer than ten years", hint),
            _ => Ok(span),
        }
    }
}

/// The same, up to `max`; `what` and `hint` say why no more.
pub(super) fn duration_to(
    max: Duration,
    min: Duration,
    what: &'static str,
    hint: &'static str,
) -> impl Fn(&str) -> Result<Duration, Wrong> {
    move |text| match duration(min)(text)? {
        span if span > max => refuse(what, hint),
        span => Ok(span),
    }
}

/// So many in so much time, or none of it.
pub(super) fn quota(text: &str) -> Result<Option<Quota>, Wrong> {
    if text == "off" {
        return Ok(None);
    }
    let hint = "write COUNT/TIME as in \"600/1m\", or \"off\" for no limit";
    let (amount, window) = text
        .split_once('/')
        .ok_or_else(|| Wrong::new("is not a limit", hint))?;
    let amount = amount
        .trim()
        .parse::<u32>()
        .map_err(|_| Wrong::new("does not begin with a whole number", hint))?;
    let window = humantime::parse_duration(window.trim())
        .map_err(|_| Wrong::new("does not end with a duration", hint))?;
    Quota::new(amount, window)
        .map(Some)
        .map_err(|error| match error {
            BadQuota::Amount if amount == 0 => Wrong::new(
                "allows none at all",
                "write at least 1, or \"off\" for no limit",
            ),
            BadQuota::Amount => Wrong::new(
                "has a number that is too large to matter",
                format!("write at most {}, or \"off\" for no limit", Quota::MOST),
            ),
            BadQuota::Window => Wrong::new(
                "has a time that is not in whole seconds, or is longer than a day",
                "write a time from \"1s\" to \"24h\"",
            ),
        })
}

/// A size in bytes, above zero.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let wrong = || {
        Wrong::new(
            "is not a size",
            "write a number with a unit, as in \"64KiB\" or \"16MiB\"",
        )
    };
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    let size = text
        .parse::<bytesize::ByteSize>()
        .ok()
        .filter(|_| has_unit)
        .ok_or_else(wrong)?;
    if size.0 == 0 {
        refuse("is too small", "write more than \"0B\"")
    } else {
        Ok(size.0)
    }
}

/// One of a few words.
pub(super) fn choice<T: Clone, const N: usize>(
    words: [(&'static str, T); N],
) -> impl Fn(&str) -> Result<T, Wrong> {
    move |text| {
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| value.clone());
        found.ok_or_else(|| {
            let known = || words.iter().map(|(word, _)| *word);
            let meant = alike(&text.to_ascii_lowercase(), known(), 0.83)
                .map_or_else(String::new, |word| format!("did you mean {word:?}? "));
            Wrong::new("is an unknown value", meant + &one_of(known())).none_of(known())
        })
    }
}

/// The word that is spelt most like a text, if it is more alike than this (1: the same).
pub(super) fn alike<'a>(
    text: &str,
    words: impl Iterator<Item = &'a str>,
    least: f64,
) -> Option<&'a str> {
    words
        .map(|word| (strsim::jaro_winkler(text, word), word))
        .filter(|(likeness, _)| *likeness > least)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// `write "a", "b" or "c"`.
pub(super) fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(|word| format!("{word:?}")).collect();
    match words.split_last() {
        Some((last, [])) => format!("write {last}"),
        Some((last, rest)) => format!("write {} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
