//! `DELETE /admin/api/users/block?app=…&user=…`: lets a user sign in again.

use actix_web::{HttpResponse, web};

use super::apps::CurrentApps;
use super::operator::Operator;
use super::outcome::outcome_of;
use super::user::UserQuery;
use crate::http::GatewayError;
use crate::http::to_the_end::to_the_end;
use crate::session::{UserKey, UserService};

/// 204 when the user can sign in again, whether or not there was a block.
pub(super) async fn unblock_user(
    operator: Operator,
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, _) = query.find(&apps)?;
    to_the_end(async move { unblock(&users, &user, &operator).await }).await
}

async fn unblock(
    users: &UserService,
    user: &UserKey,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let name = users.name_of(user);
    match users.unblock(user).await {
        Ok(Some(_)) => {
            log::info!(audit = "unblock", outcome = "done", app = &*user.app, user = name.as_str(), by = &*operator.token, from = &*operator.address; "an operator lifted the block of a user");
        }
        Ok(None) => {
            log::info!(audit = "unblock", outcome = "nothing", app = &*user.app, user = name.as_str(), by = &*operator.token, from = &*operator.address; "a user whom an operator unblocked was not blocked");
        }
        Err(error) => {
            let outcome = outcome_of(&error);
            log::warn!(audit = "unblock", outcome = outcome, app = &*user.app, user = name.as_str(), by = &*operator.token, from = &*operator.address; "lifting the block of a user for an operator got no good answer of the store: {}", error.reason);
            return Err(error.into());
        }
    }
    Ok(HttpResponse::NoContent().finish())
}
