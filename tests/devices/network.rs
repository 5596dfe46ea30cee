//! Which servers, users and devices does a scenario have, and how does a device speak to its server?

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use http::Method;
use serde_json::{Value, json};
use tombolo::app::Tombolo;
use tombolo_platform::simulated::{Server, Simulation};
use tombolo_support::{
    self as support, Answer, Dice, PASSWORD, Secrets, ask, registration, request,
};

/// How often a client repeats a request that failed for no fault of its own.
const TRIES: usize = 4;

/// A session with the number of its life.
pub type Session = (usize, support::User);

/// A device ID of a user, logged in or not.
pub struct Device {
    pub user: usize,
    pub id: String,
    /// The session, and the number of its life, while it is logged in.
    pub session: RefCell<Option<support::User>>,
    pub life: Cell<Option<usize>>,
}

pub struct User {
    pub id: String,
    pub server: usize,
}

/// The servers, their users and the users' devices.
#[derive(Default)]
pub struct Network {
    pub servers: Vec<Server>,
    pub users: Vec<User>,
    pub devices: Vec<Device>,
}

impl Network {
    /// Servers with users, none of whose devices is logged in any more.
    pub async fn new(simulation: &Simulation, dice: &Dice) -> Self {
        let mut network = Self::default();
        for number in 0..dice.between(2, 3) {
            network.servers.push(server(simulation, dice, number));
        }
        for server in 0..network.servers.len() {
            for number in 0..dice.between(2, 3) {
                network.register(server, number).await;
                let user = network.users.len() - 1;
                for device in 0..dice.between(1, 3) {
                    let id = format!("D{device}");
                    network.devices.push(Device {
                        user,
                        id,
                        session: RefCell::default(),
                        life: Cell::default(),
                    });
                }
            }
        }
        network
    }

    async fn register(&mut self, server: usize, number: usize) {
        let mut body = registration(&format!("u{number}"));
        body["inhibit_login"] = json!(true);
        let asked = request(None, ("POST", "/_matrix/client/v3/register"), body.to_string());
        let answer = ask(&self.servers[server], asked).await.unwrap();
        let id = answer.text("user_id").unwrap_or_else(|| panic!("u{number}: {answer:?}"));
        self.users.push(User { id, server });
    }

    /// The user ID and the server of a device.
    pub fn owner(&self, device: usize) -> &User {
        &self.users[self.devices[device].user]
    }

    /// Logs in on a device ID; the session, if it is known to have begun.
    pub async fn login(&self, user: usize, device: &str) -> Option<support::User> {
        let User { id, server } = &self.users[user];
        let server = &self.servers[*server];
        let identifier = json!({ "type": "m.id.user", "user": id });
        let body = json!({
            "type": "m.login.password", "identifier": identifier, "password": PASSWORD,
            "device_id": device, "initial_device_display_name": format!("{device} of {id}"),
        });
        for _ in 0..TRIES {
            let line = ("POST", "/_matrix/client/v3/login");
            let answer = ask(server, request(None, line, body.to_string())).await;
            if let Some(session) = answer.ok().and_then(|answer| support::User::of(server, &answer))
            {
                return Some(session);
            }
        }
        None
    }
}

/// A request of a session that is repeated while it fails, as a client repeats it; status 0 where the server said
/// nothing.
pub async fn insist(
    session: &support::User,
    method: &Method,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let text = body.map(Value::to_string).unwrap_or_default();
    let mut answer = Answer::default();
    for _ in 0..TRIES {
        let request = session.request((method.as_str(), path), text.clone());
        answer = ask(&session.server, request).await.unwrap_or_else(|unreachable| {
            let body = json!({ "error": unreachable.to_string() });
            Answer { body, ..Answer::default() }
        });
        if answer.status != 0 && answer.status < 500 {
            break;
        }
    }
    answer
}

fn server(simulation: &Simulation, dice: &Dice, number: usize) -> Server {
    let (mut seed, mut token) = ([0; 32], [0; 32]);
    seed.fill_with(|| dice.next().to_le_bytes()[0]);
    token.fill_with(|| dice.next().to_le_bytes()[0]);
    let secrets = Secrets { signing_key: (format!("k{number}"), seed), token };
    let name = format!("a{number}.test:8448");
    support::server(simulation, Rc::new(Tombolo), &name, &secrets, &[])
}
