//! WeChat's numbers, and what each of them means for a login. The table is that of
//! `api_code2session` with what public code and forum threads add to it.

use crate::identity::ExchangeError;
use crate::provider::untrusted;

/// The system is busy; the code is most likely not consumed.
pub const BUSY: i64 = -1;
/// The code is wrong, too old, or of another app.
pub const BAD_CODE: i64 = 40029;
/// The code was exchanged before.
pub const CODE_USED: i64 = 40163;
/// The user is blocked.
pub const USER_BLOCKED: i64 = 40226;
/// Too many calls in this minute.
pub const TOO_OFTEN: i64 = 45011;
/// The appid is unknown.
pub const BAD_APPID: i64 = 40013;
/// The app secret is wrong.
pub const BAD_SECRET: i64 = 40125;
/// The caller's address is not on the app's list.
pub const ADDRESS_NOT_LISTED: i64 = 40164;
/// The quota of calls of the day is used up.
pub const DAY_USED_UP: i64 = 45009;
/// The request has no appid.
pub const NO_APPID: i64 = 41002;
/// The request has no secret.
pub const NO_SECRET: i64 = 41004;
/// The request has no code.
pub const NO_CODE: i64 = 41008;

/// An error that the platform answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The number, never 0.
    pub errcode: i64,
    /// The text, fit for a log line.
    pub errmsg: String,
    /// The platform's own id of the call.
    pub trace: Option<String>,
}

impl Refusal {
    /// Takes the platform's text in; `hidden` are values that must not come through.
    #[must_use]
    pub fn new(errcode: i64, errmsg: &str, hidden: &[&str]) -> Self {
        let errmsg = untrusted::printable(errmsg, hidden);
        Self {
            errcode,
            trace: untrusted::trace_id(&errmsg).map(str::to_owned),
            errmsg,
        }
    }

    /// The number, the trace and the text, for the log.
    #[must_use]
    pub fn told(&self) -> String {
        let trace = self
            .trace
            .as_ref()
            .map(|id| format!(", rid {id}"))
            .unwrap_or_default();
        format!("errcode {}{trace}: {:?}", self.errcode, self.errmsg)
    }
}

/// What a refusal means for the login.
#[derive(Debug)]
pub enum Meaning {
    /// Try again soon.
    Busy,
    /// Too many calls; come back in the next minute.
    TooOften,
    /// An end.
    Final(ExchangeError),
}

/// What the refusal of a login code means. `app` is the app's name in the configuration, for the
/// operator's eyes.
#[must_use]
pub fn meaning(refusal: &Refusal, app: &str, appid: &str) -> Meaning {
    let platform_code = refusal.errcode;
    Meaning::Final(match platform_code {
        BUSY => return Meaning::Busy,
        TOO_OFTEN => return Meaning::TooOften,
        BAD_CODE => ExchangeError::BadCode { platform_code },
        CODE_USED => ExchangeError::CodeUsed { platform_code },
        USER_BLOCKED => ExchangeError::UserBlocked { platform_code },
        _ => match what_to_mend(platform_code, app, appid) {
            Some(advice) => ExchangeError::Misconfigured {
                reason: format!("{advice} ({})", refusal.told()),
                platform_code,
            },
            None if platform_code == NO_CODE => ExchangeError::Nonsense {
                reason: format!(
                    "WeChat says that the code is missing, but one was sent ({})",
                    refusal.told()
                ),
            },
            None => ExchangeError::Nonsense {
                reason: format!(
                    "a number that jscode2session does not document ({})",
                    refusal.told()
                ),
            },
        },
    })
}

/// For the errors that only the operator can mend: what to do, in the words of the configuration
/// and of WeChat's console.
fn what_to_mend(errcode: i64, app: &str, appid: &str) -> Option<String> {
    Some(match errcode {
        BAD_APPID => format!(
            "WeChat knows no mini program {appid}: compare apps.{app}.appid with 开发管理 → 开发设置 on mp.weixin.qq.com"
        ),
        BAD_SECRET => format!(
            "WeChat refuses the secret of {appid}: it was reset or belongs to another app; put the present one into apps.{app}.secret"
        ),
        NO_APPID => format!(
            "WeChat received no appid: apps.{app}.appid is empty, or something between here and apps.{app}.base_url changes requests"
        ),
        NO_SECRET => format!(
            "WeChat received no secret: apps.{app}.secret is empty, or something between here and apps.{app}.base_url changes requests"
        ),
        ADDRESS_NOT_LISTED => format!(
            "WeChat refuses this machine's address for {appid}: add it to the IP whitelist of the app of apps.{app}"
        ),
        DAY_USED_UP => format!(
            "the day's quota of WeChat's API is used up for {appid}: nobody can sign in until midnight in Beijing, or until you clear or raise it on mp.weixin.qq.com (开发管理 → 接口权限)"
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn final_of(errcode: i64) -> ExchangeError {
        match meaning(&Refusal::new(errcode, "x, rid: 6-7", &[]), "shop", "wx1") {
            Meaning::Final(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_mean_what_the_table_says() {
        assert!(matches!(
            final_of(40029),
            ExchangeError::BadCode {
                platform_code: 40029
            }
        ));
        assert!(matches!(
            final_of(40163),
            ExchangeError::CodeUsed {
                platform_code: 40163
            }
        ));
        assert!(matches!(
            final_of(40226),
            ExchangeError::UserBlocked {
                platform_code: 40226
            }
        ));
        assert!(matches!(final_of(41008), ExchangeError::Nonsense { .. }));
        assert!(
            matches!(final_of(99999), ExchangeError::Nonsense { reason } if reason.contains("99999"))
        );
        assert!(matches!(
            meaning(&Refusal::new(-1, "", &[]), "shop", "wx1"),
            Meaning::Busy
        ));
        assert!(matches!(
            meaning(&Refusal::new(45011, "", &[]), "shop", "wx1"),
            Meaning::TooOften
        ));
    }

    #[test]
    fn operators_are_told_the_key_to_mend_and_the_trace() {
        for (errcode, key) in [
            (40013, "apps.shop.appid"),
            (41002, "apps.shop.appid"),
            (40125, "apps.shop.secret"),
            (41004, "apps.shop.secret"),
            (40164, "apps.shop"),
            (45009, "the day's quota"),
        ] {
            let ExchangeError::Misconfigured {
                reason,
                platform_code,
            } = final_of(errcode)
            else {
                panic!("{errcode}")
            };
            assert_eq!(platform_code, errcode);
            assert!(
                reason.contains(key) && reason.contains("rid 6-7"),
                "{reason}"
            );
        }
    }
}
