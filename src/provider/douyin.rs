//! Douyin mini programs: a code of `tt.login` becomes an openid and a session_key by version 2 of
//! `jscode2session`. Source of the numbers: code-2-session on developer.open-douyin.com.

use serde::Deserialize;
use serde_json::json;

use super::client::Call;
use super::open_data::SessionKeyData;
use super::platform::{LoginApi, Meaning, Parsed, Platform};
use super::reply::identity;
use crate::identity::Identity;
use crate::identity::PlatformCode::{self, Number};
use crate::session::ProviderKind;

pub(super) static MINI_PROGRAM: Platform = Platform {
    kind: ProviderKind::Douyin,
    name: "Douyin",
    base_urls: &["https://developer.toutiao.com"],
    domain: "toutiao.com",
    console: "developer.open-douyin.com: 开发 → 开发配置",
    secret_variable: "TT_SECRET",
    web_origin: None,
    appid_example: "tt0123456789abcdef",
    appid_doubt: |appid| {
        (!appid.starts_with("tt")).then(|| "does not begin with tt, as Douyin's do".to_owned())
    },
    secret_doubt: |secret| {
        (secret.trim() != secret)
            .then(|| "has a space or line end at its ends; it is sent unchanged".to_owned())
    },
    user_doubt: None,
    extra_keys: &[],
    error_field: "err_no",
    errors: ERRORS,
    login_call: "tt.login",
    login: LoginApi {
        path: "/api/apps/v2/jscode2session",
        request: |app, request| {
            Call::post_json(
                MINI_PROGRAM.login.path,
                json!({
                    "appid": &*app.appid,
                    "secret": app.secret.expose(),
                    "code": request.code,
                }),
            )
        },
        read,
        checks_secret_first: false,
    },
    open_data: Some(&SessionKeyData),
    users: None,
    app_token: None,
    component: None,
    push_source: None,
    tickets: None,
    server_api: None,
};

const ERRORS: &[(PlatformCode, Meaning)] = &[
    (Number(-1), Meaning::Busy),
    // Also a used code, which has no number of its own.
    (Number(40018), Meaning::BadCode),
    (
        Number(40015),
        Meaning::Misconfigured(
            "Douyin knows no mini program {appid}: compare apps.{app}.appid with 开发 → 开发配置 on developer.open-douyin.com",
        ),
    ),
    (
        Number(40017),
        Meaning::Misconfigured(
            "Douyin refuses the secret of {appid}: it was reset or belongs to another app; put the present one into apps.{app}.secret",
        ),
    ),
    (
        Number(40014),
        Meaning::Unexpected("the parameters are wrong, but all were sent"),
    ),
    (
        Number(40019),
        Meaning::Unexpected("an anonymous code is wrong, but none was sent"),
    ),
];

#[derive(Deserialize)]
struct Body {
    err_no: PlatformCode,
    err_tips: Option<String>,
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
struct Data {
    openid: Option<String>,
    unionid: Option<String>,
    session_key: Option<String>,
}

fn read(body: &[u8]) -> Result<Parsed<Identity>, serde_json::Error> {
    let body: Body = serde_json::from_slice(body)?;
    let data = body.data.unwrap_or_default();
    Ok(Parsed {
        error: Some(body.err_no).filter(|code| *code != Number(0)),
        message: body.err_tips,
        secret: data.session_key.clone(),
        value: identity(data.openid, data.unionid, data.session_key),
    })
}
