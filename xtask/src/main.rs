//! How is the Worker built? `cargo run -p xtask -- build` compiles a crate to WebAssembly and lays beside it the
//! JavaScript that workerd loads, so that neither `worker-build`, `wasm-bindgen` nor a bundler has to be installed.
//!
//! The loader is what the [modules of Workers](https://developers.cloudflare.com/workers/reference/how-workers-works/)
//! ask for: ES modules and one compiled WebAssembly module.

mod build;
mod options;
mod shim;

use std::process::ExitCode;

use options::{Options, USAGE};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("xtask: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match build::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem:#}");
            ExitCode::FAILURE
        }
    }
}
