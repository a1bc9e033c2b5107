//! Mini programs and mini games: a code of `wx.login` becomes an openid and a session_key by
//! `jscode2session`. The table of errors is that of `api_code2session` with what public code and
//! forum threads add to it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::server_api::{CLASSIC_TOKEN, CLIENT_CREDENTIAL, SERVER_API, STABLE_TOKEN};
use super::{form, tickets, users};
use crate::identity::PlatformCode::{self, Number};
use crate::identity::{GrantedToken, Identity};
use crate::provider::client::Call;
use crate::provider::open_data::SessionKeyData;
use crate::provider::platform::{LoginApi, Meaning, Parsed, Platform, TokenApi, TokenCall};
use crate::provider::reply::{granted, identity, needed};
use crate::session::ProviderKind;

pub(crate) static MINI_PROGRAM: Platform = Platform {
    kind: ProviderKind::WechatMiniProgram,
    name: "WeChat",
    base_urls: &["https://api.weixin.qq.com"],
    domain: "weixin.qq.com",
    console: "mp.weixin.qq.com: 开发管理 → 开发设置 (Development → Development Settings)",
    secret_variable: "WX_SECRET",
    web_origin: Some("https://servicewechat.com"),
    appid_example: "wx0123456789abcdef",
    appid_doubt: form::of_appid,
    secret_doubt: form::of_secret,
    user_doubt: Some(form::of_openid),
    extra_keys: &["access_token", "push"],
    error_field: "errcode",
    errors: ERRORS,
    login_call: "wx.login",
    login: LoginApi {
        path: "/sns/jscode2session",
        request: |app, request| {
            Call::get(MINI_PROGRAM.login.path)
                .query("appid", &*app.appid)
                .query("secret", app.secret.expose())
                .query("js_code", request.code)
                .query("grant_type", "authorization_code")
        },
        read,
        checks_secret_first: true,
    },
    open_data: Some(&SessionKeyData),
    users: Some(&users::APIS),
    push_source: Some("wechat-push"),
    app_token: Some(TokenApi {
        stable: TokenCall {
            path: STABLE_TOKEN,
            request: |app| {
                Call::post_json(
                    STABLE_TOKEN,
                    json!({
                        "grant_type": CLIENT_CREDENTIAL,
                        "appid": &*app.appid,
                        "secret": app.secret.expose(),
                        "force_refresh": false,
                    }),
                )
            },
        },
        classic: Some(TokenCall {
            path: CLASSIC_TOKEN,
            request: |app| {
                Call::get(CLASSIC_TOKEN)
                    .query("grant_type", CLIENT_CREDENTIAL)
                    .query("appid", &*app.appid)
                    .query("secret", app.secret.expose())
            },
        }),
        read: read_token,
    }),
    component: None,
    tickets: Some(&tickets::TICKETS),
    server_api: Some(&SERVER_API),
};

const ERRORS: &[(PlatformCode, Meaning)] = &[
    (Number(-1), Meaning::Busy),
    (Number(40029), Meaning::BadCode),
    (Number(40163), Meaning::CodeUsed),
    // A code of wx.pluginLogin.
    (Number(1007), Meaning::BadCode),
    (Number(40226), Meaning::UserBlocked),
    (Number(45011), Meaning::TooOften),
    (
        Number(40013),
        Meaning::Misconfigured(
            "WeChat knows no mini program {appid}: compare apps.{app}.appid with 开发管理 → 开发设置 on mp.weixin.qq.com",
        ),
    ),
    (
        Number(40125),
        Meaning::Misconfigured(
            "WeChat refuses the secret of {appid}: it was reset or belongs to another app; put the present one into apps.{app}.secret",
        ),
    ),
    (
        Number(40164),
        Meaning::Misconfigured(
            "WeChat refuses this machine's address for {appid}: add it to the IP whitelist of the app of apps.{app}",
        ),
    ),
    (
        Number(40243),
        Meaning::Misconfigured(
            "the secret of {appid} is frozen: unfreeze it on mp.weixin.qq.com, or make another one and put it into apps.{app}.secret",
        ),
    ),
    (
        Number(89503),
        Meaning::Misconfigured(
            "the administrator of {appid} (apps.{app}) has to confirm this machine's address: WeChat has sent a message to the phone",
        ),
    ),
    (
        Number(41002),
        Meaning::Misconfigured(
            "WeChat received no appid: apps.{app}.appid is empty, or something between here and apps.{app}.base_url changes requests",
        ),
    ),
    (
        Number(41004),
        Meaning::Misconfigured(
            "WeChat received no secret: apps.{app}.secret is empty, or something between here and apps.{app}.base_url changes requests",
        ),
    ),
    (
        Number(41008),
        Meaning::Unexpected("the code is missing, but one was sent"),
    ),
    (
        Number(45009),
        Meaning::Misconfigured(
            "the day's quota of WeChat's API is used up for {appid}: it works again after midnight in Beijing, or once you clear or raise it on mp.weixin.qq.com (开发管理 → 接口权限)",
        ),
    ),
];

#[derive(Deserialize)]
struct Body {
    errcode: Option<PlatformCode>,
    errmsg: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
    session_key: Option<String>,
}

/// Success has usually no errcode, and sometimes 0.
pub(super) fn error(errcode: Option<PlatformCode>) -> Option<PlatformCode> {
    errcode.filter(|code| *code != Number(0))
}

pub(super) fn read(body: &[u8]) -> Result<Parsed<Identity>, serde_json::Error> {
    let body: Body = serde_json::from_slice(body)?;
    Ok(Parsed {
        error: error(body.errcode),
        message: body.errmsg,
        secret: body.session_key.clone(),
        value: identity(body.openid, body.unionid, body.session_key),
    })
}

#[derive(Deserialize)]
struct TokenBody {
    errcode: Option<PlatformCode>,
    errmsg: Option<String>,
    access_token: Option<String>,
    #[serde(default)]
    expires_in: u32,
}

fn read_token(body: &[u8]) -> Result<Parsed<GrantedToken>, serde_json::Error> {
    let body: TokenBody = serde_json::from_slice(body)?;
    Ok(Parsed {
        error: error(body.errcode),
        message: body.errmsg,
        secret: body.access_token.clone(),
        value: needed("access_token", body.access_token)
            .and_then(|text| granted(text, Duration::from_secs(body.expires_in.into()))),
    })
}
