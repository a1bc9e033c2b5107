//! Tickets, as the platform answers and as the gateway does, and the signatures of pages with one.

use serde::{Deserialize, Serialize};

use super::credentials::Caller;
use crate::clock::{UnixMillis, monotonic_now};
use crate::crypto::{hash, random};
use crate::http::{ErrorCode, GatewayError};
use crate::identity::{AccessToken, AppTicketSource, TicketKind};
use crate::provider::server_api::{PageFacts, ServerApi};

/// Longest URL of a page.
const URL_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageRequest {
    url: String,
}

/// As pages hand it to the platform's script.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageAnswer {
    app_id: String,
    timestamp: u64,
    nonce_str: String,
    signature: String,
}

#[derive(Serialize)]
pub(super) struct TicketAnswer {
    ticket: String,
    expires_in: u64,
}

/// As the platform answers.
#[derive(Serialize)]
pub(super) struct PlatformTicketAnswer {
    errcode: i64,
    errmsg: &'static str,
    #[serde(flatten)]
    ticket: TicketAnswer,
}

/// Signs a page's URL.
pub(super) async fn sign_page(
    caller: &Caller,
    request: PageRequest,
    tickets: &dyn AppTicketSource,
    api: &ServerApi,
    now: UnixMillis,
) -> Result<PageAnswer, GatewayError> {
    let is_page = ["https://", "http://"]
        .iter()
        .any(|scheme| request.url.starts_with(scheme));
    let is_plain = request.url.len() <= URL_MAX && !request.url.contains(char::is_control);
    if !is_page || !is_plain {
        return Err(GatewayError::new(
            ErrorCode::RequestInvalid,
            "url must be the whole URL of the page.",
        ));
    }
    let ticket = tickets.ticket(&caller.app.app, TicketKind::Page).await?;
    let nonce = hash::to_hex(&random::bytes::<16>());
    let facts = PageFacts {
        ticket: ticket.text.expose(),
        nonce: &nonce,
        timestamp: now.0 / 1000,
        // The browser does not send what stands behind it.
        url: request.url.split('#').next().unwrap_or_default(),
    };
    Ok(PageAnswer {
        app_id: caller.app.app.appid.to_string(),
        timestamp: facts.timestamp,
        signature: (api.page_signature)(&facts),
        nonce_str: nonce,
    })
}

/// The ticket for pages itself.
pub(super) async fn page_ticket(
    caller: &Caller,
    tickets: &dyn AppTicketSource,
) -> Result<TicketAnswer, GatewayError> {
    let ticket = tickets.ticket(&caller.app.app, TicketKind::Page).await?;
    Ok(handed_out(caller, TicketKind::Page, &ticket))
}

/// A ticket of the kind that the query names.
pub(super) async fn platform_ticket(
    caller: &Caller,
    kind: Option<&str>,
    tickets: &dyn AppTicketSource,
) -> Result<PlatformTicketAnswer, GatewayError> {
    let kind = TicketKind::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == kind)
        .ok_or_else(|| {
            GatewayError::new(
                ErrorCode::RequestInvalid,
                "There is no such type of ticket.",
            )
        })?;
    let ticket = tickets.ticket(&caller.app.app, kind).await?;
    Ok(PlatformTicketAnswer {
        errcode: 0,
        errmsg: "ok",
        ticket: handed_out(caller, kind, &ticket),
    })
}

fn handed_out(caller: &Caller, kind: TicketKind, ticket: &AccessToken) -> TicketAnswer {
    log::info!(app = &*caller.app.app.name, client = &*caller.client.settings.name; "a client was given the {} ticket of an app ({})", kind.as_str(), caller.app.app.appid);
    let left = ticket.until.saturating_duration_since(monotonic_now());
    TicketAnswer {
        ticket: ticket.text.expose().clone(),
        expires_in: left.as_secs(),
    }
}
