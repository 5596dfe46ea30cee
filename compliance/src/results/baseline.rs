//! Which results are committed? A file with a line for each: how the test ended, its package, its name and, where it
//! failed, why.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};

use super::outcome::{Outcome, Results, Test};

/// What the file says of itself.
const HEAD: &str = "\
# How each test of Complement ends against this server; compliance/README.md says how to read and renew this.
# outcome package test reason
";

/// The committed results.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Baseline(pub BTreeMap<Test, Line>);

/// A committed result.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub outcome: Outcome,
    /// Empty where nothing is known.
    pub reason: String,
}

impl Baseline {
    /// Reads the file. Names of tests have no spaces: Go writes `_`.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &str| {
            let mut words = line.splitn(4, ' ');
            let outcome = Outcome::named(words.next()?)?;
            let (package, name) = (words.next()?.to_owned(), words.next()?.to_owned());
            let reason = words.next().unwrap_or_default().trim().to_owned();
            Some((Test { package, name }, Line { outcome, reason }))
        };
        let lines = lines.map(|line| {
            read(line).with_context(|| format!("the baseline has a line that is none: {line}"))
        });
        Ok(Self(lines.collect::<Result<_>>()?))
    }

    /// Takes over what a run showed of the packages that it ran. What still fails keeps its reason.
    pub fn renew(&mut self, results: &Results) {
        self.0.retain(|test, _| {
            !results.packages.contains(&test.package) || results.outcomes.contains_key(test)
        });
        for (test, outcome) in &results.outcomes {
            let known = self.0.remove(test).filter(|known| known.outcome == *outcome);
            let reason = known.map(|known| known.reason).unwrap_or_default();
            self.0.insert(test.clone(), Line { outcome: *outcome, reason });
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(HEAD)?;
        for (test, Line { outcome, reason }) in &self.0 {
            let line = format!("{outcome} {test}  {reason}");
            writeln!(to, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# a comment
PASS csapi TestA
FAIL csapi TestA/one  not built: media
SKIP tests TestB
";

    fn ran(events: &[(&str, &str)]) -> Results {
        let mut results = Results::default();
        for (action, test) in events {
            results.read(&format!(r#"{{"Action":"{action}","Package":"csapi","Test":"{test}"}}"#));
        }
        results
    }

    #[test]
    fn what_is_written_is_read_again() {
        let baseline = Baseline::parse(FILE).unwrap();
        assert_eq!(Baseline::parse(&baseline.to_string()).unwrap(), baseline);
        let lines = FILE.split_once('\n').unwrap().1;
        assert_eq!(baseline.to_string(), format!("{HEAD}{lines}"));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let problem = Baseline::parse("PASSED csapi TestA\n").unwrap_err();
        assert!(problem.to_string().ends_with("PASSED csapi TestA"));
    }

    #[test]
    fn a_run_renews_only_the_packages_that_it_ran() {
        let mut baseline = Baseline::parse(FILE).unwrap();
        baseline.renew(&ran(&[("fail", "TestA/one"), ("pass", "TestC")]));
        let expected =
            "FAIL csapi TestA/one  not built: media\nPASS csapi TestC\nSKIP tests TestB\n";
        assert_eq!(baseline.to_string(), format!("{HEAD}{expected}"));
    }

    #[test]
    fn what_passes_needs_no_reason_any_more() {
        let mut baseline = Baseline::parse(FILE).unwrap();
        baseline.renew(&ran(&[("pass", "TestA/one")]));
        assert!(baseline.to_string().contains("PASS csapi TestA/one\n"));
    }
}
