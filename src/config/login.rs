//! `[login]`: how a code becomes a session.

use std::time::Duration;

use super::login_hook;
use super::parsers::{duration_to, quota};
use super::reader::Section;
use crate::identity::LoginHookSettings;
use crate::limit::LoginQuotas;

/// The rules of a login.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// How long the same code gets the same answer.
    pub replay_window: Duration,
    /// How often somebody may log in.
    pub quotas: LoginQuotas,
    /// The backend that is asked about logins, if any is.
    pub hook: Option<LoginHookSettings>,
}

/// Codes live for five minutes.
const LONGEST: Duration = Duration::from_secs(300);

pub(super) fn read(section: &mut Section<'_>, around: &login_hook::Surroundings) -> LoginSettings {
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
    let hook = section.section("hook", |section| login_hook::read(section, around));
    LoginSettings {
        replay_window,
        quotas,
        hook,
    }
}
