//! `[session]`: how long sessions live and where their tokens stand.

use std::time::Duration;

use super::claim_headers::claim_name;
use super::parsers::{choice, duration, duration_to};
use super::problem::Wrong;
use super::reader::Section;
use crate::session::{Lifetime, SessionRules, TokenCarrier};
use crate::store::InvalidationChoice;
use crate::store::near_cache::NearCacheSettings;

/// The rules of sessions.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// How long they live, how many a user may have, and what happens to a token that is rotated
    /// away.
    pub rules: SessionRules,
    /// Where a token may stand; at least one place.
    pub carriers: Vec<TokenCarrier>,
    /// The claims that a client sees of its own session.
    pub visible_claims: Vec<String>,
    /// Sessions kept in the process; `None`: none.
    pub near_cache: Option<NearCacheSettings>,
}

/// What nobody was told of is served for so long.
const LONGEST_STALE: Duration = Duration::from_secs(60);
/// A token that was rotated away because somebody may have seen it must die soon.
const LONGEST_GRACE: Duration = Duration::from_secs(600);

pub(super) fn read(section: &mut Section<'_>) -> SessionSettings {
    section.takes_restart();
    let second = Duration::from_secs(1);
    let lifetime = Lifetime {
        idle: section.value("idle_timeout", duration(second)),
        absolute: section.value("absolute_timeout", duration(second)),
    };
    if lifetime.idle > lifetime.absolute {
        let idle = humantime::format_duration(lifetime.idle);
        let absolute = humantime::format_duration(lifetime.absolute);
        let key = section.written_of("idle_timeout", "absolute_timeout");
        section.problem(
            key,
            &format!("the idle timeout ({idle}) is longer than the absolute one ({absolute})"),
            "make absolute_timeout the longer one",
        );
    }
    let grace = duration_to(
        LONGEST_GRACE,
        Duration::ZERO,
        "is too long for a rotated token",
        "write at most \"10m\"; requests that carry it end within a minute",
    );
    let max_per_user = section.number("max_per_user", 10_000);
    let carriers = carriers(section);
    let visible_claims = section.on_reload(visible_claims);
    SessionSettings {
        rules: SessionRules {
            lifetime,
            max_per_user,
            rotate_grace: section.value("rotate_grace", grace),
        },
        carriers,
        visible_claims,
        near_cache: section.section("near_cache", near_cache),
    }
}

fn visible_claims(section: &mut Section<'_>) -> Vec<String> {
    let claims = section.list("visible_claims", claim_name);
    let twice = (1..claims.len()).find(|index| claims[..*index].contains(&claims[*index]));
    if let Some(claim) = twice.and_then(|index| claims.get(index)) {
        section.problem(
            "visible_claims",
            &format!("\"{claim}\" is there twice"),
            "remove one of them",
        );
    }
    claims
}

fn near_cache(section: &mut Section<'_>) -> Option<NearCacheSettings> {
    let max_stale = duration_to(
        LONGEST_STALE,
        Duration::from_millis(200),
        "is too long: an ended session could be served for that long",
        "write at most \"60s\"",
    );
    let settings = NearCacheSettings {
        push: InvalidationChoice::Auto,
        capacity: section.number("capacity", 10_000_000),
        max_stale: section.value("max_stale", max_stale),
        outage_grace: section.value("outage_grace", duration(Duration::ZERO)),
    };
    let push = section.value(
        "push",
        choice([
            ("auto", Some(InvalidationChoice::Auto)),
            ("tracking", Some(InvalidationChoice::Tracking)),
            ("pubsub", Some(InvalidationChoice::Pubsub)),
            ("off", None),
        ]),
    );
    push.filter(|_| settings.capacity > 0)
        .map(|push| NearCacheSettings { push, ..settings })
}

fn carriers(section: &mut Section<'_>) -> Vec<TokenCarrier> {
    let carriers = section.list("carriers", |text| {
        text.parse::<TokenCarrier>()
            .map_err(|error| Wrong::new(error.to_string(), ""))
    });
    let twice = (1..carriers.len()).find(|index| carriers[..*index].contains(&carriers[*index]));
    if let Some(carrier) = twice.and_then(|index| carriers.get(index)) {
        section.problem(
            "carriers",
            &format!("\"{carrier}\" is there twice"),
            "remove one of them",
        );
    }
    if carriers
        .iter()
        .any(|carrier| matches!(carrier, TokenCarrier::Query(_)))
    {
        section.warn(
            "carriers",
            "tokens in URLs end up in the logs of every proxy on the way",
            "use \"bearer\" wherever the client can set headers",
        );
    }
    if carriers.is_empty() && section.is_empty_list("carriers") {
        section.problem(
            "carriers",
            "is empty, so no token could be sent",
            "write [\"bearer\"]",
        );
    }
    carriers
}
