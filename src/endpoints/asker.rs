//! Whose request it is, for what is done in a user's name.

use actix_web::{HttpMessage, HttpRequest};

use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::http::extract::Inbound;
use crate::http::request_log::note_session;
use crate::identity::Asker;

/// The user of the request's session, noted for the access line.
pub async fn asker(req: &HttpRequest, auth: &Authenticator) -> Result<Asker, GatewayError> {
    let live = auth.session(req).await?;
    note_session(req, live.id, &live.session.user.app);
    let extensions = req.extensions();
    let inbound = extensions.get::<Inbound>();
    Ok(Asker {
        session: live.id,
        user: live.session.user.clone(),
        claims: live.session.claims.clone(),
        request_id: inbound
            .map(|inbound| inbound.id.to_string())
            .unwrap_or_default(),
    })
}
