//! `[open_data]`: what the platform's client seals under a user's session_key, and phone numbers.

use std::time::Duration;

use super::parsers::{duration, quota};
use super::reader::Section;
use crate::identity::OpenDataRules;

pub(super) fn read(section: &mut Section<'_>) -> OpenDataRules {
    OpenDataRules {
        max_age: Some(section.value("max_age", duration(Duration::ZERO)))
            .filter(|max_age| !max_age.is_zero()),
        phone_limit: section.value("phone_limit", quota),
    }
}
