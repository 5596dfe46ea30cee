//! What does one device do in a scenario?

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join;
use http::Method;
use serde_json::{Value, json};
use tombolo_support::{Answer, Dice, encode};

use crate::{
    client::{Client, object},
    keys,
    network::{Session, insist},
    scenario::Run,
    story::{Claim, Life, Send},
};

/// A device, whether or not it is logged in.
pub struct Actor<'a> {
    pub run: &'a Run,
    pub device: usize,
    pub dice: Dice,
}

/// The kinds of thing a device does while it is logged in.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Upload,
    CrossSign,
    Rename,
    LogOut,
    Claim,
    Send,
    Repeat,
    Join,
    Leave,
    Invite,
    Kick,
    Sync,
    Query,
}

/// How often each is done.
const DEEDS: &[(usize, Deed)] = &[
    (6, Deed::Upload),
    (4, Deed::CrossSign),
    (4, Deed::Rename),
    (4, Deed::LogOut),
    (12, Deed::Claim),
    (20, Deed::Send),
    (4, Deed::Repeat),
    (9, Deed::Join),
    (5, Deed::Leave),
    (4, Deed::Invite),
    (4, Deed::Kick),
    (18, Deed::Sync),
    (10, Deed::Query),
];

impl Actor<'_> {
    /// So many deeds, with pauses.
    pub async fn act(&self, deeds: usize) {
        for _ in 0..deeds {
            let pause = Duration::from_millis(self.dice.below(10_000) as u64);
            self.run.network.servers[0].world().sleep(pause).await;
            match self.run.session(self.device) {
                Some(session) => self.perform(self.dice.weighted(DEEDS), &session).await,
                None if self.dice.percent(70) => self.log_in().await,
                None => {}
            }
        }
    }

    async fn perform(&self, deed: Deed, session: &Session) {
        match deed {
            Deed::Upload => self.upload(session).await,
            Deed::CrossSign => self.cross_sign(session).await,
            Deed::Rename => self.rename(session).await,
            // What the device still publishes comes before its end or after.
            Deed::LogOut if self.dice.percent(30) => {
                join(self.upload(session), self.log_out(session)).await;
            }
            Deed::LogOut => self.log_out(session).await,
            Deed::Claim => self.claim(session).await,
            Deed::Send => self.send(session).await,
            Deed::Repeat => self.repeat(session).await,
            Deed::Join => self.join(session).await,
            Deed::Leave => self.room(session, "leave", None).await,
            Deed::Invite => self.room(session, "invite", Some(self.anybody())).await,
            Deed::Kick => self.room(session, "kick", Some(self.anybody())).await,
            Deed::Sync => {
                self.sync(session, self.dice.below(3) * 2000).await;
            }
            Deed::Query => {
                // Changes come while the question is under way.
                join(self.query(session), self.sync(session, 1000)).await;
            }
        }
    }

    pub async fn log_in(&self) {
        let (run, asked) = (self.run, self.run.simulation.now());
        let device = &run.network.devices[self.device];
        let Some(session) = run.network.login(device.user, &device.id).await else { return };
        let life = {
            let mut lives = run.story.lives.borrow_mut();
            let client = Client::new(&session.id);
            let began = run.simulation.now();
            lives.push(Life {
                device: self.device,
                asked,
                began,
                ended: None,
                is_gone: false,
                uploaded: None,
                client,
            });
            lives.len() - 1
        };
        run.story.note(format!("{asked} {} on {} begins life {life}", session.id, device.id));
        device.life.set(Some(life));
        device.session.replace(Some(session.clone()));
        self.upload(&(life, session)).await;
    }

    async fn log_out(&self, session: &Session) {
        let (life, _) = session;
        self.run.story.lives.borrow_mut()[*life].ended = Some(self.run.simulation.now());
        let device = &self.run.network.devices[self.device];
        device.life.set(None);
        device.session.replace(None);
        let path = "/_matrix/client/v3/logout";
        let answer = self.call(session, &Method::POST, path, Some(&json!({}))).await;
        // A logout that is repeated finds no session.
        self.run.story.lives.borrow_mut()[*life].is_gone = matches!(answer.status, 200 | 401);
    }

    /// Publishes the keys of the device, if they are not known to be there, and further ones.
    async fn upload(&self, session: &Session) {
        let (life, user) = session;
        let mut body = json!({});
        let is_new = self.run.story.lives.borrow()[*life].uploaded.is_none();
        if is_new {
            let id = &self.run.network.devices[self.device].id;
            body["device_keys"] = keys::identity(&user.id, id, *life);
        }
        let numbers = (0..self.dice.between(1, 4)).map(|_| self.run.story.number());
        body["one_time_keys"] = keys::one_time(numbers);
        if is_new || self.dice.percent(30) {
            body["fallback_keys"] = keys::fallback(self.run.story.number());
        }
        for kind in ["one_time_keys", "fallback_keys"] {
            for (name, key) in object(&body[kind]) {
                let published = (*life, key.clone());
                self.run.story.published.borrow_mut().insert(name.clone(), published);
            }
        }
        let path = "/_matrix/client/v3/keys/upload";
        let answer = self.call(session, &Method::POST, path, Some(&body)).await;
        if answer.is_ok() {
            let now = self.run.simulation.now();
            self.run.story.lives.borrow_mut()[*life].uploaded.get_or_insert(now);
        }
    }

    async fn cross_sign(&self, session: &Session) {
        let body = keys::cross_signing(&session.1.id, &self.dice);
        let path = "/_matrix/client/v3/keys/device_signing/upload";
        self.call(session, &Method::POST, path, Some(&body)).await;
    }

    async fn rename(&self, session: &Session) {
        let path = format!(
            "/_matrix/client/v3/devices/{}",
            encode(&self.run.network.devices[self.device].id)
        );
        let body = json!({ "display_name": format!("name {}", self.run.story.number()) });
        self.call(session, &Method::PUT, &path, Some(&body)).await;
    }

    /// Claims a key of any device.
    async fn claim(&self, session: &Session) {
        let (user, id) = self.any_device();
        let wanted = json!({ "one_time_keys": { &user: { id: "signed_curve25519" } } });
        let (began, path) = (self.run.simulation.now(), "/_matrix/client/v3/keys/claim");
        let answer = self.call(session, &Method::POST, path, Some(&wanted)).await;
        for (user, devices) in object(&answer.body["one_time_keys"]) {
            for (device, keys) in object(devices) {
                for (name, key) in object(keys) {
                    let (user, device, name) = (user.clone(), device.clone(), name.clone());
                    let claim = Claim { user, device, name, key: key.clone(), began };
                    self.run.story.claims.borrow_mut().push(claim);
                }
            }
        }
    }

    /// Sends a message to one device, to all of a user, or to several users.
    async fn send(&self, session: &Session) {
        let number = self.run.story.sends.borrow().len();
        let mut messages = json!({});
        for _ in 0..self.dice.between(1, 3) {
            let (user, id) = self.any_device();
            for to in ["*", id] {
                if self.dice.percent(60) {
                    messages[&user][to] = json!({ "n": number, "for": to });
                }
            }
        }
        let (path, began) =
            (format!("/_matrix/client/v3/sendToDevice/m.test/{number}"), self.run.simulation.now());
        let send = Send { life: session.0, path, messages, began, answered: None, done: began };
        self.run.story.sends.borrow_mut().push(send);
        self.send_again(session, number).await;
    }

    /// Sends something again that was sent before.
    async fn repeat(&self, session: &Session) {
        let own: Vec<usize> = {
            let sends = self.run.story.sends.borrow();
            let own = sends.iter().enumerate().filter(|(_, send)| send.life == session.0);
            own.map(|(number, _)| number).collect()
        };
        if !own.is_empty() {
            self.send_again(session, *self.dice.one(&own)).await;
        }
    }

    async fn send_again(&self, session: &Session, number: usize) {
        let Send { path, messages, .. } = self.run.story.sends.borrow()[number].clone();
        let body = json!({ "messages": messages });
        let answer = self.call(session, &Method::PUT, &path, Some(&body)).await;
        let (now, mut sends) = (self.run.simulation.now(), self.run.story.sends.borrow_mut());
        sends[number].done = now;
        if answer.is_ok() {
            sends[number].answered.get_or_insert(now);
        }
    }

    /// Joins a room, through its server and any other.
    pub async fn join(&self, session: &Session) {
        let (room, creator) = self.dice.one(&self.run.rooms);
        let via = [&self.run.network.users[*creator].id, &self.anybody()]
            .map(|user| format!("server_name={}", encode(user.split_once(':').unwrap().1)));
        let path = format!("/_matrix/client/v3/join/{}?{}", encode(room), via.join("&"));
        self.run.story.enters(room, &session.1.id);
        self.call(session, &Method::POST, &path, Some(&json!({}))).await;
    }

    /// Leaves a room, or invites or kicks somebody.
    async fn room(&self, session: &Session, deed: &str, whom: Option<String>) {
        let (room, _) = self.dice.one(&self.run.rooms);
        let path = format!("/_matrix/client/v3/rooms/{}/{deed}", encode(room));
        if let Some(whom) = whom.as_ref().filter(|_| deed == "invite") {
            self.run.story.enters(room, whom);
        }
        let body = whom.map_or(json!({}), |whom| json!({ "user_id": whom }));
        self.call(session, &Method::POST, &path, Some(&body)).await;
    }

    /// What is new, waiting so many milliseconds for it; answers whether there was anything. An answer may be lost on
    /// its way: the client comes with its old token again.
    pub async fn sync(&self, session: &Session, timeout: usize) -> bool {
        let since = self.run.story.client(session.0, |client| client.since.clone());
        let query = since.map(|since| format!("&since={since}")).unwrap_or_default();
        let path = format!("/_matrix/client/v3/sync?timeout={timeout}{query}");
        let answer = self.call(session, &Method::GET, &path, None).await;
        if !answer.is_ok() {
            return true;
        }
        if timeout > 0 && self.dice.percent(15) {
            self.run.story.note(format!("    life {} does not get it", session.0));
            return true;
        }
        self.run.story.client(session.0, |client| client.take(&answer.body))
    }

    /// Asks for the keys of whoever is outdated.
    pub async fn query(&self, session: &Session) {
        let outdated = self.run.story.client(session.0, |client| client.outdated());
        if outdated.is_empty() {
            return;
        }
        let users: BTreeMap<&String, [&str; 0]> = outdated.keys().map(|user| (user, [])).collect();
        let (path, body) = ("/_matrix/client/v3/keys/query", json!({ "device_keys": users }));
        let answer = self.call(session, &Method::POST, path, Some(&body)).await;
        if answer.is_ok() {
            self.run.story.client(session.0, |client| client.learn(&outdated, &answer.body));
        }
    }

    async fn call(
        &self,
        session: &Session,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let (life, session) = session;
        let began = self.run.simulation.now();
        let answer = insist(session, method, path, body).await;
        let shown = body.map(Value::to_string).unwrap_or_default();
        let said: String = answer.body.to_string().chars().take(2000).collect();
        self.run.story.note(format!(
            "{began}–{} {} life {life} {method} {path} {shown} → {} {said}",
            self.run.simulation.now(),
            session.id,
            answer.status
        ));
        answer
    }

    /// The user and the ID of any device.
    fn any_device(&self) -> (String, &str) {
        let devices = &self.run.network.devices;
        let device = self.dice.below(devices.len());
        (self.run.network.owner(device).id.clone(), &devices[device].id)
    }

    fn anybody(&self) -> String {
        self.dice.one(&self.run.network.users).id.clone()
    }
}
