//! How is a server started and asked?

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use reqwest::{Client, Method};
use tempfile::TempDir;

use super::lists::Route;

/// A running server and its data, both gone when it is dropped.
pub struct Server {
    url: String,
    client: Client,
    child: Child,
    _data: TempDir,
}

/// What a route answered.
pub struct Answer {
    pub status: u16,
    errcode: String,
}

impl Answer {
    /// Whether this is what a path or a method without a route is answered:
    /// <https://spec.matrix.org/v1.19/client-server-api/#common-error-codes>
    pub fn is_of_no_route(&self) -> bool {
        self.status == 405 || self.status == 404 && self.errcode == "M_UNRECOGNIZED"
    }
}

impl Server {
    pub fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../local/serve"))
            .args(["--profile", "test", "--client", "127.0.0.1:0", "--federation", "127.0.0.1:0"])
            .args(["--server-name", "localhost", "--data"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let url = ready.split_whitespace().find_map(|word| word.strip_prefix("client=")).unwrap();
        Self { url: url.to_owned(), client: Client::new(), child, _data: data }
    }

    /// Asks without a token or a signature: a route that wants one says so.
    pub async fn ask(&self, route: &Route) -> Answer {
        let method: Method = route.method.parse().unwrap();
        let has_body = method != Method::GET;
        let mut request = self.client.request(method, self.url.clone() + &route.example());
        if has_body {
            request = request.header("content-type", "application/json").body("{}");
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, errcode: body["errcode"].as_str().unwrap_or_default().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
