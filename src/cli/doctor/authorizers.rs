//! What the store keeps for an app that acts for the apps of others: its ticket, and refresh tokens,
//! which outlive sealing keys.

use std::sync::Arc;

use crate::config::Settings;
use crate::diagnostic::{DiagnosedSubject, Diagnostic};
use crate::identity::{ComponentStore, KeptAuthorizer, SealState};
use crate::metrics::Metrics;
use crate::provider::platform::ComponentApis;
use crate::provider::registry::platform;
use crate::provider::settings::AppSettings;
use crate::session::StoreError;
use crate::store::{self, StoreSettings};

const TICKET: &str = "ticket";
const AUTHORIZERS: &str = "authorizers";
/// So many are named in a line.
const NAMED: usize = 5;

/// A subject for each such app; none asks the store where there is no such app.
pub(super) async fn diagnose(
    settings: &Settings,
    store_settings: &StoreSettings,
) -> Vec<DiagnosedSubject> {
    let mut diagnosed = Vec::new();
    for app in &settings.apps {
        let Some(apis) = &platform(app.provider).component else {
            continue;
        };
        let diagnostics = match open(settings, store_settings) {
            Ok(store) => vec![
                ticket(store.ticket(&app.appid).await, app, apis),
                authorizers(store.authorizers(&app.appid).await),
            ],
            Err(error) => vec![Diagnostic::note(TICKET, error.to_string(), "")],
        };
        diagnosed.push(DiagnosedSubject {
            subject: format!("authorizers of {}", app.name),
            diagnostics,
        });
    }
    diagnosed
}

fn open(
    settings: &Settings,
    store_settings: &StoreSettings,
) -> Result<Arc<dyn ComponentStore>, store::BadStoreSettings> {
    let secrets = &settings.secrets;
    let handle = store::open(
        store_settings,
        secrets.keys.clone(),
        secrets.naming_key.clone(),
        Arc::new(Metrics::new()),
    )?;
    Ok(handle.process().component)
}

fn ticket<T>(
    found: Result<Option<T>, StoreError>,
    app: &AppSettings,
    apis: &ComponentApis,
) -> Diagnostic {
    match found {
        Ok(Some(_)) => Diagnostic::ok(TICKET, "there is one, as the platform pushes it"),
        Ok(None) => Diagnostic::warn(
            TICKET,
            "there is none, so nobody can sign in",
            apis.no_ticket.replace("{app}", &app.name),
        ),
        Err(error) => unseen(TICKET, &error),
    }
}

fn authorizers(found: Result<Vec<KeptAuthorizer>, StoreError>) -> Diagnostic {
    let kept = match found {
        Ok(kept) => kept,
        Err(error) => return unseen(AUTHORIZERS, &error),
    };
    let old = named(&kept, SealState::Old);
    let lost = named(&kept, SealState::Unreadable);
    if !old.is_empty() {
        return Diagnostic::warn(
            AUTHORIZERS,
            format!("refresh tokens under an old sealing key: {old}"),
            "keep that key in secrets.keys until a gateway has started with the new one first: it seals them anew",
        );
    }
    if !lost.is_empty() {
        return Diagnostic::warn(
            AUTHORIZERS,
            format!("refresh tokens that no sealing key opens: {lost}"),
            "put the key back into secrets.keys; without it the gateway asks the platform for them when they are needed",
        );
    }
    Diagnostic::ok(
        AUTHORIZERS,
        format!("{}, all under the first sealing key", kept.len()),
    )
}

/// Those in this state by their ids; empty: none.
fn named(kept: &[KeptAuthorizer], seal: SealState) -> String {
    let mut appids: Vec<&str> = kept
        .iter()
        .filter(|kept| kept.seal == seal)
        .map(|kept| &*kept.appid)
        .collect();
    let more = appids.len().saturating_sub(NAMED);
    appids.truncate(NAMED);
    let listed = appids.join(", ");
    if more > 0 {
        format!("{listed} and {more} more")
    } else {
        listed
    }
}

fn unseen(check: &'static str, error: &StoreError) -> Diagnostic {
    Diagnostic::note(check, format!("it cannot be seen: {error}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::diagnostic::Verdict;

    #[test]
    fn what_is_under_an_old_key_is_named() {
        let kept = |seal, count: usize| -> Vec<_> {
            let one = |n| KeptAuthorizer {
                appid: format!("wx{n}"),
                since: UnixMillis(0),
                seal,
            };
            (0..count).map(one).collect()
        };
        let old = authorizers(Ok(
            [kept(SealState::Old, 7), kept(SealState::Current, 1)].concat()
        ));
        assert_eq!(old.verdict, Verdict::Warn);
        assert!(
            old.seen.ends_with("wx0, wx1, wx2, wx3, wx4 and 2 more"),
            "{}",
            old.seen
        );
        let lost = authorizers(Ok(kept(SealState::Unreadable, 1)));
        assert!(lost.seen.ends_with(": wx0"), "{}", lost.seen);
        let good = authorizers(Ok(kept(SealState::Current, 2)));
        assert_eq!(
            (good.verdict, good.seen.starts_with("2,")),
            (Verdict::Ok, true)
        );
    }
}
