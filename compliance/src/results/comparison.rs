//! What has changed since the baseline? What passed there must pass; all else is told, and is no fault.

use std::{collections::BTreeSet, fmt};

use super::{
    baseline::Baseline,
    outcome::{Outcome, Results, Test},
};

/// The changes, and how many tests ended how.
pub struct Comparison {
    changes: Vec<Change>,
    broken: BTreeSet<String>,
    counts: [usize; 3],
}

struct Change {
    kind: Kind,
    test: Test,
    reason: String,
}

/// In the order in which they are printed: what matters most comes last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    New(&'static str),
    Gone,
    NowSkipped,
    NowPasses,
    Worse(&'static str),
}

impl Kind {
    /// How one outcome became another; none where that is no change.
    fn between(before: Outcome, now: Outcome) -> Option<Self> {
        match (before, now) {
            _ if now == before => None,
            (_, Outcome::Pass) => Some(Self::NowPasses),
            (_, Outcome::Fail) => Some(Self::Worse("NOW FAILS")),
            // Tests are skipped where a server lacks what they ask for.
            (Outcome::Pass, Outcome::Skip) => Some(Self::Worse("NOW SKIPPED")),
            (_, Outcome::Skip) => Some(Self::NowSkipped),
        }
    }

    fn new(outcome: Outcome) -> Self {
        Self::New(match outcome {
            Outcome::Pass => "passes",
            Outcome::Fail => "fails",
            Outcome::Skip => "is skipped",
        })
    }
}

impl Comparison {
    /// Holds a run against the baseline. A result is missed only in a `whole` package that was run.
    pub fn new(baseline: &Baseline, results: &Results, whole: bool) -> Self {
        let mut changes = Vec::new();
        for (test, now) in &results.outcomes {
            let known = baseline.0.get(test);
            let kind =
                known.map_or(Some(Kind::new(*now)), |line| Kind::between(line.outcome, *now));
            let reason = known.map(|line| line.reason.clone()).unwrap_or_default();
            changes.extend(kind.map(|kind| Change { kind, test: test.clone(), reason }));
        }
        let is_missed = |test: &Test| {
            whole
                && results.packages.contains(&test.package)
                && !results.outcomes.contains_key(test)
        };
        for (test, line) in baseline.0.iter().filter(|(test, _)| is_missed(test)) {
            let reason = line.outcome.to_string();
            changes.push(Change { kind: Kind::Gone, test: test.clone(), reason });
        }
        changes.sort_by_key(|change| change.kind);
        let counts = [Outcome::Pass, Outcome::Fail, Outcome::Skip].map(|all| results.count(all));
        Self { changes, broken: results.broken.clone(), counts }
    }

    /// Whether nothing is worse. A subtest that is gone is no fault: its test fails where it is one.
    pub fn is_well(&self) -> bool {
        let is_worse = |change: &Change| matches!(change.kind, Kind::Worse(_));
        self.broken.is_empty() && !self.changes.iter().any(is_worse)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Change { kind, test, reason } in &self.changes {
            let kind = match kind {
                Kind::New(outcome) => format!("new, {outcome}"),
                Kind::Gone => "gone".to_owned(),
                Kind::NowPasses => "now passes".to_owned(),
                Kind::NowSkipped => "now skipped".to_owned(),
                Kind::Worse(how) => (*how).to_owned(),
            };
            let reason = if reason.is_empty() { String::new() } else { format!("  ({reason})") };
            writeln!(to, "{kind}: {test}{reason}")?;
        }
        for package in &self.broken {
            writeln!(to, "BROKEN: {package} was not built, or fell over")?;
        }
        let [passed, failed, skipped] = self.counts;
        writeln!(to, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASELINE: &str = "\
PASS csapi TestA
FAIL csapi TestB  not built: media
SKIP csapi TestC
PASS msc3967 TestD
";

    fn compared(events: &[(&str, &str)], whole: bool) -> (String, bool) {
        let mut results = Results::default();
        for (action, test) in events {
            results.read(&format!(r#"{{"Action":"{action}","Package":"csapi","Test":"{test}"}}"#));
        }
        let comparison = Comparison::new(&Baseline::parse(BASELINE).unwrap(), &results, whole);
        (comparison.to_string(), comparison.is_well())
    }

    const SAME: [(&str, &str); 3] = [("pass", "TestA"), ("fail", "TestB"), ("skip", "TestC")];

    #[test]
    fn what_is_the_same_is_not_told() {
        let told = "1 passed, 1 failed, 1 skipped\n".to_owned();
        assert_eq!(compared(&SAME, true), (told, true));
    }

    #[test]
    fn what_passed_must_pass() {
        let (told, is_well) = compared(&[("fail", "TestA")], false);
        assert_eq!(told, "NOW FAILS: csapi TestA\n0 passed, 1 failed, 0 skipped\n");
        assert!(!is_well);
    }

    #[test]
    fn what_passed_may_not_be_skipped() {
        let (told, is_well) = compared(&[("skip", "TestA")], false);
        assert!(told.starts_with("NOW SKIPPED: csapi TestA\n"));
        assert!(!is_well);
        assert!(compared(&[("skip", "TestB")], false).1);
    }

    #[test]
    fn what_was_skipped_may_not_begin_to_fail_unseen() {
        let (told, is_well) = compared(&[("fail", "TestC")], false);
        assert!(told.starts_with("NOW FAILS: csapi TestC\n"));
        assert!(!is_well);
    }

    #[test]
    fn what_passes_now_and_what_is_new_is_told() {
        let (told, is_well) = compared(&[("pass", "TestB"), ("fail", "TestE")], false);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "new, fails: csapi TestE");
        assert_eq!(lines[1], "now passes: csapi TestB  (not built: media)");
        assert!(is_well);
    }

    #[test]
    fn a_result_is_missed_only_in_a_whole_package_that_ran() {
        let (told, is_well) = compared(&SAME[..2], true);
        assert_eq!(told, "gone: csapi TestC  (SKIP)\n1 passed, 1 failed, 0 skipped\n");
        assert!(is_well);
        assert!(!compared(&SAME[..2], false).0.contains("gone"));
    }

    #[test]
    fn a_package_that_fell_over_is_never_well() {
        let mut results = Results::default();
        results.read(r#"{"Action":"fail","Package":"csapi"}"#);
        let comparison = Comparison::new(&Baseline::default(), &results, true);
        assert!(comparison.to_string().starts_with("BROKEN: csapi"));
        assert!(!comparison.is_well());
    }
}
