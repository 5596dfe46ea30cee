//! How is one of our servers started, killed and started again?

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use super::client::Client;

/// A running server and its data, both gone when it is dropped.
pub struct Server {
    pub name: String,
    pub url: String,
    data: PathBuf,
    port: u16,
    flags: Vec<String>,
    child: Child,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A fresh server with these further flags.
    pub fn start_with(flags: &[String]) -> Self {
        let port = free_port();
        let data = std::env::temp_dir().join(format!("tombolo-http-{}-{port}", std::process::id()));
        let flags = flags.to_vec();
        let (child, url) = launch(port, &data, &flags);
        Self { name: format!("localhost:{port}"), url, data, port, flags, child }
    }

    /// Ends it as a power cut does, and starts it again on the same data.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        let (child, url) = launch(self.port, &self.data, &self.flags);
        (self.child, self.url) = (child, url);
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after [`Server::kill`], trusting what it did before and `flags`.
    pub fn restart_with(&mut self, flags: &[String]) {
        self.kill();
        self.flags = flags.to_vec();
        let (child, url) = launch(self.port, &self.data, &self.flags);
        (self.child, self.url) = (child, url);
    }

    /// The certificate its federation port shows.
    pub fn certificate(&self) -> String {
        self.data.join("tls.crt").to_string_lossy().into_owned()
    }

    /// A new user, logged in.
    pub async fn user(&self, localpart: &str) -> Client {
        Client::register(&self.url, localpart).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.data).ok();
    }
}

fn launch(port: u16, data: &PathBuf, flags: &[String]) -> (Child, String) {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut child = Command::new(format!("{root}/local/serve"))
        .current_dir(root)
        .args([
            "--profile",
            "test",
            "--client",
            "127.0.0.1:0",
            "--server-name",
            &format!("localhost:{port}"),
        ])
        .args(["--federation", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data)
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap_or_else(|| panic!("the server did not start")).unwrap();
    let url =
        ready.split_whitespace().find_map(|word| word.strip_prefix("client=")).unwrap().to_owned();
    // Whoever reads no more must still drain, or the server would block on its own output.
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}

/// A port below the ephemeral range that nobody listens on.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (u16::try_from(std::process::id() % 9_000).unwrap() + step * 7) % 9_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
