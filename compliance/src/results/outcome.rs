//! Which tests ran, and how did they end? The lines that
//! [`go test -json`](https://pkg.go.dev/cmd/test2json) writes, one event each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Deserialize;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    Skip,
}

impl Outcome {
    /// The outcome that a word of the baseline means.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Pass, Self::Fail, Self::Skip].into_iter().find(|outcome| outcome.name() == word)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// A test or a subtest, and the package it is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    pub package: String,
    pub name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.package, self.name)
    }
}

/// What a run showed.
#[derive(Debug, Default)]
pub struct Results {
    /// Every test that was begun. One that did not end has failed: its package fell over.
    pub outcomes: BTreeMap<Test, Outcome>,
    /// The packages of which anything was heard.
    pub packages: BTreeSet<String>,
    /// The packages that failed without a test that did: they were not built, or fell over.
    pub broken: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    package: Option<String>,
    test: Option<String>,
}

impl Results {
    /// Takes in one line. What is no event is no result.
    pub fn read(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Event>(line) else { return };
        let Some(path) = event.package else { return };
        let package = short(&path).to_owned();
        self.packages.insert(package.clone());
        match event.test {
            Some(name) => self.test(&event.action, Test { package, name }),
            None if event.action == "fail" && !self.has_failure(&package) => {
                self.broken.insert(package);
            }
            None => {}
        }
    }

    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes.values().filter(|own| **own == outcome).count()
    }

    fn test(&mut self, action: &str, test: Test) {
        let outcome = match action {
            "run" | "fail" => Outcome::Fail,
            "pass" => Outcome::Pass,
            "skip" => Outcome::Skip,
            _ => return,
        };
        self.outcomes.insert(test, outcome);
    }

    fn has_failure(&self, package: &str) -> bool {
        let failed = |(test, outcome): (&Test, &Outcome)| {
            test.package == package && *outcome == Outcome::Fail
        };
        self.outcomes.iter().any(failed)
    }
}

/// `github.com/matrix-org/complement/tests/csapi` is `csapi`; the package above it is `tests`.
fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = "github.com/matrix-org/complement/tests/csapi";

    fn results(events: &[(&str, Option<&str>)]) -> Results {
        let mut results = Results::default();
        for (action, test) in events {
            let test = test.map(|test| format!(r#","Test":"{test}""#)).unwrap_or_default();
            results.read(&format!(r#"{{"Action":"{action}","Package":"{PACKAGE}"{test}}}"#));
        }
        results
    }

    #[test]
    fn subtests_count_as_their_tests_do() {
        let results = results(&[
            ("start", None),
            ("run", Some("TestA")),
            ("run", Some("TestA/one")),
            ("output", Some("TestA/one")),
            ("pass", Some("TestA/one")),
            ("skip", Some("TestA/two")),
            ("fail", Some("TestA")),
            ("fail", None),
        ]);
        let counts = [Outcome::Pass, Outcome::Fail, Outcome::Skip].map(|all| results.count(all));
        assert_eq!(counts, [1, 1, 1]);
        assert!(results.broken.is_empty());
        let first = results.outcomes.keys().next().unwrap();
        assert_eq!(first.to_string(), "csapi TestA");
    }

    #[test]
    fn a_test_that_does_not_end_has_failed() {
        assert_eq!(results(&[("run", Some("TestA"))]).count(Outcome::Fail), 1);
    }

    #[test]
    fn a_package_that_fails_without_a_test_is_broken() {
        let results = results(&[("start", None), ("pass", Some("TestA")), ("fail", None)]);
        assert!(results.broken.contains("csapi"));
    }

    #[test]
    fn what_is_no_event_is_passed_over() {
        let mut results = Results::default();
        for line in ["", "FAIL", "{}", r#"{"Action":"build-output","ImportPath":"x"}"#] {
            results.read(line);
        }
        assert!(results.outcomes.is_empty() && results.packages.is_empty());
    }
}
