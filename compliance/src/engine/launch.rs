//! How is a server started? `local/serve` in a mount namespace of its own, where `/etc/hosts` is the file of its
//! network, in a process group of its own, and such that it dies with the engine even when that is killed.

use std::{
    fs::OpenOptions,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use super::addresses::{CLIENT, FEDERATION};

/// Runs inside the namespace. The kernel forgets who is to die with whom when a process gains rights, as `unshare` does
/// for whoever is not root, so `setpriv` comes after it.
const INSIDE: &str =
    r#"mount --bind "$1" /etc/hosts && shift && exec setpriv --pdeathsig KILL -- "$@""#;

/// A server to be started.
pub struct Launch<'a> {
    pub serve: &'a Path,
    pub hosts: &'a Path,
    pub address: Ipv4Addr,
    pub server_name: &'a str,
    /// `NAME=VALUE` of each variable to be set.
    pub settings: &'a [String],
    /// The registrations of application services.
    pub appservices: &'a [PathBuf],
    pub files: &'a Files,
}

/// What a server reads and writes.
pub struct Files {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub data: PathBuf,
    pub log: PathBuf,
}

impl Launch<'_> {
    /// Starts it. What it says is added to its log.
    pub fn spawn(&self) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.files.log)?;
        let mut command = Command::new("unshare");
        // Who is not root may do so in a user namespace.
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "--", "sh", "-c", INSIDE, "sh"]).arg(self.hosts);
        command.arg(self.serve).args(self.flags());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0).kill_on_drop(true);
        command.spawn().context("unshare cannot be run: it is part of util-linux")
    }

    fn flags(&self) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let mut flags: Vec<String> = [
            ("--profile", "test".to_owned()),
            ("--set", "PRESENCE=on".to_owned()),
            ("--server-name", self.server_name.to_owned()),
            ("--client", format!("{}:{CLIENT}", self.address)),
            ("--federation", format!("{}:{FEDERATION}", self.address)),
            ("--tls-cert", path(&self.files.certificate)),
            ("--tls-key", path(&self.files.key)),
            ("--trust", path(&self.files.authority)),
            ("--data", path(&self.files.data)),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        for appservice in self.appservices {
            flags.extend(["--appservice".to_owned(), path(appservice)]);
        }
        for setting in self.settings {
            flags.extend(["--set".to_owned(), setting.clone()]);
        }
        flags
    }
}
