//! `[open_data]`: what the platform's client seals under a user's session_key, and phone numbers.

use std::time::Duration;

use super::claim_headers::claim_name;
use super::effective;
use super::parsers::{duration, quota};
use super::problem::{Wrong, refuse};
use super::reader::{Given, Section};
use crate::identity::{KeptField, OpenDataRules};
use crate::route::{Route, RouteTable};
use crate::session::Claims;

pub(super) fn read(section: &mut Section<'_>) -> OpenDataRules {
    OpenDataRules {
        max_age: Some(section.value("max_age", duration(Duration::ZERO)))
            .filter(|max_age| !max_age.is_zero()),
        phone_limit: section.value("phone_limit", quota),
        keep: read_keep(section),
    }
}

/// Warns where a route lets in by a claim whose value users choose.
pub(super) fn warn(root: &Section<'_>, rules: &OpenDataRules, routes: &RouteTable) {
    let chosen = rules.keep.iter().filter(|kept| kept.is_chosen_by_users());
    for KeptField { claim, field } in chosen {
        let is_required = |route: &Route| route.access.required_claims().any(|name| name == claim);
        let Some(index) = routes.routes().iter().position(is_required) else {
            continue;
        };
        let what = format!(
            "makes {field}, which users choose themselves, the claim {claim}, by which routes[{index}] lets in"
        );
        let hint = "give the field a claim that no require names";
        root.warn_below("open_data", "keep", &what, hint);
    }
}

/// `{ CLAIM = "FIELD" }`.
fn read_keep(section: &mut Section<'_>) -> Vec<KeptField> {
    let Some(given) = section.take("keep") else {
        section.note("keep", Some(toml::Table::new().into()));
        return Vec::new();
    };
    section.note("keep", Some(effective::written(given.value)));
    let entries = section.entries(&given);
    if entries.len() > Claims::MAX {
        section.fault_at(
            &given,
            &format!("names more than {} claims", Claims::MAX),
            "a session has no more; remove some",
        );
    }
    let kept = entries
        .iter()
        .filter_map(|(claim, given)| kept_field(section, claim, given));
    kept.collect()
}

fn kept_field<'a>(section: &Section<'a>, claim: &str, given: &Given<'a>) -> Option<KeptField> {
    if let Err(wrong) = claim_name(claim) {
        section.fault_at(given, &format!("{claim:?} {}", wrong.what), &wrong.hint);
        return None;
    }
    let field = section.entry(given, field)?;
    Some(KeptField {
        claim: claim.to_owned(),
        field,
    })
}

fn field(text: &str) -> Result<String, Wrong> {
    let is_name = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return refuse(
            "is no name of a field",
            "write one as in { phone = \"phone_number\", nickname = \"nickName\" }",
        );
    }
    if text.eq_ignore_ascii_case("watermark") {
        return refuse("is no fact of a user", "remove it");
    }
    Ok(text.to_owned())
}
