//! What `hufu doctor` finds about something outside the gateway: the lines of its report.

use std::time::Duration;

/// How good or bad it is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Neither good nor bad, but worth knowing.
    Note,
    /// The gateway works, but not as well or not as safely as it could.
    Warn,
    /// The gateway, or something that was configured, does not work.
    Fail,
}

impl Verdict {
    /// The word in front of a line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was found. No text in it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How good or bad it is.
    pub verdict: Verdict,
    /// What was looked at, in a word or two: `eviction`.
    pub check: &'static str,
    /// What was seen.
    pub seen: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

impl Diagnostic {
    /// The advice may be empty.
    fn new(
        verdict: Verdict,
        check: &'static str,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            check,
            seen: seen.into(),
            advice: advice.into(),
        }
    }

    /// As it should be.
    pub fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, check, seen, "")
    }

    /// Worth knowing; the advice may be empty.
    pub fn note(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Verdict::Note, check, seen, advice)
    }

    /// Could be better.
    pub fn warn(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, check, seen, advice)
    }

    /// Does not work.
    pub fn fail(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, check, seen, advice)
    }
}

/// One subject with all its diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosedSubject {
    /// What it is: `redis 10.0.0.5:6379`, `app shop`.
    pub subject: String,
    /// What was found, in the order in which it was looked at.
    pub diagnostics: Vec<Diagnostic>,
}

/// A duration in milliseconds, as diagnostics show it: `0.24 ms`.
pub fn in_ms(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1000.0)
}
