//! What WeChat tells of a user: the phone number behind a code of the button (`getuserphonenumber`),
//! and whether the session_key holds (`checksession`), and its reset (`resetusersessionkey`).

use serde::Deserialize;
use serde_json::json;

use super::TOKEN_REFUSED;
use crate::crypto::{hash, open_data};
use crate::identity::PlatformCode::{self, Number};
use crate::identity::{PhoneNumber, ResetKey, TokenUse};
use crate::provider::client::Call;
use crate::provider::platform::{Parsed, Unusable, UserApi, UserApis, UserCall};
use crate::provider::reply::needed;
use crate::secret::Secret;

pub(super) static APIS: UserApis = UserApis {
    other_codes: "wx.login and wx.pluginLogin give others",
    phone_number: UserApi {
        path: PHONE_NUMBER,
        // The openid has WeChat check that the code is this user's.
        request: |call| {
            let body = json!({ "code": call.proof, "openid": call.subject });
            Call::post_json(PHONE_NUMBER, body).query("access_token", call.token)
        },
        read: |body| {
            let body: PhoneBody = serde_json::from_slice(body)?;
            let info = body.phone_info;
            Ok(parsed(body.status, || phone_number(info)))
        },
    },
    check_session_key: UserApi {
        path: CHECK,
        request: |call| signed(CHECK, call),
        read: |body| {
            let mut status: Status = serde_json::from_slice(body)?;
            let stale = status.take_key_refusal();
            // Only a 0 says that the key is good.
            let is_good = status.errcode == Some(Number(0));
            Ok(parsed(status, || match (stale, is_good) {
                (true, _) => Ok(false),
                (false, true) => Ok(true),
                (false, false) => Err(no_errcode()),
            }))
        },
    },
    reset_session_key: UserApi {
        path: RESET,
        request: |call| signed(RESET, call),
        read: |body| {
            let mut body: ResetBody = serde_json::from_slice(body)?;
            let stale = body.status.take_key_refusal();
            Ok(parsed(body.status, || {
                if stale {
                    return Ok(ResetKey::Stale);
                }
                let key = needed("session_key", body.session_key)?;
                if !open_data::is_session_key(&key) {
                    return Err(Unusable(
                        "its session_key is not the base64 of 16 bytes".to_owned(),
                    ));
                }
                Ok(ResetKey::Fresh(Secret::new(key)))
            }))
        },
    },
};

const PHONE_NUMBER: &str = "/wxa/business/getuserphonenumber";
const CHECK: &str = "/wxa/checksession";
const RESET: &str = "/wxa/resetusersessionkey";

/// There is no such session_key any more; the signature by it is wrong.
const KEY_REFUSED: [PlatformCode; 2] = [Number(87007), Number(87009)];

#[derive(Deserialize)]
pub(super) struct Status {
    errcode: Option<PlatformCode>,
    errmsg: Option<String>,
}

#[derive(Deserialize)]
struct PhoneBody {
    #[serde(flatten)]
    status: Status,
    phone_info: Option<PhoneInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneInfo {
    phone_number: Option<String>,
    pure_phone_number: Option<String>,
    /// A number, or a text.
    country_code: Option<PlatformCode>,
}

#[derive(Deserialize)]
struct ResetBody {
    #[serde(flatten)]
    status: Status,
    session_key: Option<String>,
}

impl Status {
    /// That the platform does not take the key is an answer here, and no error.
    fn take_key_refusal(&mut self) -> bool {
        let refusal = self.errcode.take_if(|code| KEY_REFUSED.contains(code));
        refusal.is_some()
    }
}

/// The key signs the empty text, as it is written and not as the bytes behind it.
fn signed<'a>(path: &'static str, call: &UserCall<'a>) -> Call<'a> {
    let signature = hash::to_hex(&hash::hmac_sha256(call.proof.as_bytes(), b""));
    Call::get(path)
        .query("access_token", call.token)
        .query("openid", call.subject)
        .query("signature", signature)
        .query("sig_method", "hmac_sha256")
}

pub(super) fn no_errcode() -> Unusable {
    Unusable("incomplete reply: it has no errcode".to_owned())
}

fn phone_number(info: Option<PhoneInfo>) -> Result<PhoneNumber, Unusable> {
    let info = info.ok_or_else(|| Unusable("incomplete reply: it has no phone_info".to_owned()))?;
    let country = info.country_code.map(|code| code.to_string());
    Ok(PhoneNumber {
        phone_number: needed("phoneNumber", info.phone_number)?,
        pure_phone_number: needed("purePhoneNumber", info.pure_phone_number)?,
        country_code: needed("countryCode", country)?,
    })
}

pub(super) fn parsed<T>(
    status: Status,
    value: impl FnOnce() -> Result<T, Unusable>,
) -> Parsed<TokenUse<T>> {
    let error = status.errcode.filter(|code| *code != Number(0));
    let (error, value) = match error {
        Some(Number(code)) if TOKEN_REFUSED.contains(&code) => {
            (None, Ok(TokenUse::Refused(format!("errcode {code}"))))
        }
        error => (error, value().map(TokenUse::Taken)),
    };
    Parsed {
        error,
        message: status.errmsg,
        secret: None,
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(api: &UserApi<T>, body: &str) -> Parsed<TokenUse<T>> {
        (api.read)(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_refused_token_and_a_refused_key_are_no_errors() {
        for code in ["40001", "40014", "42001", "\"42001\""] {
            let body = format!(r#"{{"errcode":{code},"errmsg":"?"}}"#);
            let number = read(&APIS.phone_number, &body);
            assert!(matches!(number.value, Ok(TokenUse::Refused(_))), "{code}");
            let check = read(&APIS.check_session_key, &body);
            assert!(check.error.is_none(), "{code}");
        }
        let stale = r#"{"errcode":87009,"errmsg":"invalid signature"}"#;
        let check = read(&APIS.check_session_key, stale);
        assert!(matches!(check.value, Ok(TokenUse::Taken(false))) && check.error.is_none());
        let reset = read(&APIS.reset_session_key, stale);
        assert!(matches!(reset.value, Ok(TokenUse::Taken(ResetKey::Stale))));
        let other = read(&APIS.check_session_key, r#"{"errcode":87008,"errmsg":"?"}"#);
        assert_eq!(other.error, Some(Number(87008)));
    }

    #[test]
    fn half_an_answer_is_none() {
        for body in [
            "{}",
            r#"{"errcode":0,"phone_info":{}}"#,
            r#"{"errcode":0,"phone_info":{"phoneNumber":"","purePhoneNumber":"1","countryCode":86}}"#,
            r#"{"errcode":0,"phone_info":{"phoneNumber":"1","purePhoneNumber":"1"}}"#,
        ] {
            assert!(read(&APIS.phone_number, body).value.is_err(), "{body}");
        }
        for body in ["{}", r#"{"errcode":null}"#, r#"{"errmsg":"ok"}"#] {
            let check = read(&APIS.check_session_key, body);
            assert!(check.value.is_err() && check.error.is_none(), "{body}");
        }
        for body in [r#"{"errcode":0}"#, r#"{"errcode":"0","errmsg":"ok"}"#] {
            let check = read(&APIS.check_session_key, body);
            assert!(matches!(check.value, Ok(TokenUse::Taken(true))), "{body}");
        }
        assert!(
            read(&APIS.reset_session_key, r#"{"errcode":0}"#)
                .value
                .is_err()
        );
    }
}
