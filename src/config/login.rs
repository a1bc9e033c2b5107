//! `[login]`: how a code becomes a session.

use std::time::Duration;

use super::problem::Wrong;
use super::reader::Section;
use super::values::duration;

/// The rules of a login.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// How long the same code gets the same answer.
    pub replay_window: Duration,
}

/// A code of WeChat lives for five minutes.
const LONGEST: Duration = Duration::from_secs(300);

pub(super) fn read(section: &mut Section<'_>) -> LoginSettings {
    let window = |text: &str| {
        let span = duration(Duration::from_millis(100))(text)?;
        let wrong = || Wrong::new("is longer than a login code lives", "write at most \"5m\"; a few seconds are enough for a retry");
        if span > LONGEST { Err(wrong()) } else { Ok(span) }
    };
    LoginSettings { replay_window: section.value("replay_window", window) }
}
