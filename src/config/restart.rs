//! Which keys are read again while the gateway runs, and which take a restart.

use super::Settings;

/// Sections that count from the start of a process to its end.
const FIXED: [&str; 8] = [
    "server",
    "admin",
    "store",
    "secrets",
    "session",
    "websockets",
    "traces",
    "log",
];
/// Keys in them that may change nevertheless.
const SWAPPED: [&str; 4] = [
    "server.trusted_proxies",
    "server.forwarding_header",
    "server.body_limit",
    "log.skip",
];

/// Whether a change of this key takes a restart.
fn needs_restart(path: &str) -> bool {
    FIXED
        .iter()
        .any(|section| path.split('.').next() == Some(*section))
        && !SWAPPED.contains(&path)
}

impl Settings {
    /// The keys that a process started with these settings cannot take over from `later`, and that
    /// are different there.
    #[must_use]
    pub fn unchangeable(&self, later: &Self) -> Vec<String> {
        let mut paths = self.effective.differing(&later.effective, needs_restart);
        // What is hidden looks the same.
        let ephemeral = self.secrets.ephemeral && later.secrets.ephemeral;
        let hidden = [
            ("admin.token", self.admin.token != later.admin.token),
            ("store.password", self.store.url != later.store.url),
            (
                "store.sentinel_password",
                self.store.sentinel_login != later.store.sentinel_login,
            ),
            (
                "secrets.keys",
                !ephemeral && self.secrets.keys != later.secrets.keys,
            ),
            (
                "secrets.naming_key",
                !ephemeral && self.secrets.naming_key != later.secrets.naming_key,
            ),
        ];
        // Passwords are compared with what they belong to, which may be the difference and is named
        // then.
        let store = paths.iter().any(|path| path.starts_with("store."));
        let more = hidden.into_iter().filter(|(path, differs)| {
            *differs
                && !(store && path.starts_with("store."))
                && !paths.iter().any(|known| known == path)
        });
        let more: Vec<_> = more.map(|(path, _)| path.to_owned()).collect();
        paths.extend(more);
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::super::Variables;
    use super::*;

    #[test]
    fn what_differs_is_named_also_where_it_is_written_alike() {
        let read = |text: &str, variables: &[(&'static str, &'static str)]| {
            let text = format!(
                "store.url = \"memory:\"\n[apps.a]\nappid = \"wx1\"\nsecret = \"s\"\n[upstreams.u]\nendpoints = [\"http://x\"]\n\
                 [[routes]]\npath = \"/\"\nupstream = \"u\"\n{text}"
            );
            Settings::parse(
                "f",
                &text,
                std::path::Path::new(""),
                &Variables::only(variables.iter().copied()),
            )
            .unwrap()
            .0
        };
        let size = "[server]\nmax_request_head = \"${SIZE}\"\nbody_limit = \"${BODY}\"\n";
        let settings = read(size, &[("SIZE", "16KiB"), ("BODY", "1KiB")]);
        assert_eq!(
            settings.unchangeable(&read(size, &[("SIZE", "16KiB"), ("BODY", "2KiB")])),
            [""; 0]
        );
        assert_eq!(
            settings.unchangeable(&read(size, &[("SIZE", "32KiB"), ("BODY", "1KiB")])),
            ["server.max_request_head"]
        );
        assert_eq!(
            settings.unchangeable(&read("[log]\nlevel = \"warn\"\n", &[])),
            ["log.level", "server.max_request_head"]
        );
        let token = |token: &str| read(&format!("[admin]\ntoken = \"{token}\"\n"), &[]);
        assert_eq!(
            token("0123456789abcdef0123456789").unchangeable(&token("0123456789abcdef012345678x")),
            ["admin.token"]
        );
    }

    #[test]
    fn every_key_of_the_manual_either_swaps_or_takes_a_restart() {
        let paths = super::super::manual::paths();
        let (fixed, swapped): (Vec<_>, Vec<_>) = paths.iter().partition(|path| needs_restart(path));
        assert!(
            fixed.iter().any(|path| *path == "server.listen")
                && fixed.iter().any(|path| *path == "session.idle_timeout"),
            "{fixed:?}"
        );
        let sections = [
            "server",
            "apps",
            "upstreams",
            "routes",
            "login",
            "platforms",
            "failure",
            "cors",
            "identity",
            "verify",
            "log",
        ];
        for path in swapped {
            assert!(
                sections.contains(&path.split('.').next().unwrap()),
                "is {path} read again?"
            );
        }
    }
}
