//! The list of allowed paths in every spelling, over sockets: a client library would tidy some away.

use serde_json::Value;

use super::{calls, client, gateway, with_secret};

/// Spellings of what is allowed, `/wxa/test/echo`, and of what is not.
const REFUSED: &[(&str, u16, &str)] = &[
    ("/wxa/test/../getwxacode", 400, "path_invalid"),
    ("/wxa/test/./echo", 400, "path_invalid"),
    ("/wxa/test/%2e%2e/getwxacode", 400, "path_invalid"),
    ("/wxa/test/..%2fgetwxacode", 400, "path_invalid"),
    ("/wxa/test/%2E%2E%2Fgetwxacode", 400, "path_invalid"),
    ("/wxa/test/..%252fgetwxacode", 400, "path_invalid"),
    ("/wxa/test/..;/getwxacode", 400, "path_invalid"),
    ("/wxa/test;x=1/echo", 400, "path_invalid"),
    ("/wxa/test/..\\getwxacode", 400, "path_invalid"),
    ("/wxa/test/%5c..%5cgetwxacode", 400, "path_invalid"),
    ("//wxa/test/echo", 400, "path_invalid"),
    ("/wxa//test/echo", 400, "path_invalid"),
    ("/wxa/test//echo", 400, "path_invalid"),
    ("/wxa/test/echo//", 400, "path_invalid"),
    ("/wxa/test/ech%6f", 400, "path_invalid"),
    ("/wxa/test/echo%00", 400, "path_invalid"),
    ("/wxa/test/echo%0d%0aX:y", 400, "path_invalid"),
    ("/wxa/test/echo%3f", 400, "path_invalid"),
    ("/wxa/test/echo%23", 400, "path_invalid"),
    ("/wxa/test/echo.json", 400, "path_invalid"),
    ("/wxa/test/echo,", 400, "path_invalid"),
    ("/wxa/test/echo@x", 400, "path_invalid"),
    ("/wxa/test/echo:80", 400, "path_invalid"),
    ("/wxa/test/\u{65}\u{301}", 400, "path_invalid"),
    ("/wxa/test/echo#x", 400, "path_invalid"),
    ("/", 400, "path_invalid"),
    ("http://x", 400, "path_invalid"),
    ("http://x/wxa/test/echo", 403, "api_not_allowed"),
    ("https://x/wxa/test/echo", 403, "api_not_allowed"),
    ("/wxa/test", 403, "api_not_allowed"),
    ("/wxa/test/", 403, "api_not_allowed"),
    ("/wxa/TEST/echo", 403, "api_not_allowed"),
    ("/WXA/test/echo", 403, "api_not_allowed"),
    ("/wxa/testing/echo", 403, "api_not_allowed"),
    ("/wxa/msg_sec_check/x", 403, "api_not_allowed"),
    ("/wxa/msg_sec_checks", 403, "api_not_allowed"),
    ("/cgi-bin/message", 403, "api_not_allowed"),
    // Never, whatever the list says.
    ("/sns/jscode2session", 403, "api_not_allowed"),
    ("/SNS/oauth2/access_token", 403, "api_not_allowed"),
    (
        "/cgi-bin/Component/api_component_token",
        403,
        "api_not_allowed",
    ),
    ("/cgi-bin/openapi/rid/get", 403, "api_not_allowed"),
    ("/cgi-bin/OpenAPI/RID/get/", 403, "api_not_allowed"),
    ("/cgi-bin/openapi/rid", 403, "api_not_allowed"),
    ("/cgi-bin/openapi/Rid/", 403, "api_not_allowed"),
    ("/cgi-bin/component", 403, "api_not_allowed"),
    ("/cgi-bin/COMPONENT/", 403, "api_not_allowed"),
    ("/sns/", 403, "api_not_allowed"),
    ("/cgi-bin/openapi/quota/clear", 403, "api_not_allowed"),
    ("/cgi-bin/openapi/Quota/CLEAR/", 403, "api_not_allowed"),
    ("/cgi-bin/clear_quota", 403, "api_not_allowed"),
    ("/cgi-bin/clear_quota/v2", 403, "api_not_allowed"),
    ("/cgi-bin/CLEAR_QUOTA_by_appsecret", 403, "api_not_allowed"),
    ("/wxa/ResetUserSessionKey", 403, "api_not_allowed"),
    ("/tcb/getqcloudtoken/", 403, "api_not_allowed"),
    ("/cgi-bin/Token", 403, "api_not_allowed"),
    ("/cgi-bin/token/", 403, "api_not_allowed"),
    ("/cgi-bin/stable_token/", 403, "api_not_allowed"),
    ("/cgi-bin/ticket/GetTicket", 403, "api_not_allowed"),
];

#[tokio::test]
async fn no_spelling_leads_past_the_list() {
    let gateway = gateway(&client(""));
    for (path, status, code) in REFUSED {
        let answer = gateway
            .raw_api(with_secret(&format!("GET {path}"), ""))
            .await;
        answer.refuses(*status, code, path);
    }
    assert_eq!(calls(&gateway, "stable_token"), 0);
    for (sent, arrives) in [
        ("/wxa/test/echo", "/wxa/test/echo"),
        ("/wxa/test/echo?a=/../x", "/wxa/test/echo"),
    ] {
        let answer = gateway
            .raw_api(with_secret(&format!("GET {sent}"), ""))
            .await;
        let echoed: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(echoed["path"], arrives, "{sent}");
    }
}

#[tokio::test]
async fn a_list_with_everything_still_leaves_out_what_never_passes() {
    let everything = client("").replace("\"/wxa/msg_sec_check\"", "\"/*\"");
    let gateway = gateway(&everything);
    for (path, _, code) in REFUSED
        .iter()
        .skip_while(|(path, ..)| !path.starts_with("/sns"))
    {
        let answer = gateway
            .raw_api(with_secret(&format!("GET {path}"), ""))
            .await;
        answer.refuses(403, code, path);
    }
    let open = gateway
        .raw_api(with_secret("GET /wxa/checksession", ""))
        .await;
    assert_eq!((open.status, calls(&gateway, "checksession")), (200, 1));
}
