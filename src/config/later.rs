//! Keys that the documentation of later versions names. A file that has one gets told so rather
//! than "unknown".

/// Keys, and whole tables, of later versions.
const KEYS: [&str; 2] = ["store.pool_size", "compat"];

/// Whether a key, written with `*` for the operator's names, comes with a later version.
pub(super) fn is_later(path: &str) -> bool {
    KEYS.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_both_of_this_version_and_of_a_later_one() {
        let now = super::super::manual::paths();
        assert!(now.len() > 30);
        assert!(KEYS.iter().all(|later| {
            !now.iter()
                .any(|path| path == later || path.starts_with(&format!("{later}.")))
        }));
    }
}
