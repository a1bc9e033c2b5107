//! The server side APIs, as backends call them.

use super::TOKEN_REFUSED;
use crate::crypto::hash;
use crate::provider::server_api::{PageFacts, ServerApi, ServerRefusal};

pub(super) const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
pub(super) const CLASSIC_TOKEN: &str = "/cgi-bin/token";
pub(super) const TICKET: &str = "/cgi-bin/ticket/getticket";
pub(super) const CLIENT_CREDENTIAL: &str = "client_credential";

pub(crate) static SERVER_API: ServerApi = ServerApi {
    token_parameter: "access_token",
    other_credentials: &["component_access_token", "cloudbase_access_token"],
    token_by_query: CLASSIC_TOKEN,
    token_by_body: STABLE_TOKEN,
    grant_type: CLIENT_CREDENTIAL,
    ticket: TICKET,
    page_signature,
    withheld: &[
        // The gateway's own business: tokens, tickets, logins and the users' keys.
        "/cgi-bin/token",
        "/cgi-bin/stable_token",
        TICKET,
        "/sns/*",
        "/wxa/resetusersessionkey",
        "/cgi-bin/component/*",
        // Answers that hold what others have sent, or another token.
        "/cgi-bin/openapi/rid/*",
        "/tcb/getqcloudtoken",
        // One client would use up what all share.
        "/cgi-bin/clear_quota*",
        "/cgi-bin/openapi/quota/clear*",
    ],
    header_prefix: "wechatmp-",
    error_fields: ["errcode", "errmsg"],
    refused_token: &TOKEN_REFUSED,
    refusal: |refusal| match refusal {
        ServerRefusal::NotAllowed => (48001, "api unauthorized"),
        ServerRefusal::NotAuthorized => (61003, "component is not authorized by this account"),
        ServerRefusal::WrongSecret => (40125, "invalid appsecret"),
        ServerRefusal::TokenExpired => (42001, "access_token expired"),
        ServerRefusal::TooOften => (45011, "api minute-quota reach limit"),
    },
};

/// As the page on the JS-SDK says: the parameters by name, as they are.
fn page_signature(facts: &PageFacts<'_>) -> String {
    let PageFacts {
        ticket,
        nonce,
        timestamp,
        url,
    } = facts;
    let text = format!("jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}");
    hash::to_hex(&hash::sha1(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of WeChat's page on the JS-SDK.
    #[test]
    fn the_signature_of_a_page_is_the_documented_one() {
        let facts = PageFacts {
            ticket: "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg",
            nonce: "Wm3WZYTPz0wzccnW",
            timestamp: 1_414_587_457,
            url: "http://mp.weixin.qq.com?params=value",
        };
        assert_eq!(
            (SERVER_API.page_signature)(&facts),
            "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
        );
    }
}
