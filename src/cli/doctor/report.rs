//! The diagnostics for people and for scripts.

use serde_json::{Value, json};

use crate::cli::admin::harmless;
use crate::diagnostic::{DiagnosedSubject, Diagnostic, Verdict};

/// Everything that was found, in the order of the report.
pub(super) struct Report(pub(super) Vec<DiagnosedSubject>);

impl Report {
    /// How many diagnostics have this verdict.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.lines()
            .filter(|(_, diagnostic)| diagnostic.verdict == verdict)
            .count()
    }

    /// A line each: verdict, what was examined, which check, what was seen, what to do.
    pub(super) fn text(&self) -> String {
        let width = |of: fn(&(&str, &Diagnostic)) -> usize| {
            self.lines().map(|line| of(&line)).max().unwrap_or(0)
        };
        let subjects = width(|(subject, _)| subject.chars().count());
        let checks = width(|(_, diagnostic)| diagnostic.check.len());
        let line = |(subject, diagnostic): (&str, &Diagnostic)| {
            let Diagnostic {
                verdict,
                check,
                seen,
                advice,
            } = diagnostic;
            let arrow = if advice.is_empty() { "" } else { " → " };
            let text = format!(
                "{:4}  {subject:subjects$}  {check:checks$}  {seen}{arrow}{advice}",
                verdict.word()
            );
            format!("{}\n", harmless(&text))
        };
        self.lines().map(line).collect()
    }

    /// An object with the diagnostics and how many there are of each verdict.
    pub(super) fn json(&self) -> String {
        let diagnostic = |(subject, diagnostic): (&str, &Diagnostic)| {
            json!({
                "verdict": diagnostic.verdict.word().to_lowercase(),
                "subject": subject,
                "check": diagnostic.check,
                "seen": diagnostic.seen,
                "advice": diagnostic.advice,
            })
        };
        let diagnostics: Vec<Value> = self.lines().map(diagnostic).collect();
        let counts = json!({
            "ok": self.count(Verdict::Ok),
            "note": self.count(Verdict::Note),
            "warn": self.count(Verdict::Warn),
            "fail": self.count(Verdict::Fail),
        });
        format!(
            "{:#}\n",
            json!({ "findings": diagnostics, "counts": counts })
        )
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &Diagnostic)> {
        self.0.iter().flat_map(|diagnosed| {
            diagnosed
                .diagnostics
                .iter()
                .map(|diagnostic| (diagnosed.subject.as_str(), diagnostic))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let redis = vec![
            Diagnostic::ok("version", "Redis 7.0.15"),
            Diagnostic::fail(
                "eviction",
                "allkeys-lru\u{1b}[31m\u{202e}",
                "set noeviction",
            ),
        ];
        let app = vec![Diagnostic::note("secret", "x", "")];
        Report(vec![
            DiagnosedSubject {
                subject: "redis h:1".to_owned(),
                diagnostics: redis,
            },
            DiagnosedSubject {
                subject: "app shop".to_owned(),
                diagnostics: app,
            },
        ])
    }

    #[test]
    fn lines_are_aligned_and_harmless() {
        let expected = "ok    redis h:1  version   Redis 7.0.15\n\
                        FAIL  redis h:1  eviction  allkeys-lru?[31m? → set noeviction\n\
                        note  app shop   secret    x\n";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn a_script_reads_the_same() {
        let json: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(
            json["counts"],
            json!({ "ok": 1, "note": 1, "warn": 0, "fail": 1 })
        );
        assert_eq!(json["findings"][1]["verdict"], "fail");
        assert_eq!(
            json["findings"][2],
            json!({ "verdict": "note", "subject": "app shop", "check": "secret", "seen": "x", "advice": "" })
        );
    }
}
