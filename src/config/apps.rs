//! `[apps.NAME]`: whose users may sign in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::parsers::{choice, duration, one_of};
use super::problem::{Wrong, refuse};
use super::push;
use super::reader::Section;
use crate::identity::{TokenGrant, is_appid};
use crate::provider::base_url::BaseUrl;
use crate::provider::platform::Platform;
use crate::provider::registry::{platform, platforms};
use crate::provider::settings::AppSettings;
use crate::push::PushSettings;
use crate::secret::Secret;
use crate::session::ProviderKind;

/// Every app, and what those take that their platforms push; without those that are not all there,
/// which the reader has noted.
pub(super) fn read(
    root: &mut Section<'_>,
    is_durable: bool,
) -> (Vec<AppSettings>, Vec<Arc<PushSettings>>) {
    let around = push::Surroundings {
        upstreams: root.names_below("upstreams"),
        is_durable,
    };
    let mut pushes = Vec::new();
    let apps: Vec<_> = root.named("apps", |name, section| {
        read_app(name, section, &around, &mut pushes)
    });
    if apps.is_empty() && !root.has_problems_at("apps") {
        root.problem(
            "apps",
            "no app is configured, so nobody can sign in",
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
                "users are separate per app name; check that this is intended",
            );
        }
    }
    (apps, pushes)
}

fn read_app(
    name: &str,
    section: &mut Section<'_>,
    around: &push::Surroundings,
    pushes: &mut Vec<Arc<PushSettings>>,
) -> Option<AppSettings> {
    let provider = section.value("provider", provider);
    let platform = platform(provider);
    refuse_foreign_keys(section, platform);
    // An unknown provider has the default one's place here.
    let is_known = !section.has_problems_at("provider");
    let hints = CredentialHints::of(is_known.then_some(platform));
    let appid = section.required("appid", &hints.appid, |text| appid(text, platform));
    let secret = read_secret(section, &hints);
    let base_urls = section.list_or("base_url", platform.base_urls, |text| {
        base_url(text, platform)
    });
    if is_known {
        if let Some(odd) = appid.as_deref().and_then(platform.appid_doubt) {
            section.warn("appid", &odd, &hints.appid);
        }
        // A stand-in takes any secret.
        let at_platform = base_urls.iter().any(|url| platform.lives_at(url));
        let doubt = |secret: &Secret<String>| (platform.secret_doubt)(secret.expose());
        if let Some(odd) = secret.as_ref().filter(|_| at_platform).and_then(doubt) {
            let key = section.written_of("secret", "secret_file");
            section.warn(key, &odd, &hints.secret);
        }
    }
    check_base_urls(section, platform, &base_urls);
    let timeout = section.value("timeout", duration(Duration::from_millis(100)));
    let max_concurrent = section.positive(
        "max_concurrent",
        100_000,
        "is 0, so nobody can sign in",
        "write at least 1",
    );
    let token_grant = read_token_grant(section, platform);
    let owner = push::Owner {
        name,
        appid: appid.as_ref(),
        platform,
    };
    pushes.extend(read_push(section, &owner, around));
    Some(AppSettings {
        name: name.into(),
        provider,
        appid: appid?,
        secret: secret?,
        base_urls,
        timeout,
        max_concurrent,
        token_grant,
    })
}

/// Where the operator finds an app's credentials.
struct CredentialHints {
    appid: String,
    secret: String,
    /// The variable that the secret is usually in.
    variable: &'static str,
}

impl CredentialHints {
    fn of(platform: Option<&Platform>) -> Self {
        let (console, variable) = match platform {
            Some(platform) => (platform.console, platform.secret_variable),
            None => ("the console of its platform", "APP_SECRET"),
        };
        Self {
            appid: format!("copy the AppID from {console}"),
            secret: format!("copy the AppSecret from {console}"),
            variable,
        }
    }
}

fn read_secret(section: &mut Section<'_>, hints: &CredentialHints) -> Option<Secret<String>> {
    if !section.has("secret") && !section.has("secret_file") {
        let hint = format!(
            "write secret = \"${{{}}}\"; {}",
            hints.variable, hints.secret
        );
        section.problem("secret", "missing", &hint);
    }
    section.secret("secret", "secret_file", &hints.secret)
}

/// What the app takes that its platform pushes, where that pushes anything.
fn read_push(
    section: &mut Section<'_>,
    owner: &push::Owner<'_>,
    around: &push::Surroundings,
) -> Option<Arc<PushSettings>> {
    owner.platform.push_source?;
    if owner.platform.component.is_some() && !section.has("push") {
        section.warn(
            "push",
            "missing: without the ticket that the platform pushes nobody can sign in",
            "write token and aes_key of the platform's events into [apps.NAME.push]",
        );
    }
    section.section("push", |section| push::read(section, owner, around))
}

fn check_base_urls(section: &Section<'_>, platform: &Platform, base_urls: &[String]) {
    if section.is_empty_list("base_url") {
        section.problem(
            "base_url",
            "is empty",
            &format!("write {:?}, or remove it", platform.base_urls[0]),
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
}

/// How the app's access token is fetched, where its platform has two ways.
fn read_token_grant(section: &mut Section<'_>, platform: &Platform) -> TokenGrant {
    let api = platform.app_token.as_ref();
    if api.is_none_or(|api| api.classic.is_none()) {
        return TokenGrant::default();
    }
    let grants = [
        ("stable", TokenGrant::Stable),
        ("classic", TokenGrant::Classic),
    ];
    let grant = section.value("access_token", choice(grants));
    if grant == TokenGrant::Classic {
        section.warn(
            "access_token",
            "is \"classic\": every other fetcher of this app (an environment with a store of its own, a token server, a person) ends the gateway's token, and the gateway theirs",
            "leave it out: the default \"stable\" disturbs nobody",
        );
    }
    grant
}

/// A key that only apps of another platform take is no unknown one.
fn refuse_foreign_keys(section: &mut Section<'_>, platform: &Platform) {
    let all = platforms().map(|other| (other.name, other.extra_keys));
    for (key, owner) in foreign_keys(platform.extra_keys, all) {
        if section.has(key) {
            section.take(key);
            section.problem(
                key,
                &format!(
                    "is a key of {owner}, and this app's provider is {:?}",
                    platform.kind.as_str()
                ),
                "remove it, or correct provider",
            );
        }
    }
}

/// The keys that other platforms have, and this one has not, each with the name of one that has it.
fn foreign_keys(
    own: &[&'static str],
    all: impl Iterator<Item = (&'static str, &'static [&'static str])>,
) -> BTreeMap<&'static str, &'static str> {
    all.flat_map(|(name, keys)| keys.iter().map(move |key| (*key, name)))
        .filter(|(key, _)| !own.contains(key))
        .collect()
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

fn appid(text: &str, platform: &Platform) -> Result<Arc<str>, Wrong> {
    if is_appid(text) {
        Ok(text.into())
    } else {
        refuse(
            "is not an AppID",
            format!(
                "write it as the platform shows it, as in {:?}",
                platform.appid_example
            ),
        )
    }
}

fn base_url(text: &str, platform: &Platform) -> Result<String, Wrong> {
    let form = format!("write it as in {:?}", platform.base_urls[0]);
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or_else(|| Wrong::new("does not begin with https://", form.clone()))?;
    let is_odd = rest.is_empty()
        || rest.starts_with(['/', ':'])
        || rest.contains(['?', '#', '@', '\\'])
        || !rest.bytes().all(|b| b.is_ascii_graphic());
    if is_odd || BaseUrl::parse(text).is_err() {
        return refuse("is not a base URL", form);
    }
    let base = text.trim_end_matches('/');
    if let Some(meant) = without_call(base, platform) {
        return refuse(
            "has the path of a call, which the gateway adds itself",
            format!("write {meant:?}"),
        );
    }
    Ok(base.to_owned())
}

/// For a URL with the path of a call behind it, the one without. A stand-in may lie below a path of
/// its own; a platform does not.
fn without_call<'a>(url: &'a str, platform: &Platform) -> Option<&'a str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest
        .find('/')
        .map(|at| &url[..scheme.len() + "://".len() + at])?;
    if platform.lives_at(url) {
        Some(host)
    } else {
        url.strip_suffix(platform.login.path)
    }
}

/// Whether a URL stays on this machine.
fn is_local(url: &str) -> bool {
    let host = url.split("//").nth(1).unwrap_or_default();
    ["localhost", "127.", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_two_platforms_share_is_foreign_to_neither() {
        let all: [(&str, &[&str]); 3] = [
            ("A", &["corp_id", "agent_id"]),
            ("B", &["corp_id"]),
            ("C", &[]),
        ];
        for (own, foreign) in [
            (0, vec![]),
            (1, vec![("agent_id", "A")]),
            (2, vec![("agent_id", "A"), ("corp_id", "B")]),
        ] {
            let found = foreign_keys(all[own].1, all.into_iter());
            assert_eq!(found.into_iter().collect::<Vec<_>>(), foreign, "{own}");
        }
    }
}
