//! How does a crate become a folder of modules that workerd loads? Cargo compiles it, the `wasm-bindgen` library writes
//! the glue, and the shim is laid beside them.
//!
//! `wasm-bindgen` is used as a library: its version is in the same lock file as the macro's, so the two cannot differ.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wasm_bindgen_cli_support::Bindgen;

use crate::{options::Options, shim};

/// Builds the Worker that the options describe.
pub fn run(options: &Options) -> Result<()> {
    let root = workspace()?;
    let out = root.join(&options.out);
    let objects = match &options.objects {
        Some(objects) => objects.clone(),
        None => shim::declared(&read(&root.join("wrangler.toml"))?)?,
    };
    let wasm = compile(&root, options)?;
    generate(&wasm, &out)?;
    copy(&root.join("local/worker.js"), &out.join("worker.js"))?;
    write(&out.join("worker.json"), &shim::manifest(&objects))?;
    // Last, because its date tells `make` that the build is complete.
    write(&out.join("shim.js"), &shim::entry(&objects))?;
    let size = fs::metadata(out.join("index_bg.wasm"))?.len();
    println!("built {} in {} ({size} bytes of WebAssembly)", options.package, out.display());
    Ok(())
}

fn workspace() -> Result<PathBuf> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in no workspace")?;
    Ok(root.to_owned())
}

/// Compiles and returns the path of the module, as cargo reports it.
fn compile(root: &Path, options: &Options) -> Result<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["build", "--lib", "--target", "wasm32-unknown-unknown"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--package", &options.package, "--profile", &options.profile])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("cargo could not build {}", options.package);
    }
    let messages = String::from_utf8(output.stdout).context("cargo's messages are not text")?;
    // Dependencies come before the package, so the last module reported is the package's own.
    messages.lines().filter_map(module).next_back().with_context(|| {
        format!("{} has no cdylib: it makes no WebAssembly module", options.package)
    })
}

/// The module a message of cargo names; what is no such message names none.
fn module(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

/// Writes `index.js`, `index_bg.wasm` and the snippets.
fn generate(wasm: &Path, out: &Path) -> Result<()> {
    empty(out)?;
    Bindgen::new()
        .input_path(wasm)
        .out_name("index")
        .module(true)?
        .typescript(false)
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(out)?;
    // workerd gives a compiled module to a plain import and does not know the `source` phase.
    let index = out.join("index.js");
    write(&index, &read(&index)?.replace("import source ", "import "))
}

/// Removes an earlier build, and nothing that is none.
fn empty(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    if !out.join("index.js").exists() {
        bail!("{} is in the way: it is no earlier build", out.display());
    }
    fs::remove_dir_all(out).with_context(|| format!("{} cannot be emptied", out.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} cannot be copied", from.display()))?;
    Ok(())
}
