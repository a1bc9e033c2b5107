//! `PUT /admin/api/users/block?app=…&user=…`: keeps a user out.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::apps::CurrentApps;
use super::operator::Operator;
use super::outcome::outcome_of;
use super::show_user::BlockView;
use super::user::UserQuery;
use crate::clock::UnixMillis;
use crate::http::answer::json;
use crate::http::json_body::{Example, TypedObject};
use crate::http::to_the_end::to_the_end;
use crate::http::{ErrorCode, GatewayError};
use crate::session::{Block, Blocked, UserKey, UserService};

/// Until when, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockRequest {
    /// `None`: until it is lifted, and for ten years at most.
    until: Option<String>,
    #[serde(default)]
    reason: String,
}

impl Example for BlockRequest {
    const EXAMPLE: &'static str = "{\"until\": \"2027-01-01T00:00:00Z\", \"reason\": \"…\"}, or {}";
}

#[derive(Serialize)]
struct BlockAnswer<'a> {
    revoked: u64,
    #[serde(flatten)]
    block: BlockView<'a>,
}

/// 200 with the block, and with how many sessions ended by this.
pub(super) async fn block_user(
    operator: Operator,
    query: web::Query<UserQuery>,
    body: TypedObject<BlockRequest>,
    apps: web::Data<CurrentApps>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, _) = query.find(&apps)?;
    let TypedObject(BlockRequest { until, reason }) = body;
    if reason.chars().count() > Block::REASON_MAX {
        return Err(invalid(format!(
            "The reason has more than {} characters.",
            Block::REASON_MAX
        )));
    }
    let until = until.map(|text| time(&text)).transpose()?;
    to_the_end(async move { block(&users, &user, until, &reason, &operator).await }).await
}

async fn block(
    users: &UserService,
    user: &UserKey,
    until: Option<UnixMillis>,
    reason: &str,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let name = users.name_of(user);
    match users.block(user, until, reason).await {
        Ok(Blocked::Done { block, ended }) => {
            let until = block.until.rfc3339();
            log::info!(audit = "block", outcome = "done", app = &*user.app, user = name.as_str(), revoked = ended, until = until.as_str(), reason = reason, by = &*operator.token, from = &*operator.address; "an operator blocked a user");
            let block = BlockView::from(&block);
            Ok(json(&BlockAnswer {
                revoked: ended,
                block,
            }))
        }
        Ok(Blocked::Over) => {
            let until = until.map(UnixMillis::rfc3339).unwrap_or_default();
            log::info!(audit = "block", outcome = "refused", app = &*user.app, user = name.as_str(), until = until.as_str(), reason = reason, by = &*operator.token, from = &*operator.address; "an operator's block of a user was refused: its end is past");
            Err(invalid("The time of until is past.".to_owned()))
        }
        Err(error) => {
            let outcome = outcome_of(&error);
            let until = until.map(UnixMillis::rfc3339).unwrap_or_default();
            log::warn!(audit = "block", outcome = outcome, app = &*user.app, user = name.as_str(), until = until.as_str(), reason = reason, by = &*operator.token, from = &*operator.address; "an operator's block of a user got no good answer of the store: {}", error.reason);
            Err(error.into())
        }
    }
}

fn time(text: &str) -> Result<UnixMillis, GatewayError> {
    UnixMillis::from_rfc3339(text)
        .ok_or_else(|| invalid("The until is no time such as \"2027-01-01T00:00:00Z\" or \"2027-01-01T00:00:00+08:00\".".to_owned()))
}

fn invalid(detail: String) -> GatewayError {
    GatewayError::new(ErrorCode::RequestInvalid, detail)
}
