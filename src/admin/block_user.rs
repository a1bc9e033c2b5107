//! `PUT` and `DELETE /admin/api/users/block?app=…&user=…`: keeps a user out.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::show_user::BlockView;
use super::user::{CurrentApps, UserQuery, operator_address};
use crate::clock::UnixMillis;
use crate::http::answer::json;
use crate::http::json_body::{Example, Object};
use crate::http::{ErrorCode, GatewayError};
use crate::session::{Block, Blocked, UserService};

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
    req: HttpRequest,
    query: web::Query<UserQuery>,
    body: web::Json<Object<BlockRequest>>,
    apps: web::Data<CurrentApps>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, _) = query.find(&apps.now())?;
    let Object(BlockRequest { until, reason }) = body.into_inner();
    if reason.chars().count() > Block::REASON_MAX {
        return Err(invalid(format!(
            "The reason has more than {} characters.",
            Block::REASON_MAX
        )));
    }
    let until = until.map(|text| time(&text)).transpose()?;
    match users.block(&user, until, &reason).await? {
        Blocked::Done { block, ended } => {
            let (name, from) = (users.name_of(&user), operator_address(&req));
            let until = block.until.rfc3339();
            log::info!(audit = "block", app = &*user.app, user = name.as_str(), revoked = ended, until = until.as_str(), reason = reason.as_str(), from = from.as_str(); "an operator blocked a user");
            let block = BlockView::from(&block);
            Ok(json(&BlockAnswer {
                revoked: ended,
                block,
            }))
        }
        Blocked::Over => Err(invalid("The time of until is past.".to_owned())),
    }
}

/// 204 when the user can sign in again, whether or not there was a block.
pub(super) async fn unblock_user(
    req: HttpRequest,
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, _) = query.find(&apps.now())?;
    if users.unblock(&user).await?.is_some() {
        let (name, from) = (users.name_of(&user), operator_address(&req));
        log::info!(audit = "unblock", app = &*user.app, user = name.as_str(), from = from.as_str(); "an operator lifted the block of a user");
    }
    Ok(HttpResponse::NoContent().finish())
}

fn time(text: &str) -> Result<UnixMillis, GatewayError> {
    UnixMillis::from_rfc3339(text)
        .ok_or_else(|| invalid("The until is no time such as \"2027-01-01T00:00:00Z\".".to_owned()))
}

fn invalid(detail: String) -> GatewayError {
    GatewayError::new(ErrorCode::RequestInvalid, detail)
}
