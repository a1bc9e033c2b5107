//! A configuration is read or refused: every problem says where it is, and no secret is in what is
//! shown.

use std::path::Path;

use hufu::config::{Settings, Variables};

/// What the variables are that hold secrets.
const SECRET: &str = "tiger-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let secrets =
        ["WX_SECRET", "HUFU_REDIS_PASSWORD", "HUFU_ADMIN_TOKEN"].map(|name| (name, SECRET));
    let keys = [
        ("HUFU_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        (
            "HUFU_NAMING_KEY",
            "HxwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEAHR4",
        ),
    ];
    let variables = Variables::only(keys.into_iter().chain(secrets));
    // No relative path leads to a file.
    match Settings::parse("hufu.toml", text, Path::new("/nowhere"), &variables) {
        Ok((settings, _)) => {
            let shown = settings.effective.to_string();
            assert!(!shown.contains(SECRET), "{shown}");
            assert!(
                shown.parse::<toml::Table>().is_ok(),
                "what is shown is no TOML:\n{shown}"
            );
        }
        Err(error) => {
            assert!(!error.problems.is_empty(), "it was refused for nothing");
            let lines = text.matches('\n').count() + 1;
            for problem in &error.problems {
                assert!(
                    problem.line.is_none_or(|line| (1..=lines).contains(&line)),
                    "{problem}"
                );
                assert!(
                    !problem.what.is_empty() && !problem.to_string().contains(SECRET),
                    "{problem}"
                );
            }
        }
    }
}
