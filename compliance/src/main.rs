//! Does this server pass Complement, the conformance suite of Matrix? The engine gives Complement local processes where
//! it asks for containers.

mod engine;
mod options;

use std::process::ExitCode;

use anyhow::{Context, Result};

use options::{Command, USAGE};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match Command::parse(&arguments) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("compliance: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match obey(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("compliance: {problem:#}");
            ExitCode::from(2)
        }
    }
}

fn obey(command: &Command) -> Result<()> {
    let Command::Engine { socket } = command;
    on_one_thread(engine::serve_until_told(socket))
}

/// Servers are told to die with the thread that started them (`engine/launch.rs`), so it must be the one that lasts.
fn on_one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("no runtime")?.block_on(work)
}
