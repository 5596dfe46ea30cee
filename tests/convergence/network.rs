//! Which servers and users does a scenario have, and how do users speak to their servers?

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use http::Method;
use serde_json::{Value, json};
use tombolo::{
    app::Tombolo,
    objects::{room::RoomClass, user_sync::UserSyncClass},
};
use tombolo_platform::{
    Address, Sql,
    simulated::{Server, Simulation},
};
use tombolo_support::{self as support, Answer, Dice, Secrets, ask, register};

use crate::secrets;

/// How often a client repeats a request that failed for no fault of its own.
const TRIES: usize = 4;

/// A user with an open session.
pub struct User {
    pub id: String,
    pub server: usize,
    session: support::User,
    /// Secrets that were in any response to the user, each with the request that told it first.
    pub told: RefCell<BTreeMap<usize, String>>,
}

/// The servers and their users.
pub struct Network {
    pub servers: Vec<Server>,
    pub users: Vec<User>,
}

impl Network {
    /// Servers without users.
    pub fn new(simulation: &Simulation, dice: &Dice, count: usize) -> Self {
        let servers = (0..count).map(|number| server(simulation, dice, number)).collect();
        Self { servers, users: Vec::new() }
    }

    /// Registers users on a server.
    pub async fn register(&mut self, server: usize, count: usize) {
        for number in 0..count {
            let username = format!("u{number}");
            let registered = register(&self.servers[server], &username).await;
            let session = registered
                .unwrap_or_else(|answer| panic!("{username} cannot register: {answer:?}"));
            let id = session.id.clone();
            self.users.push(User { id, server, session, told: RefCell::default() });
        }
    }

    /// One request of a user; status 0 where the server said nothing. What it tells the user is remembered.
    pub async fn call(
        &self,
        user: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let user = &self.users[user];
        let text = body.as_ref().map(Value::to_string).unwrap_or_default();
        let request = user.session.request((method.as_str(), path), text);
        let answer = ask(&user.session.server, request).await.unwrap_or_else(|unreachable| {
            let body = json!({ "error": unreachable.to_string() });
            Answer { body, ..Answer::default() }
        });
        for secret in secrets::found(&answer.body.to_string()) {
            user.told.borrow_mut().entry(secret).or_insert_with(|| format!("{method} {path}"));
        }
        answer
    }

    /// A request that is repeated while it fails, as a client repeats it: for what may be repeated.
    pub async fn insist(
        &self,
        user: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut answer = Answer::default();
        for _ in 0..TRIES {
            answer = self.call(user, method.clone(), path, body.clone()).await;
            if answer.status != 0 && answer.status < 500 {
                break;
            }
        }
        answer
    }

    pub async fn get(&self, user: usize, path: &str) -> Answer {
        self.call(user, Method::GET, path, None).await
    }

    /// The name of a user's server.
    pub fn home(&self, user: usize) -> &str {
        self.servers[self.users[user].server].name()
    }

    /// A server's copy of a room, if it has any.
    pub fn room(&self, server: usize, room: &str) -> Option<Sql> {
        self.servers[server].sql(&Address::<RoomClass>::new(room))
    }

    /// What a server holds of a user of its own.
    pub fn user(&self, server: usize, user: &str) -> Option<Sql> {
        self.servers[server].sql(&Address::<UserSyncClass>::new(user))
    }
}

fn server(simulation: &Simulation, dice: &Dice, number: usize) -> Server {
    let (mut seed, mut token) = ([0; 32], [0; 32]);
    seed.fill_with(|| dice.next().to_le_bytes()[0]);
    token.fill_with(|| dice.next().to_le_bytes()[0]);
    let secrets = Secrets { signing_key: (format!("k{number}"), seed), token };
    let notaries = [("TRUSTED_KEY_SERVERS", "a0.test:8448,a1.test:8448")];
    let name = format!("a{number}.test:8448");
    support::server(simulation, Rc::new(Tombolo), &name, &secrets, &notaries)
}
