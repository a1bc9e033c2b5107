//! `[apps.NAME]`: whose users may sign in.

pub(crate) mod shape;

use std::sync::Arc;
use std::time::Duration;

use super::problem::Wrong;
use super::reader::Section;
use super::values::{duration, one_of};
use crate::provider::call::BaseUrl;
use crate::secret::Secret;
use crate::session::ProviderKind;

/// One app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The platform.
    pub provider: ProviderKind,
    /// Its id there.
    pub appid: Arc<str>,
    /// Its secret there.
    pub secret: Secret<String>,
    /// Where the platform's API is, tried in turn; at least one, without a slash at the end.
    pub base_urls: Vec<String>,
    /// How long an exchange may take in all.
    pub timeout: Duration,
    /// Exchanges under way at once.
    pub max_concurrent: usize,
}

const APPID_HINT: &str = "copy the AppID from mp.weixin.qq.com: 开发管理 → 开发设置 (Development → Development Settings)";
const SECRET_HINT: &str = "copy the AppSecret from mp.weixin.qq.com: 开发管理 → 开发设置 (Development → Development Settings)";

/// Every app; `None` for one that is not all there, which the reader has noted.
pub(super) fn read(root: &mut Section<'_>) -> Vec<AppSettings> {
    let apps: Vec<_> = root.named("apps", read_app);
    if apps.is_empty() && !root.has_problems_at("apps") {
        root.problem(
            "apps",
            "no app is configured, so nobody could sign in",
            "write a table [apps.NAME] with appid and secret",
        );
    }
    let apps: Vec<AppSettings> = apps.into_iter().flatten().collect();
    for (index, app) in apps.iter().enumerate() {
        if let Some(twin) = apps[..index]
            .iter()
            .find(|other| other.appid == app.appid && other.provider == app.provider)
        {
            root.warn(
                "apps",
                &format!("{} and {} have the same appid", twin.name, app.name),
                "their users are told apart by the app's name; is this meant?",
            );
        }
    }
    apps
}

fn read_app(name: &str, section: &mut Section<'_>) -> Option<AppSettings> {
    let provider = section.value("provider", provider);
    let appid = section.required("appid", APPID_HINT, appid);
    if let Some(odd) = appid
        .as_deref()
        .filter(|_| provider == ProviderKind::WechatMiniProgram)
        .and_then(shape::of_appid)
    {
        section.warn("appid", &odd, APPID_HINT);
    }
    if !section.has("secret") && !section.has("secret_file") {
        section.problem(
            "secret",
            "missing",
            &format!("write secret = \"${{WX_SECRET}}\"; {SECRET_HINT}"),
        );
    }
    let secret = section.secret("secret", "secret_file", SECRET_HINT);
    let base_urls = section.list("base_url", base_url);
    // A stand-in takes any.
    if let Some(odd) = secret
        .as_ref()
        .filter(|_| base_urls.iter().any(|url| is_of_wechat(url)))
        .and_then(|secret| shape::of_secret(secret.expose()))
    {
        section.warn(
            if section.has("secret") {
                "secret"
            } else {
                "secret_file"
            },
            &odd,
            SECRET_HINT,
        );
    }
    if section.is_empty_list("base_url") {
        section.problem(
            "base_url",
            "is empty",
            "write \"https://api.weixin.qq.com\", or remove it",
        );
    }
    if base_urls
        .iter()
        .any(|url| !url.starts_with("https://") && !is_local(url))
    {
        section.warn(
            "base_url",
            "the AppSecret goes out unencrypted",
            "write https://",
        );
    }
    let timeout = section.value("timeout", duration(Duration::from_millis(100)));
    let max_concurrent: usize = section.number("max_concurrent", 100_000);
    if max_concurrent == 0 {
        section.problem(
            "max_concurrent",
            "is 0, so nobody could sign in",
            "write at least 1",
        );
    }
    Some(AppSettings {
        name: name.into(),
        provider,
        appid: appid?,
        secret: secret?,
        base_urls,
        timeout,
        max_concurrent,
    })
}

fn provider(text: &str) -> Result<ProviderKind, Wrong> {
    let found = ProviderKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text);
    let known = || ProviderKind::ALL.into_iter().map(ProviderKind::as_str);
    found.ok_or_else(|| {
        Wrong::new("is not a provider of this version", one_of(known())).none_of(known())
    })
}

fn appid(text: &str) -> Result<Arc<str>, Wrong> {
    let good = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if good {
        Ok(text.into())
    } else {
        Err(Wrong::new(
            "is not an AppID",
            "write it as the platform shows it, as in \"wx0123456789abcdef\"",
        ))
    }
}

fn base_url(text: &str) -> Result<String, Wrong> {
    let form = "write it as in \"https://api.weixin.qq.com\"";
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or_else(|| Wrong::new("does not begin with https://", form))?;
    if rest.is_empty()
        || rest.starts_with(['/', ':'])
        || rest.contains(['?', '#', '@', '\\'])
        || !rest.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(Wrong::new("is not a base URL", form));
    }
    BaseUrl::parse(text).map_err(|_| Wrong::new("is not a base URL", form))?;
    let base = text.trim_end_matches('/');
    if let Some(meant) = without_call(base) {
        return Err(Wrong::new(
            "has the path of a call, which the gateway adds itself",
            format!("write {meant:?}"),
        ));
    }
    Ok(base.to_owned())
}

/// For a URL with the path of a call behind it, the one without. A stand-in may lie below a path of
/// its own; WeChat does not.
fn without_call(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest
        .find('/')
        .map(|at| &url[..scheme.len() + "://".len() + at])?;
    if is_of_wechat(url) {
        Some(host)
    } else {
        url.strip_suffix("/sns/jscode2session")
    }
}

/// Whether it is the platform itself that is asked there.
fn is_of_wechat(url: &str) -> bool {
    let host = url
        .split("//")
        .nth(1)
        .unwrap_or_default()
        .split(['/', ':'])
        .next()
        .unwrap_or_default();
    host == "weixin.qq.com" || host.ends_with(".weixin.qq.com")
}

/// Whether a URL stays on this machine.
fn is_local(url: &str) -> bool {
    let host = url.split("//").nth(1).unwrap_or_default();
    ["localhost", "127.", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local))
}
