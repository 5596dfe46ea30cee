//! Which crate is built, how, and where does the result go? The command line of `xtask`.

use std::path::PathBuf;

/// What `xtask` prints when it does not understand its arguments.
pub const USAGE: &str = "usage: cargo run -p xtask -- build [--profile NAME] [--package NAME] [--out DIR] [--objects CLASS,CLASS]";

/// One build.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The cargo profile.
    pub profile: String,
    /// The package whose `cdylib` is the Worker.
    pub package: String,
    /// The folder that receives the modules, relative to the workspace.
    pub out: PathBuf,
    /// The Durable Object classes the crate exports; `None` means those that `wrangler.toml` declares.
    pub objects: Option<Vec<String>>,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut arguments = arguments.iter();
        match arguments.next().map(String::as_str) {
            Some("build") => {}
            Some(other) => return Err(format!("unknown command {other}")),
            None => return Err("no command".to_owned()),
        }
        let mut options = Self {
            profile: "release".to_owned(),
            package: "tombolo".to_owned(),
            out: PathBuf::from("build"),
            objects: None,
        };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--profile" => options.profile.clone_from(value),
                "--package" => options.package.clone_from(value),
                "--out" => options.out = PathBuf::from(value),
                "--objects" => options.objects = Some(names(value)),
                _ => return Err(format!("unknown option {flag}")),
            }
        }
        Ok(options)
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
