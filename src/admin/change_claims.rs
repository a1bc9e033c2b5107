//! `PATCH /admin/api/users/claims?app=…&user=…`: changes the claims of all sessions of a user.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::apps::CurrentApps;
use super::operator::Operator;
use super::outcome::outcome_of;
use super::user::{UserQuery, unreadable};
use crate::http::answer::json;
use crate::http::json_body::{Example, TypedObject};
use crate::http::to_the_end::to_the_end;
use crate::http::{ErrorCode, GatewayError};
use crate::session::{Claims, ClaimsChange, ClaimsPatch, PatchLife, UserKey, UserService};

impl Example for ClaimsPatch {
    const EXAMPLE: &'static str = "{\"role\": [\"staff\"], \"vip\": null}";
    const TYPES: &'static [&'static str] = &["application/merge-patch+json", "application/json"];
}

#[derive(Serialize)]
struct ChangeAnswer {
    sessions: u64,
    claims: Claims,
}

/// 200 with how many sessions the user has, and the claims of the newest one; without a session
/// those that the user gets at a login. The body is a JSON merge patch (RFC 7396).
pub(super) async fn change_claims(
    operator: Operator,
    query: web::Query<UserQuery>,
    body: TypedObject<ClaimsPatch>,
    apps: web::Data<CurrentApps>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, app) = query.find(&apps)?;
    let TypedObject(patch) = body;
    to_the_end(async move { change(&users, &user, &patch, app.patch_life(), &operator).await })
        .await
}

async fn change(
    users: &UserService,
    user: &UserKey,
    patch: &ClaimsPatch,
    life: PatchLife,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let name = users.name_of(user);
    let set = names(patch, true);
    let removed = names(patch, false);
    match users.change_claims(user, patch, life).await {
        Ok(ClaimsChange::Done { sessions, claims }) => {
            log::info!(audit = "claims", outcome = "done", app = &*user.app, user = name.as_str(), set = set.as_str(), removed = removed.as_str(), sessions = sessions, by = &*operator.token, from = &*operator.address; "an operator changed the claims of a user");
            Ok(json(&ChangeAnswer { sessions, claims }))
        }
        Ok(ClaimsChange::Unfit(error)) => {
            log::info!(audit = "claims", outcome = "refused", app = &*user.app, user = name.as_str(), set = set.as_str(), removed = removed.as_str(), by = &*operator.token, from = &*operator.address; "an operator's change of the claims of a user was refused: {error}");
            Err(GatewayError::new(
                ErrorCode::RequestInvalid,
                format!("Nothing was changed, the claims do not fit: {error}."),
            ))
        }
        Ok(ClaimsChange::Busy) => {
            log::warn!(audit = "claims", outcome = "failed", app = &*user.app, user = name.as_str(), set = set.as_str(), removed = removed.as_str(), by = &*operator.token, from = &*operator.address; "an operator's change of the claims of a user was given up: others changed the user's sessions all the time");
            Err(GatewayError::new(
                ErrorCode::RateLimited,
                "This user's sessions were changed by others all the time; nothing was changed. If that goes on, block the user.",
            )
            .retry_after(Duration::from_secs(1)))
        }
        Ok(ClaimsChange::Unreadable(session, why)) => {
            let session = session.to_string();
            log::warn!(audit = "claims", outcome = "failed", app = &*user.app, user = name.as_str(), set = set.as_str(), removed = removed.as_str(), session = session.as_str(), by = &*operator.token, from = &*operator.address; "the claims of a user cannot be changed, since the record of a session cannot be read: {why}");
            Err(GatewayError::new(
                ErrorCode::Misconfigured,
                format!(
                    "Nothing was changed: the record of session {session} cannot be read ({why}). Configure the key that sealed it, or end all sessions of the user."
                ),
            ))
        }
        Ok(ClaimsChange::UnreadableState(state)) => {
            log::warn!(audit = "claims", outcome = "failed", app = &*user.app, user = name.as_str(), set = set.as_str(), removed = removed.as_str(), by = &*operator.token, from = &*operator.address; "the claims of a user cannot be changed: {state}");
            Err(unreadable(&state))
        }
        Err(error) => {
            let outcome = outcome_of(&error);
            log::warn!(audit = "claims", outcome = outcome, app = &*user.app, user = name.as_str(), set = set.as_str(), removed = removed.as_str(), by = &*operator.token, from = &*operator.address; "an operator's change of the claims of a user got no good answer of the store: {}", error.reason);
            Err(error.into())
        }
    }
}

/// The names of the claims that are set, or removed. Their values stay out of the log.
fn names(patch: &ClaimsPatch, set: bool) -> String {
    let named = patch.iter().filter(|(_, value)| value.is_some() == set);
    named.map(|(name, _)| name).collect::<Vec<_>>().join(",")
}
