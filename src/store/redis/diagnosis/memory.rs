//! What the server does when it is full, and how full it is.

use bytesize::ByteSize;

use super::info::Info;
use crate::diagnostic::Diagnostic;

const POLICY: &str = "noeviction";

/// Whether it throws keys away by itself.
pub(super) fn eviction(info: &Info) -> Diagnostic {
    match info.text("maxmemory_policy") {
        "" => Diagnostic::warn(
            "eviction",
            "it does not say what it does when it is full",
            "make sure that maxmemory-policy is noeviction",
        ),
        POLICY => Diagnostic::ok("eviction", "noeviction"),
        other => {
            let advice = "set maxmemory-policy to noeviction: this one signs users out at random when memory runs short, and lets \"sign out \
                          everywhere\" miss sessions";
            Diagnostic::fail("eviction", other, advice)
        }
    }
}

/// How much it holds, and whether there is a limit.
pub(super) fn usage(info: &Info) -> Diagnostic {
    let Some(used) = info.number("used_memory") else {
        return Diagnostic::note("memory", "it does not say how much it uses", "");
    };
    let shown = |bytes| ByteSize(bytes).display().iec().to_string();
    match info.number("maxmemory") {
        None => Diagnostic::note(
            "memory",
            format!("{} in use; it does not say what its limit is", shown(used)),
            "",
        ),
        Some(0) => {
            let advice = "set maxmemory: without it the operating system ends the server when the machine's memory is gone";
            Diagnostic::warn(
                "memory",
                format!("{} in use, no limit", shown(used)),
                advice,
            )
        }
        Some(limit) => {
            let (seen, full) = (
                format!("{} in use of {}", shown(used), shown(limit)),
                used.saturating_mul(5) > limit.saturating_mul(4),
            );
            let advice = "more than four fifths: raise maxmemory before it is full, because then logins get 503";
            if full {
                Diagnostic::warn("memory", seen, advice)
            } else {
                Diagnostic::ok("memory", seen)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

    #[test]
    fn only_noeviction_will_do() {
        let of = |policy: &str| {
            eviction(&Info::parse(&format!("maxmemory_policy:{policy}\r\n"))).verdict
        };
        assert_eq!(
            (
                of("noeviction"),
                of("allkeys-lru"),
                of("volatile-ttl"),
                of("")
            ),
            (Verdict::Ok, Verdict::Fail, Verdict::Fail, Verdict::Warn)
        );
    }

    #[test]
    fn a_server_that_is_nearly_full_or_without_limit_is_told() {
        let of = |used: u64, limit: u64| {
            usage(&Info::parse(&format!(
                "used_memory:{used}\r\nmaxmemory:{limit}\r\n"
            )))
            .verdict
        };
        assert_eq!(
            (of(80, 100), of(81, 100), of(1, 0), of(u64::MAX, 1)),
            (Verdict::Ok, Verdict::Warn, Verdict::Warn, Verdict::Warn)
        );
        assert_eq!(usage(&Info::default()).verdict, Verdict::Note);
    }
}
