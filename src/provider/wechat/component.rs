//! A third-party platform (第三方平台): it acts for mini programs that have authorised it. Its token
//! comes by the ticket that WeChat pushes, and a code of `wx.login` becomes an openid by
//! `component/jscode2session`. Source of the numbers: the pages of the Open Platform on each API.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::mini_program::{error, read};
use super::server_api::SERVER_API;
use super::{TOKEN_REFUSED, form, mini_program, tickets, users};
use crate::clock::UnixMillis;
use crate::identity::PlatformCode::{self, Number};
use crate::identity::{
    Authorization, AuthorizerTokens, ComponentEvent, DatedEvent, GrantedToken, PushedEvent,
    PushedFields, Refreshed, is_appid,
};
use crate::provider::client::Call;
use crate::provider::open_data::SessionKeyData;
use crate::provider::platform::{
    ComponentApis, ComponentCall, ComponentCallApi, LoginApi, Meaning, Parsed, Platform, Unusable,
};
use crate::provider::reply::{granted, needed, token};
use crate::provider::settings::AppSettings;
use crate::secret::Secret;
use crate::session::ProviderKind;

const TOKEN: &str = "/cgi-bin/component/api_component_token";
const START_TICKETS: &str = "/cgi-bin/component/api_start_push_ticket";
const QUERY_AUTH: &str = "/cgi-bin/component/api_query_auth";
const AUTHORIZER_TOKEN: &str = "/cgi-bin/component/api_authorizer_token";
const AUTHORIZER_INFO: &str = "/cgi-bin/component/api_get_authorizer_info";

/// A refresh token that WeChat does not take.
const REFRESH_TOKEN_REFUSED: PlatformCode = Number(61023);

pub(crate) static COMPONENT: Platform = Platform {
    kind: ProviderKind::WechatComponent,
    name: "WeChat",
    base_urls: mini_program::MINI_PROGRAM.base_urls,
    domain: mini_program::MINI_PROGRAM.domain,
    console: "open.weixin.qq.com: 管理中心 → 第三方平台 → 详情 (Management Center → Third-party Platform → Details)",
    secret_variable: "WX_COMPONENT_SECRET",
    web_origin: mini_program::MINI_PROGRAM.web_origin,
    appid_example: "wxc0123456789abcde",
    appid_doubt: form::of_appid,
    secret_doubt: form::of_secret,
    user_doubt: Some(form::of_openid),
    extra_keys: &["push"],
    error_field: "errcode",
    errors: ERRORS,
    login_call: mini_program::MINI_PROGRAM.login_call,
    login: LoginApi {
        path: "/sns/component/jscode2session",
        request: |app, request| {
            Call::get(COMPONENT.login.path)
                .query("appid", request.authorizer.unwrap_or_default())
                .query("js_code", request.code)
                .query("grant_type", "authorization_code")
                .query("component_appid", &*app.appid)
                .query(
                    "component_access_token",
                    request.token.map_or("", |token| token.expose().as_str()),
                )
        },
        read,
        checks_secret_first: false,
    },
    open_data: Some(&SessionKeyData),
    users: Some(&users::APIS),
    app_token: None,
    push_source: mini_program::MINI_PROGRAM.push_source,
    tickets: Some(&tickets::TICKETS),
    server_api: Some(&SERVER_API),
    component: Some(ComponentApis {
        no_ticket: "WeChat has pushed no component_verify_ticket in the last 12 hours. It pushes one every ten minutes to the URL for authorisation events (授权事件接收URL) on open.weixin.qq.com: 管理中心 → 第三方平台 → 详情; compare that URL, the token and the key there with apps.{app}.push",
        ticket_refusals: &[Number(61005), Number(61006)],
        start_tickets: ComponentCallApi {
            path: START_TICKETS,
            request: |app, _| {
                Call::post_json(
                    START_TICKETS,
                    json!({
                        "component_appid": &*app.appid,
                        "component_secret": app.secret.expose(),
                    }),
                )
            },
            read: |body| {
                let status: Status = serde_json::from_slice(body)?;
                // Only a 0 says that it has begun.
                let is_done = status.errcode == Some(Number(0));
                let value = if is_done {
                    Ok(())
                } else {
                    Err(users::no_errcode())
                };
                Ok(parsed(status, None, value))
            },
        },
        token: ComponentCallApi {
            path: TOKEN,
            request: |app, call| {
                Call::post_json(
                    TOKEN,
                    json!({
                        "component_appid": &*app.appid,
                        "component_appsecret": app.secret.expose(),
                        "component_verify_ticket": call.proof,
                    }),
                )
            },
            read: read_token,
        },
        authorization: ComponentCallApi {
            path: QUERY_AUTH,
            request: |app, call| {
                let body = json!({
                    "component_appid": &*app.appid,
                    "authorization_code": call.proof,
                });
                with_token(QUERY_AUTH, body, call)
            },
            read: read_authorization,
        },
        refresh: ComponentCallApi {
            path: AUTHORIZER_TOKEN,
            request: |app, call| {
                let body = json!({
                    "component_appid": &*app.appid,
                    "authorizer_appid": call.authorizer,
                    "authorizer_refresh_token": call.proof,
                });
                with_token(AUTHORIZER_TOKEN, body, call)
            },
            read: read_refreshed,
        },
        refresh_token: ComponentCallApi {
            path: AUTHORIZER_INFO,
            request: info_request,
            read: read_info,
        },
        event: read_event,
    }),
};

const ERRORS: &[(PlatformCode, Meaning)] = &[
    (Number(-1), Meaning::Busy),
    (Number(40029), Meaning::BadCode),
    (Number(40163), Meaning::CodeUsed),
    (Number(40226), Meaning::UserBlocked),
    (Number(45011), Meaning::TooOften),
    // The component's token.
    (Number(TOKEN_REFUSED[0]), Meaning::TokenRefused),
    (Number(TOKEN_REFUSED[1]), Meaning::TokenRefused),
    (Number(TOKEN_REFUSED[2]), Meaning::TokenRefused),
    // Clients name the authorizer.
    (Number(40013), Meaning::NotAuthorized),
    (Number(61003), Meaning::NotAuthorized),
    (
        Number(40125),
        Meaning::Misconfigured(
            "WeChat refuses the secret of {appid}: it was reset or belongs to another platform; put the present one from open.weixin.qq.com (管理中心 → 第三方平台 → 详情) into apps.{app}.secret",
        ),
    ),
    (
        Number(41004),
        Meaning::Misconfigured(
            "WeChat received no secret: apps.{app}.secret is empty, or something between here and apps.{app}.base_url changes requests",
        ),
    ),
    (
        Number(45009),
        Meaning::Misconfigured(
            "the day's quota of WeChat's API is used up for {appid} (apps.{app}) until midnight in Beijing",
        ),
    ),
    (
        Number(61004),
        Meaning::Misconfigured(
            "WeChat refuses this machine's address for {appid}: add it to the IP whitelist (白名单IP地址列表) of the platform of apps.{app} on open.weixin.qq.com: 管理中心 → 第三方平台 → 详情",
        ),
    ),
    (
        Number(61005),
        Meaning::Misconfigured(
            "the ticket of {appid} has expired: WeChat's pushes do not arrive; compare the URL for authorisation events on open.weixin.qq.com (管理中心 → 第三方平台 → 详情) with apps.{app}.push",
        ),
    ),
    (
        Number(61006),
        Meaning::Misconfigured(
            "the ticket of {appid} is not valid: the next push brings another one within ten minutes; if this goes on, apps.{app}.appid is not that of the platform whose events arrive (open.weixin.qq.com: 管理中心 → 第三方平台 → 详情)",
        ),
    ),
    (
        Number(61011),
        Meaning::Misconfigured(
            "WeChat knows no third-party platform {appid}: compare apps.{app}.appid with open.weixin.qq.com: 管理中心 → 第三方平台 → 详情",
        ),
    ),
    (
        Number(41008),
        Meaning::Unexpected("the code is missing, but one was sent"),
    ),
];

fn with_token<'a>(
    path: &'static str,
    body: serde_json::Value,
    call: &ComponentCall<'a>,
) -> Call<'a> {
    Call::post_json(path, body).query("component_access_token", call.token)
}

fn info_request<'a>(app: &'a AppSettings, call: &ComponentCall<'a>) -> Call<'a> {
    let body = json!({
        "component_appid": &*app.appid,
        "authorizer_appid": call.authorizer,
    });
    with_token(AUTHORIZER_INFO, body, call)
}

#[derive(Deserialize)]
struct Status {
    errcode: Option<PlatformCode>,
    errmsg: Option<String>,
}

#[derive(Deserialize)]
struct TokenBody {
    #[serde(flatten)]
    status: Status,
    component_access_token: Option<String>,
    #[serde(default)]
    expires_in: u32,
}

#[derive(Deserialize)]
struct AuthorizationBody {
    #[serde(flatten)]
    status: Status,
    authorization_info: Option<Tokens>,
}

#[derive(Deserialize)]
struct RefreshedBody {
    #[serde(flatten)]
    status: Status,
    #[serde(flatten)]
    tokens: Tokens,
}

#[derive(Deserialize)]
struct Tokens {
    authorizer_appid: Option<String>,
    authorizer_access_token: Option<String>,
    #[serde(default)]
    expires_in: u32,
    authorizer_refresh_token: Option<String>,
}

impl Tokens {
    fn usable(self) -> Result<AuthorizerTokens, Unusable> {
        let text = needed("authorizer_access_token", self.authorizer_access_token)?;
        let refresh = needed("authorizer_refresh_token", self.authorizer_refresh_token)?;
        Ok(AuthorizerTokens {
            access: granted(text, Duration::from_secs(self.expires_in.into()))?,
            refresh: token(refresh)?,
        })
    }
}

fn parsed<T>(status: Status, secret: Option<String>, value: Result<T, Unusable>) -> Parsed<T> {
    Parsed {
        error: error(status.errcode),
        message: status.errmsg,
        secret,
        value,
    }
}

fn read_token(body: &[u8]) -> Result<Parsed<GrantedToken>, serde_json::Error> {
    let body: TokenBody = serde_json::from_slice(body)?;
    let secret = body.component_access_token.clone();
    let value = needed("component_access_token", body.component_access_token)
        .and_then(|text| granted(text, Duration::from_secs(body.expires_in.into())));
    Ok(parsed(body.status, secret, value))
}

fn read_authorization(body: &[u8]) -> Result<Parsed<Authorization>, serde_json::Error> {
    let body: AuthorizationBody = serde_json::from_slice(body)?;
    Ok(parsed(
        body.status,
        None,
        info(body.authorization_info).and_then(authorization),
    ))
}

fn authorization(mut info: Tokens) -> Result<Authorization, Unusable> {
    let appid = needed("authorizer_appid", info.authorizer_appid.take())?;
    if !is_appid(&appid) {
        return Err(Unusable("its authorizer_appid is no appid".to_owned()));
    }
    Ok(Authorization {
        authorizer: appid.into(),
        tokens: info.usable()?,
    })
}

fn info(info: Option<Tokens>) -> Result<Tokens, Unusable> {
    info.ok_or_else(|| Unusable("incomplete reply: it has no authorization_info".to_owned()))
}

fn read_refreshed(body: &[u8]) -> Result<Parsed<Refreshed>, serde_json::Error> {
    let mut body: RefreshedBody = serde_json::from_slice(body)?;
    let secret = body.tokens.authorizer_access_token.clone();
    // That the refresh token is not taken is an answer here, and no error.
    let refused = body
        .status
        .errcode
        .take_if(|code| *code == REFRESH_TOKEN_REFUSED);
    let value = match refused {
        Some(code) => Ok(Refreshed::Refused(code)),
        None => body.tokens.usable().map(Refreshed::Fresh),
    };
    Ok(parsed(body.status, secret, value))
}

fn read_info(body: &[u8]) -> Result<Parsed<Secret<String>>, serde_json::Error> {
    let body: AuthorizationBody = serde_json::from_slice(body)?;
    let value = info(body.authorization_info)
        .and_then(|info| needed("authorizer_refresh_token", info.authorizer_refresh_token))
        .and_then(token);
    Ok(parsed(body.status, None, value))
}

/// Reads a message to the URL for authorisation events.
fn read_event(field: &PushedFields<'_>) -> PushedEvent {
    let kind = field("InfoType");
    let event = match kind.as_deref() {
        Some("component_verify_ticket") => read_ticket(field),
        Some("authorized" | "updateauthorized") => read_authorized(field),
        Some("unauthorized") => {
            read_authorizer(field).map(|authorizer| ComponentEvent::Withdrawn { authorizer })
        }
        _ => return PushedEvent::Other(kind),
    };
    let dated = event.zip(read_time(field));
    dated.map_or(PushedEvent::Unreadable, |(event, at)| {
        PushedEvent::Own(DatedEvent { at, event })
    })
}

fn read_ticket(field: &PushedFields<'_>) -> Option<ComponentEvent> {
    let ticket = token(filled(field, "ComponentVerifyTicket")?).ok()?;
    Some(ComponentEvent::Ticket(ticket))
}

fn read_authorized(field: &PushedFields<'_>) -> Option<ComponentEvent> {
    Some(ComponentEvent::Authorized {
        authorizer: read_authorizer(field)?,
        code: token(filled(field, "AuthorizationCode")?).ok()?,
    })
}

fn read_authorizer(field: &PushedFields<'_>) -> Option<Arc<str>> {
    let appid = filled(field, "AuthorizerAppid").filter(|appid| is_appid(appid));
    appid.map(Arc::from)
}

fn read_time(field: &PushedFields<'_>) -> Option<UnixMillis> {
    let seconds: u64 = filled(field, "CreateTime")?.parse().ok()?;
    seconds.checked_mul(1000).map(UnixMillis)
}

fn filled(field: &PushedFields<'_>, name: &str) -> Option<String> {
    field(name).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str =
        r#""authorizer_access_token":"A","expires_in":7200,"authorizer_refresh_token":"R""#;

    #[test]
    fn an_authorization_names_its_app_and_has_both_tokens() {
        let read = |info: &str| {
            let body = format!(r#"{{"authorization_info":{{{info},"func_info":[]}}}}"#);
            read_authorization(body.as_bytes()).unwrap().value
        };
        let whole = read(&format!(r#""authorizer_appid":"wx1",{PAIR}"#)).unwrap();
        assert_eq!(&*whole.authorizer, "wx1");
        assert_eq!(whole.tokens.refresh.expose(), "R");
        for half in [
            PAIR,
            r#""authorizer_appid":"wx1""#,
            r#""authorizer_appid":"wx1","authorizer_access_token":"A","expires_in":7200"#,
        ] {
            assert!(read(half).is_err(), "{half}");
        }
        assert!(read(&format!(r#""authorizer_appid":"wx1}}:x",{PAIR}"#)).is_err());
        assert!(read_authorization(b"{}").unwrap().value.is_err());
    }

    #[test]
    fn a_refused_refresh_token_is_no_error() {
        let read = |body: &str| read_refreshed(body.as_bytes()).unwrap();
        let refused = read(r#"{"errcode":61023,"errmsg":"refresh_token is invalid"}"#);
        assert!(refused.error.is_none() && matches!(refused.value, Ok(Refreshed::Refused(_))));
        let other = read(r#"{"errcode":61003,"errmsg":"?"}"#);
        assert_eq!(other.error, Some(Number(61003)));
        let Ok(Refreshed::Fresh(good)) = read(&format!("{{{PAIR}}}")).value else {
            panic!()
        };
        assert_eq!(good.access.expires_in, Duration::from_secs(7200));
    }

    #[test]
    fn the_platform_knows_the_refresh_token_of_an_authorizer() {
        let body = br#"{"authorizer_info":{"nick_name":"x"},"authorization_info":{"authorizer_appid":"wx1","authorizer_refresh_token":"R","func_info":[]}}"#;
        assert_eq!(read_info(body).unwrap().value.unwrap().expose(), "R");
        let none = br#"{"authorizer_info":{},"authorization_info":{"authorizer_appid":"wx1","authorizer_refresh_token":""}}"#;
        assert!(read_info(none).unwrap().value.is_err());
    }

    #[test]
    fn events_are_read_whole_or_not_at_all() {
        let read = |fields: &[(&str, &str)]| {
            read_event(&|name| {
                let found = fields.iter().find(|(field, _)| *field == name);
                found.map(|(_, text)| (*text).to_owned())
            })
        };
        let time = ("CreateTime", "1413192605");
        let ticket = ("InfoType", "component_verify_ticket");
        let own = |fields: &[(&str, &str)]| match read(fields) {
            PushedEvent::Own(dated) => dated,
            other => panic!("{other:?}"),
        };
        let whole = own(&[ticket, time, ("ComponentVerifyTicket", "ticket@@@x")]);
        assert_eq!(whole.at, UnixMillis(1_413_192_605_000));
        assert!(
            matches!(whole.event, ComponentEvent::Ticket(ticket) if ticket.expose() == "ticket@@@x")
        );
        let (appid, code) = (
            ("AuthorizerAppid", "wx1"),
            ("AuthorizationCode", "queryauthcode"),
        );
        for kind in ["authorized", "updateauthorized"] {
            let event = own(&[("InfoType", kind), time, appid, code]).event;
            assert!(matches!(event, ComponentEvent::Authorized { .. }), "{kind}");
        }
        let withdrawn = own(&[("InfoType", "unauthorized"), time, appid]);
        assert!(matches!(withdrawn.event, ComponentEvent::Withdrawn { .. }));
        for half in [
            &[ticket, time][..],
            &[ticket, time, ("ComponentVerifyTicket", "")],
            &[ticket, time, ("ComponentVerifyTicket", "a b")],
            &[ticket, ("ComponentVerifyTicket", "x")],
            &[ticket, ("CreateTime", "x"), ("ComponentVerifyTicket", "x")],
            &[("InfoType", "authorized"), time, code],
            &[("InfoType", "authorized"), time, appid],
            &[
                ("InfoType", "unauthorized"),
                time,
                ("AuthorizerAppid", "wx/1"),
            ],
        ] {
            assert!(matches!(read(half), PushedEvent::Unreadable), "{half:?}");
        }
        let other = read(&[("InfoType", "notify_third_fasteregister"), time]);
        assert!(matches!(other, PushedEvent::Other(Some(kind)) if kind.starts_with("notify")));
        let none = read(&[time, ("ComponentVerifyTicket", "x")]);
        assert!(matches!(none, PushedEvent::Other(None)));
    }
}
