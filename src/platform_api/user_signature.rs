//! `POST /hufu/session-key/sign`: signs data with a user's session_key, which stays here.

use serde::{Deserialize, Serialize};

use super::credentials::Caller;
use crate::crypto::hash;
use crate::http::{ErrorCode, GatewayError};
use crate::session::{SessionKeys, UserKey};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignRequest {
    openid: String,
    data: String,
}

#[derive(Serialize)]
pub(super) struct SignAnswer {
    signature: String,
}

/// Signs with the newest key. The key is taken as it is written, not as the bytes behind it.
pub(super) async fn sign(
    caller: &Caller,
    request: SignRequest,
    keys: &dyn SessionKeys,
) -> Result<SignAnswer, GatewayError> {
    let client = &caller.client.settings;
    if !client.sign {
        return Err(GatewayError::new(
            ErrorCode::ApiNotAllowed,
            "platform_api.clients.NAME.sign of this client is false",
        ));
    }
    let app = &caller.app.app;
    let user = UserKey {
        provider: app.provider.kind(),
        app: app.name.clone(),
        authorizer: app.authorizer().cloned(),
        subject: request.openid.as_str().into(),
    };
    let newest = keys.session_keys(&user).await?.into_iter().next();
    let key = newest.ok_or_else(|| {
        GatewayError::new(
            ErrorCode::SessionKeyGone,
            "There is no session_key of this user; the user has to log in.",
        )
    })?;
    log::info!(app = &*app.name, client = &*client.name; "a client had {} bytes signed with the session_key of a user of {}", request.data.len(), app.appid);
    let signature = hash::hmac_sha256(key.key.expose().as_bytes(), request.data.as_bytes());
    Ok(SignAnswer {
        signature: hash::to_hex(&signature),
    })
}
