//! The findings for people and for scripts.

use serde_json::{Value, json};

use crate::finding::{Examined, Finding, Verdict};

/// Everything that was found, in the order of the report.
pub(super) struct Report(pub(super) Vec<Examined>);

impl Report {
    /// How many findings have this verdict.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.lines()
            .filter(|(_, finding)| finding.verdict == verdict)
            .count()
    }

    /// A line each: verdict, what was examined, which check, what was seen, what to do.
    pub(super) fn text(&self) -> String {
        let width = |of: fn(&(&str, &Finding)) -> usize| {
            self.lines().map(|line| of(&line)).max().unwrap_or(0)
        };
        let (subjects, checks) = (
            width(|(subject, _)| subject.chars().count()),
            width(|(_, finding)| finding.check.len()),
        );
        let line = |(subject, finding): (&str, &Finding)| {
            let Finding {
                verdict,
                check,
                seen,
                advice,
            } = finding;
            let arrow = if advice.is_empty() { "" } else { " → " };
            let text = format!(
                "{:4}  {subject:subjects$}  {check:checks$}  {seen}{arrow}{advice}",
                verdict.word()
            );
            format!("{}\n", one_line(&text))
        };
        self.lines().map(line).collect()
    }

    /// An object with the findings and how many there are of each verdict.
    pub(super) fn json(&self) -> String {
        let finding = |(subject, finding): (&str, &Finding)| {
            let Finding {
                verdict,
                check,
                seen,
                advice,
            } = finding;
            json!({ "verdict": verdict.word().to_lowercase(), "subject": subject, "check": check, "seen": seen, "advice": advice })
        };
        let findings: Vec<Value> = self.lines().map(finding).collect();
        let counts = [Verdict::Ok, Verdict::Note, Verdict::Warn, Verdict::Fail]
            .map(|verdict| (verdict.word().to_lowercase(), json!(self.count(verdict))));
        let counts: serde_json::Map<String, Value> = counts.into_iter().collect();
        format!("{:#}\n", json!({ "findings": findings, "counts": counts }))
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &Finding)> {
        self.0.iter().flat_map(|examined| {
            examined
                .findings
                .iter()
                .map(|finding| (examined.subject.as_str(), finding))
        })
    }
}

/// What a server said may hold anything; a terminal gets none of it.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let redis = vec![
            Finding::ok("version", "Redis 7.0.15"),
            Finding::fail("eviction", "allkeys-lru\u{1b}[31m", "set noeviction"),
        ];
        let app = vec![Finding::note("secret", "x", "")];
        Report(vec![
            Examined {
                subject: "redis h:1".to_owned(),
                findings: redis,
            },
            Examined {
                subject: "app shop".to_owned(),
                findings: app,
            },
        ])
    }

    #[test]
    fn lines_are_aligned_and_harmless() {
        let expected = "ok    redis h:1  version   Redis 7.0.15\n\
                        FAIL  redis h:1  eviction  allkeys-lru?[31m → set noeviction\n\
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
