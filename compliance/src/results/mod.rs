//! What did a run of Complement show, and what has changed since the baseline?
//!
//! [`outcome`] reads what `go test -json` writes, [`baseline`] the committed file, [`comparison`] holds them together.

mod baseline;
mod comparison;
mod outcome;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use self::outcome::Results;
use self::{baseline::Baseline, comparison::Comparison};
use crate::engine::repository;

/// Reads the output of a run, and says whether all passes that passed in the baseline; `write` makes it the baseline.
pub fn read(output: &Path, write: bool) -> Result<bool> {
    let text = fs::read_to_string(output)
        .with_context(|| format!("{} cannot be read", output.display()))?;
    let mut results = Results::default();
    text.lines().for_each(|line| results.read(line));
    let mut baseline = baseline()?;
    let is_well = told(&Comparison::new(&baseline, &results, true));
    if write {
        baseline.renew(&results);
        fs::write(path()?, baseline.to_string())?;
    }
    Ok(is_well)
}

/// Prints what has changed, and says whether all passes that passed in the baseline. Only where a `whole` package was
/// run does it mean something that a result is missing.
pub fn compare(results: &Results, whole: bool) -> Result<bool> {
    Ok(told(&Comparison::new(&baseline()?, results, whole)))
}

fn told(comparison: &Comparison) -> bool {
    print!("{comparison}");
    comparison.is_well()
}

fn baseline() -> Result<Baseline> {
    let path = path()?;
    let text =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Baseline::parse(&text)
}

fn path() -> Result<PathBuf> {
    Ok(repository()?.join("compliance/baseline.txt"))
}
