//! Which server it is, and whether it is new enough.

use super::info::Info;
use crate::diagnostic::Diagnostic;

/// `SET … PXAT` in the scripts came with it.
const OLDEST: (u32, u32) = (6, 2);

pub(super) fn check(info: &Info) -> Diagnostic {
    let (compatible, valkey) = (info.text("redis_version"), info.text("valkey_version"));
    let name = if valkey.is_empty() {
        format!("Redis {compatible}")
    } else {
        format!("Valkey {valkey} (speaks as Redis {compatible})")
    };
    match parts(compatible) {
        None => Diagnostic::warn(
            "version",
            "it does not say which version it is",
            "make sure that it speaks as Redis 6.2 or later does",
        ),
        Some(version) if version < OLDEST => Diagnostic::fail(
            "version",
            name,
            format!(
                "the scripts need Redis {}.{} or later: logins fail on this one",
                OLDEST.0, OLDEST.1
            ),
        ),
        Some(_) => Diagnostic::ok("version", name),
    }
}

fn parts(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

    #[test]
    fn the_floor_is_6_2_and_valkey_is_named() {
        let of = |text: &str| check(&Info::parse(text));
        for (text, verdict) in [
            ("redis_version:6.0.16\r\n", Verdict::Fail),
            ("redis_version:5.9.9\r\n", Verdict::Fail),
            ("redis_version:6.2.0\r\n", Verdict::Ok),
            ("redis_version:7.0.15\r\n", Verdict::Ok),
            ("redis_version:10.0.0\r\n", Verdict::Ok),
            ("nothing:1\r\n", Verdict::Warn),
            ("redis_version:unstable\r\n", Verdict::Warn),
        ] {
            assert_eq!(of(text).verdict, verdict, "{text}");
        }
        let valkey = of("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n");
        assert_eq!(
            (valkey.verdict, valkey.seen.as_str()),
            (Verdict::Ok, "Valkey 8.1.0 (speaks as Redis 7.2.4)")
        );
    }
}
