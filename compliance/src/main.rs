//! Does this server pass Complement, the conformance suite of Matrix? The engine gives Complement local processes where
//! it asks for containers; the reader holds its results against those that are committed.

mod engine;
mod options;
mod results;
mod suite;

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
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("compliance: {problem:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether all is well that was well before.
fn obey(command: &Command) -> Result<bool> {
    match command {
        Command::Suite { checkout, arguments } => on_one_thread(suite::run(checkout, arguments)),
        Command::Engine { socket } => {
            on_one_thread(engine::serve_until_told(socket)).map(|()| true)
        }
        Command::Read { output, write } => results::read(output, *write),
    }
}

/// Servers are told to die with the thread that started them (`engine/launch.rs`), so it must be the one that lasts.
fn on_one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("no runtime")?.block_on(work)
}
