//! `[websockets]`: how many may be open, and for how long in silence.

use std::time::Duration;

use super::parsers::duration;
use super::reader::Section;
use crate::proxy::websocket::limits::WebsocketLimits;

pub(super) fn read(section: &mut Section<'_>) -> WebsocketLimits {
    section.takes_restart();
    WebsocketLimits {
        max: section.number("max", 10_000_000),
        max_per_user: section.number("max_per_user", 10_000),
        idle_timeout: section.value("idle_timeout", duration(Duration::from_secs(1))),
    }
}
