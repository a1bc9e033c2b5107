//! A platform's answer is somebody else's text: nothing that was sent, and no session_key, comes back
//! in what is logged of it, and what becomes a header can stand in one.

use hufu::provider::client::PlatformAnswer;
use hufu::provider::registry::platforms;
use hufu::provider::reply::{Reply, read};

const APP_SECRET: &str = "tiger-of-the-app";

/// See the module. The first byte chooses the HTTP status and the platform.
pub fn check(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let status = [200, 200, 400, 429, 502][usize::from(choice) % 5];
    let platforms: Vec<_> = platforms().collect();
    let platform = platforms[usize::from(choice) / 5 % platforms.len()];
    let answer = PlatformAnswer {
        status,
        body: body.to_vec(),
    };
    match read(
        platform.login.read,
        platform.error_field,
        &answer,
        &[APP_SECRET],
    ) {
        Reply::Success(identity) => {
            let plain = |text: &str| {
                (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
            };
            assert!(
                status == 200
                    && plain(&identity.subject)
                    && identity.unionid.as_deref().is_none_or(plain)
            );
            let ids = [Some(&*identity.subject), identity.unionid.as_deref()];
            let shown = ids
                .into_iter()
                .flatten()
                .fold(format!("{identity:?}"), |shown, id| shown.replace(id, ""));
            assert!(
                !shown.contains(&session_key(body)),
                "the session_key is shown"
            );
        }
        Reply::Refused(refusal) => {
            is_fit_for_a_log(&refusal.description, &session_key(body));
        }
        Reply::Down(reason) | Reply::Nonsense(reason) => {
            is_fit_for_a_log(&reason, &session_key(body));
        }
    }
}

/// The session_key in a body; where there is none, or one that is a piece of any text, a word that
/// is in none.
fn session_key(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let key = [&value["session_key"], &value["data"]["session_key"]]
        .into_iter()
        .find_map(|key| key.as_str())
        .unwrap_or_default();
    if key.len() > 8
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    {
        key.to_owned()
    } else {
        "\0".to_owned()
    }
}

fn is_fit_for_a_log(text: &str, session_key: &str) {
    assert!(
        !text.contains(APP_SECRET) && !text.contains(session_key),
        "{text:?} shows a secret"
    );
    assert!(
        text.chars().count() <= 2_100
            && !text
                .chars()
                .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}')),
        "{text:?}"
    );
    let is_long = |word: &str| word.len() >= 20;
    assert!(
        !text
            .split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_".contains(c)))
            .any(is_long),
        "{text:?} may show a key"
    );
}
