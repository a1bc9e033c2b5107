//! `GET /admin/api/users?app=…&user=…`: what is kept of a user beside the sessions.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::apps::CurrentApps;
use super::user::{UserQuery, unreadable};
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::session::{Block, ClaimsPatch, KeptPatch, PatchLife, SessionService, UserService};

#[derive(Serialize)]
struct UserView<'a> {
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer_appid: Option<&'a str>,
    provider: &'static str,
    user: &'a str,
    sessions: usize,
    blocked: Option<BlockView<'a>>,
    /// `null` in it: the claim is removed.
    changed_claims: &'a ClaimsPatch,
    /// `None`: they last, or there are none.
    changed_until: Option<String>,
}

/// A block as operators see it.
#[derive(Serialize)]
pub(super) struct BlockView<'a> {
    since: String,
    until: String,
    reason: &'a str,
}

impl<'a> From<&'a Block> for BlockView<'a> {
    fn from(block: &'a Block) -> Self {
        Self {
            since: block.since.rfc3339(),
            until: block.until.rfc3339(),
            reason: &block.reason,
        }
    }
}

/// 200 also for a user who was never here: nothing is kept of most.
pub(super) async fn show_user(
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    sessions: web::Data<SessionService>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, app) = query.find(&apps)?;
    let state = users.state(&user).await?.map_err(|state| {
        log::warn!(app = &*user.app, user = users.name_of(&user).as_str(); "a user cannot be shown: {state}");
        unreadable(&state)
    })?;
    let none = ClaimsPatch::default();
    // A lasting change of the time before the app had a login hook reaches no login any more.
    let is_obeyed =
        |kept: &&KeptPatch| kept.until.is_some() || app.patch_life() == PatchLife::Lasting;
    let kept = state.patch.as_ref().filter(is_obeyed);
    Ok(json(&UserView {
        app: &user.app,
        authorizer_appid: user.authorizer.as_deref(),
        provider: user.provider.as_str(),
        user: &user.subject,
        sessions: sessions.devices(&user).await?.len(),
        blocked: state.blocked.as_ref().map(BlockView::from),
        changed_claims: kept.map_or(&none, |kept| &kept.patch),
        changed_until: kept.and_then(|kept| Some(kept.until?.rfc3339())),
    }))
}
