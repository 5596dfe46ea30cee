//! How is the suite run? Complement's own tests, as they are checked out, by `go test`, with the engine of this
//! process.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    engine::{Engine, repository, until_told},
    results::{self, Results},
};

/// The packages that are run unless others are named.
const PACKAGES: &str = "./tests/...";

/// What Complement is told unless the environment says otherwise. Tests share servers (dirty runs), as they do where
/// other servers are tested. A server has a minute to start, since machines are slow when they are busy.
const TOLD: [(&str, &str); 3] = [
    ("COMPLEMENT_BASE_IMAGE", "tombolo"),
    ("COMPLEMENT_ENABLE_DIRTY_RUNS", "1"),
    ("COMPLEMENT_SPAWN_HS_TIMEOUT_SECS", "60"),
];

/// Runs the tests and says whether all pass that pass in the baseline. What `go test` writes is kept in
/// `target/complement.json`.
pub async fn run(checkout: &Path, arguments: &[String]) -> Result<bool> {
    if !checkout.join("tests/csapi").is_dir() {
        bail!("{} is no checkout of Complement", checkout.display());
    }
    let engine = Engine::new()?;
    let ran = tokio::select! {
        ran = test(&engine, checkout, arguments) => ran,
        told = until_told() => told.and_then(|()| bail!("interrupted")),
    };
    engine.close().await;
    results::compare(&ran?, is_whole(arguments))
}

async fn test(engine: &Arc<Engine>, checkout: &Path, arguments: &[String]) -> Result<Results> {
    let socket = engine.folder().join("engine.sock");
    let serving = engine.clone().serve(&socket);
    let output = output()?;
    println!("what go test writes is kept in {}", output.display());
    let mut file = File::create(output)?;
    let mut tests = Tests::start(go_test(engine, checkout, arguments))?;
    tokio::select! {
        served = serving => served.and_then(|()| bail!("the engine has ended")),
        results = tests.read(&mut file) => results,
    }
}

fn go_test(engine: &Engine, checkout: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new("go");
    command.current_dir(checkout);
    // Every package uses the same file names in TMPDIR: so they run one after the other (-p 1), in a TMPDIR of ours.
    command.args(["test", "-json", "-count=1", "-p", "1", "-timeout", "2h"]).args(arguments);
    if !arguments.iter().any(|argument| argument.starts_with("./")) {
        command.arg(PACKAGES);
    }
    command.env("DOCKER_HOST", format!("unix://{}/engine.sock", engine.folder().display()));
    command.env("TMPDIR", engine.folder());
    for (name, value) in TOLD.iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
        command.env(name, value);
    }
    command
}

/// `go test` and what it started, ended with this.
struct Tests {
    child: Child,
    group: Option<Pid>,
}

impl Tests {
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let child = command.spawn().context("go cannot be run: Complement is written in Go")?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group })
    }

    /// Reads to the end, keeps every line and tells how each test ended.
    async fn read(&mut self, file: &mut File) -> Result<Results> {
        let output = self.child.stdout.take().context("go test has no output")?;
        let mut lines = BufReader::new(output).lines();
        let mut results = Results::default();
        while let Some(line) = lines.next_line().await? {
            writeln!(file, "{line}")?;
            results.read(&line);
            tell(&line);
        }
        let status = self.child.wait().await?;
        if results.packages.is_empty() {
            bail!("go test ran nothing: {status}");
        }
        if status.code().is_none() {
            bail!("go test was ended before it was done: {status}");
        }
        Ok(results)
    }
}

impl Drop for Tests {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

/// Prints how each test ended, subtests apart, and what went wrong in building them.
fn tell(line: &str) {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
        println!("{line}");
        return;
    };
    let text = event["Output"].as_str().unwrap_or_default();
    let is_subtest = event["Test"].as_str().is_some_and(|test| test.contains('/'));
    let is_end = ["--- ", "FAIL\t"].iter().any(|start| text.starts_with(start)) && !is_subtest;
    if is_end || event["Action"] == "build-output" {
        print!("{text}");
    }
}

/// Whether the packages are run as a whole, so that a missing result is one that is gone.
fn is_whole(arguments: &[String]) -> bool {
    !arguments.iter().any(|argument| {
        let flag = argument.trim_start_matches('-');
        argument.starts_with('-')
            && ["run", "skip", "short", "failfast"].iter().any(|part| flag.starts_with(part))
    })
}

fn output() -> Result<PathBuf> {
    let folder = repository()?.join("target");
    fs::create_dir_all(&folder)?;
    Ok(folder.join("complement.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_some_tests_is_not_whole() {
        let whole = |line: &str| {
            is_whole(&line.split_whitespace().map(str::to_owned).collect::<Vec<String>>())
        };
        assert!(whole("") && whole("./tests/csapi") && whole("-v -timeout 5m"));
        assert!(!whole("-run TestLogin") && !whole("./tests/csapi -run=TestLogin"));
        assert!(!whole("-skip TestLogin"));
    }
}
