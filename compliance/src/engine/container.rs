//! What is a container here? A folder, a loopback address, two published ports and, while it runs, a server.

use std::{
    fs,
    io::{self, Read},
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
    time::sleep,
};

use super::{
    addresses::{CLIENT, FEDERATION, is_free},
    certificate,
    labels::Labels,
    launch::{Files, Launch},
    process::Process,
    proxy::Published,
};

/// What is known of a container when it is made.
pub struct Plan {
    pub id: String,
    pub name: String,
    pub labels: Labels,
    /// `NAME=VALUE` each.
    pub env: Vec<String>,
    /// The networks it is in, and how it is called in each.
    pub networks: Vec<Attachment>,
    pub address: Ipv4Addr,
    pub folder: PathBuf,
}

/// How a container is called in a network.
pub struct Attachment {
    pub network: String,
    pub aliases: Vec<String>,
}

/// A container.
pub struct Container {
    pub plan: Plan,
    pub client: Published,
    pub federation: Published,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Process>,
    paused: bool,
}

/// How a container is.
pub struct Condition {
    pub running: bool,
    pub status: &'static str,
    /// The server's process, 0 for none.
    pub pid: i32,
}

impl Container {
    /// Makes the folder and opens the ports.
    pub async fn create(plan: Plan) -> Result<Self> {
        fs::create_dir_all(plan.folder.join("data"))?;
        let at = |port| SocketAddrV4::new(plan.address, port);
        let client = Published::to(at(CLIENT)).await?;
        let federation = Published::to(at(FEDERATION)).await?;
        Ok(Self { plan, client, federation, state: Mutex::default() })
    }

    /// Where the server keeps everything.
    pub fn data(&self) -> PathBuf {
        self.plan.folder.join("data")
    }

    /// Lays the files of an archive into the folder.
    pub fn unpack(&self, archive: impl Read) -> Result<()> {
        // The files come from `/`; the crate takes that off, and refuses what would lie outside the folder.
        tar::Archive::new(archive).unpack(&self.plan.folder).context("the archive is broken")
    }

    /// Starts the server; it is not waited for.
    pub async fn start(&self, serve: &Path, hosts: &Path) -> Result<()> {
        let mut state = self.state.lock().await;
        if state.process.as_ref().is_some_and(Process::runs) {
            return Ok(());
        }
        self.until_free().await;
        let (server_name, settings) = self.settings()?;
        let files = self.files(server_name)?;
        let launch = Launch {
            serve,
            hosts,
            address: self.plan.address,
            server_name,
            settings: &settings,
            appservices: &self.appservices()?,
            files: &files,
        };
        *state = State { process: Some(Process::watch(launch.spawn()?)?), paused: false };
        Ok(())
    }

    /// Stops the server, after so long by force.
    pub async fn stop(&self, patience: Duration) {
        if let Some(process) = &mut self.state.lock().await.process {
            process.stop(patience).await;
        }
    }

    /// Kills the server.
    pub async fn kill(&self) {
        if let Some(process) = &mut self.state.lock().await.process {
            process.kill().await;
        }
    }

    /// Has the server pause or go on.
    pub async fn pause(&self, paused: bool) {
        let mut state = self.state.lock().await;
        state.paused = paused;
        if let Some(process) = &state.process {
            process.signal(if paused { Signal::STOP } else { Signal::CONT });
        }
    }

    /// How the container is.
    pub async fn condition(&self) -> Condition {
        let state = self.state.lock().await;
        match &state.process {
            None => Condition { running: false, status: "created", pid: 0 },
            Some(process) if !process.runs() => {
                Condition { running: false, status: "exited", pid: 0 }
            }
            Some(process) => {
                let status = if state.paused { "paused" } else { "running" };
                Condition { running: true, status, pid: process.id() }
            }
        }
    }

    /// Whether tests share the server: a dirty run, as Complement calls it.
    pub fn is_shared(&self) -> bool {
        self.plan.labels.get("complement_context").is_some_and(|context| context == "dirty")
    }

    /// Waits until the server answers, for half a minute at most.
    pub async fn until_it_answers(&self) {
        for _ in 0..300 {
            if answers(SocketAddrV4::new(self.plan.address, CLIENT)).await.unwrap_or_default() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the server has said so far.
    pub fn log(&self) -> Vec<u8> {
        fs::read(self.plan.folder.join("log")).unwrap_or_default()
    }

    /// The kernel may hold the ports of a server that has just ended a moment longer.
    async fn until_free(&self) {
        for _ in 0..100 {
            if is_free(self.plan.address) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The server's name, and the variables that the environment sets beside it.
    fn settings(&self) -> Result<(&str, Vec<String>)> {
        let mut name = None;
        let mut settings = Vec::new();
        for variable in &self.plan.env {
            match variable.strip_prefix("SERVER_NAME=") {
                Some(value) => name = Some(value),
                None => settings.push(variable.clone()),
            }
        }
        Ok((name.context("the environment has no SERVER_NAME")?, settings))
    }

    /// The registrations that were laid into the folder.
    fn appservices(&self) -> Result<Vec<PathBuf>> {
        let folder = self.plan.folder.join("complement/appservice");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        files.collect()
    }

    /// The server's files. Its certificate is made when it first starts, since the authority comes after the container.
    fn files(&self, server_name: &str) -> Result<Files> {
        let folder = &self.plan.folder;
        let authority = folder.join("complement/ca/ca.crt");
        let certificate = folder.join("server.crt");
        let key = folder.join("server.key");
        if !certificate.exists() {
            let read = |path: &Path| {
                fs::read_to_string(path).with_context(|| format!("{} is missing", path.display()))
            };
            let ca_key = read(&folder.join("complement/ca/ca.key"))?;
            let pair = certificate::issue(server_name, &read(&authority)?, &ca_key)?;
            fs::write(&key, pair.key)?;
            fs::write(&certificate, pair.certificate)?;
        }
        Ok(Files { authority, certificate, key, data: self.data(), log: folder.join("log") })
    }
}

/// Whether a server answers what Complement asks to find out whether one does.
async fn answers(server: SocketAddrV4) -> io::Result<bool> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(b"GET /_matrix/client/versions HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status == *b"HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    async fn says(status: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let said = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            std::io::Write::write_all(&mut client, said.as_bytes()).unwrap();
            client
        });
        let answered = answers(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).await;
        drop(serving.join().unwrap());
        answered.unwrap()
    }

    #[tokio::test]
    async fn a_server_answers_once_it_says_that_all_is_well() {
        assert!(says("200 OK").await);
        assert!(!says("503 Service Unavailable").await);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_does_not_answer() {
        let nowhere = SocketAddrV4::new(Ipv4Addr::new(127, 254, 254, 253), 9);
        assert!(answers(nowhere).await.is_err());
    }
}
