//! The platforms, a row each. A platform's own file says what stands in its row.

use super::platform::Platform;
use super::server_api::ServerApi;
use super::{douyin, wechat};
use crate::session::ProviderKind;

pub const fn platform(kind: ProviderKind) -> &'static Platform {
    match kind {
        ProviderKind::WechatMiniProgram => &wechat::MINI_PROGRAM,
        ProviderKind::WechatComponent => &wechat::COMPONENT,
        ProviderKind::Douyin => &douyin::MINI_PROGRAM,
    }
}

/// Every platform, in the order of the documentation.
pub fn platforms() -> impl Iterator<Item = &'static Platform> {
    ProviderKind::ALL.into_iter().map(platform)
}

/// The API that servers call with an app's access token, of the one platform that has one. Requests
/// are read by its rules before it is known which app they are for.
#[must_use]
pub fn server_api() -> &'static ServerApi {
    &wechat::SERVER_API
}

/// The id of the app whose page a Referer names, such as `{web_origin}/{appid}/…`: a hint, never a
/// proof.
pub fn appid_of_page(referer: &str) -> Option<&str> {
    let page = platforms()
        .filter_map(|platform| platform.web_origin)
        .find_map(|origin| referer.strip_prefix(origin))?;
    let (appid, _) = page.strip_prefix('/')?.split_once('/')?;
    (!appid.is_empty() && appid.len() <= 32 && appid.bytes().all(|b| b.is_ascii_alphanumeric()))
        .then_some(appid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_referer_names_the_app() {
        assert_eq!(
            appid_of_page("https://servicewechat.com/wx0123456789abcdef/0/page-frame.html"),
            Some("wx0123456789abcdef")
        );
        for other in [
            "https://servicewechat.com/",
            "https://servicewechat.com.evil.test/wx0/0/",
            "https://evil.test/wx0/0/",
            "https://servicewechat.com/a%0ab/0/x",
            "https://servicewechat.com//0/x",
        ] {
            assert_eq!(appid_of_page(other), None, "{other}");
        }
    }

    #[test]
    fn a_platform_lives_below_its_domain_only() {
        let wechat = platform(ProviderKind::WechatMiniProgram);
        for (url, lives) in [
            ("https://api.weixin.qq.com", true),
            ("https://weixin.qq.com:443/x", true),
            ("https://api.weixin.qq.com.evil.test", false),
            ("https://notweixin.qq.com", false),
            ("http://127.0.0.1:9001", false),
        ] {
            assert_eq!(wechat.lives_at(url), lives, "{url}");
        }
    }
}
