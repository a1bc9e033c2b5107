//! Tickets of an app's, for pages in WeChat's browser: `getticket`.

use std::time::Duration;

use serde::Deserialize;

use super::server_api::TICKET as PATH;
use super::users::{Status, parsed};
use crate::provider::client::Call;
use crate::provider::platform::TicketApi;
use crate::provider::reply::{granted, needed};

pub(super) static TICKETS: TicketApi = TicketApi {
    path: PATH,
    request: |token, kind| {
        Call::get(PATH)
            .query("access_token", token)
            .query("type", kind.as_str())
    },
    read: |body| {
        let body: TicketBody = serde_json::from_slice(body)?;
        let (ticket, life) = (body.ticket, body.expires_in);
        Ok(parsed(body.status, || {
            let text = needed("ticket", ticket)?;
            granted(text, Duration::from_secs(life.into()))
        }))
    },
};

#[derive(Deserialize)]
struct TicketBody {
    #[serde(flatten)]
    status: Status,
    ticket: Option<String>,
    #[serde(default)]
    expires_in: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TokenUse;

    #[test]
    fn a_ticket_is_read_and_a_refused_token_told_apart() {
        let read = |body: &str| (TICKETS.read)(body.as_bytes()).unwrap();
        let good = read(
            r#"{"errcode":0,"errmsg":"ok","ticket":"kgt8-long-enough-to-be-one","expires_in":7200}"#,
        );
        assert!(good.error.is_none());
        let Ok(TokenUse::Taken(ticket)) = good.value else {
            panic!("{:?}", good.value)
        };
        assert_eq!(ticket.token.expose(), "kgt8-long-enough-to-be-one");
        assert_eq!(ticket.expires_in, Duration::from_secs(7200));
        let refused = read(r#"{"errcode":40001,"errmsg":"invalid credential"}"#);
        assert!(matches!(refused.value, Ok(TokenUse::Refused(_))));
        assert!(read(r#"{"errcode":0,"errmsg":"ok"}"#).value.is_err());
    }
}
