//! Is an application service there from the first answer on, by the file that names it, and after a restart without it?

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use reqwest::Method;
use serde_json::json;

use super::{client::Client, server::Server};

/// A registration as bridges write it: YAML, with capitals in the sender's name.
const REGISTRATION: &str = r#"
id: irc
url: null
as_token: "token of irc"
hs_token: "token of the server"
sender_localpart: IrcSender
rate_limited: false
namespaces:
  users:
    - regex: '^@irc_.*:localhost:\d+$'
      exclusive: true
  rooms: []
de.sorunome.msc2409.push_ephemeral: true
"#;

/// A file that is removed after the test.
struct File(PathBuf);

impl File {
    fn of(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tombolo-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn flags(&self) -> [String; 2] {
        ["--appservice".to_owned(), self.0.display().to_string()]
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

async fn is_known(server: &Server) -> bool {
    let token = "token of irc".to_owned();
    let service = Client { token, ..Client::anonymous(&server.url) };
    let (status, whoami) =
        service.call(Method::GET, "/_matrix/client/v3/account/whoami", None).await;
    assert!(status == 200 || status == 401, "{status} {whoami}");
    if status == 200 {
        assert_eq!(whoami["user_id"], format!("@IrcSender:{}", server.name));
    }
    status == 200
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_service_is_known_from_the_first_answer_on_and_stays_so() {
    let file = File::of("irc.yaml", REGISTRATION);
    let mut server = Server::start_with(&file.flags());
    assert!(is_known(&server).await);
    server.restart_with(&[]);
    assert!(is_known(&server).await);
    let alone = Client::anonymous(&server.url);
    let body =
        json!({ "username": "irc_bob", "password": "x", "auth": { "type": "m.login.dummy" } });
    let (status, refused) =
        alone.call(Method::POST, "/_matrix/client/v3/register", Some(body)).await;
    assert_eq!((status.as_u16(), &refused["errcode"]), (400, &json!("M_EXCLUSIVE")));
    let changed = File::of("irc-2.yaml", &REGISTRATION.replace("token of irc", "another"));
    server.restart_with(&changed.flags());
    assert!(!is_known(&server).await);
}

#[test]
#[ignore = "needs the built Worker"]
fn a_registration_that_cannot_be_used_keeps_the_server_from_starting() {
    let file = File::of("bad.yaml", &REGISTRATION.replace("'^@irc", "'^(@irc"));
    let data = std::env::temp_dir().join(format!("tombolo-{}-refused", std::process::id()));
    let output = Command::new(format!("{}/local/serve", env!("CARGO_MANIFEST_DIR")))
        .args(["--client", "127.0.0.1:0", "--federation", "127.0.0.1:0", "--data"])
        .arg(&data)
        .args(file.flags())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    fs::remove_dir_all(&data).ok();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("bad.yaml is refused: The pattern"), "{said}");
    assert!(output.stdout.is_empty());
}
