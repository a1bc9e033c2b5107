//! `[login]`: how a code becomes a session.

use std::time::Duration;

use super::parsers::duration_to;
use super::problem::Wrong;
use super::reader::Section;
use crate::limit::{BadQuota, LoginQuotas, Quota};

/// The rules of a login.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// How long the same code gets the same answer.
    pub replay_window: Duration,
    /// How often somebody may log in.
    pub quotas: LoginQuotas,
}

/// Codes live for five minutes.
const LONGEST: Duration = Duration::from_secs(300);

pub(super) fn read(section: &mut Section<'_>) -> LoginSettings {
    let window = duration_to(
        LONGEST,
        Duration::from_millis(100),
        "is longer than a login code lives",
        "write at most \"5m\"; a few seconds are enough for a retry",
    );
    let replay_window = section.value("replay_window", window);
    let quotas = section.section("rate_limit", |section| LoginQuotas {
        per_ip: section.value("per_ip", quota),
        per_user: section.value("per_user", quota),
        per_app: section.value("per_app", quota),
    });
    LoginSettings {
        replay_window,
        quotas,
    }
}

/// So many in so much time, or none of it.
fn quota(text: &str) -> Result<Option<Quota>, Wrong> {
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
                "would block all logins",
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
