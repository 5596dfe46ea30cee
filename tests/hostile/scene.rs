//! Which server is attacked, and how does a test see what became of it?

use std::{cell::Cell, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::UserId;
use serde_json::{Value, json};
use tombolo_platform::simulated::{Server, Simulation};
use tombolo_protocol::{event_auth::auth_types, json::parse_value, room_version::RoomVersion};

use crate::{
    peer::{self, Peer},
    simulated::{self, Secrets},
};

pub const OURS: &str = "ours.test:8448";
const NOTARY: &str = "notary.test:8448";

/// What a server said.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }
}

/// Our server with a room of alice, and two peers; `evil` is in the room with the users `mallory` and `minion`.
pub struct Scene {
    pub simulation: Simulation,
    pub server: Server,
    pub evil: Peer,
    pub third: Peer,
    /// The notary that our server trusts.
    pub notary: Peer,
    pub room: String,
    pub version: &'static RoomVersion,
    token: String,
    count: Cell<u64>,
}

impl Scene {
    /// A server without rooms, and what version rooms are to have.
    pub fn bare(version: &str) -> Self {
        Self::with(version, &[])
    }

    /// The same, with variables of our server.
    pub fn with(version: &str, variables: &[(&str, &str)]) -> Self {
        let simulation = Simulation::new(7);
        let server = server(&simulation, variables);
        let evil = Peer::new(&simulation, "evil.test:8448", 1);
        let third = Peer::new(&simulation, "third.test:8448", 2);
        let notary = Peer::new(&simulation, NOTARY, 3);
        let version = RoomVersion::of(version).unwrap();
        let (room, token, count) = (String::new(), String::new(), Cell::new(0));
        let mut scene =
            Self { simulation, server, evil, third, notary, room, version, token, count };
        scene.token = scene.register("alice");
        scene
    }

    /// A public room of alice in which the peer's users are.
    pub fn new(version: &str) -> Self {
        let mut scene = Self::bare(version);
        scene.room = scene.create_room("public_chat");
        for localpart in ["mallory", "minion"] {
            let answer = scene.enter(&scene.evil, localpart);
            assert_eq!(answer.status, 200, "{localpart} cannot join: {answer:?}");
        }
        scene
    }

    /// A room of alice.
    pub fn create_room(&self, preset: &str) -> String {
        let body = json!({ "room_version": self.version.id, "preset": preset });
        let answer = self.alice(&Method::POST, "/_matrix/client/v3/createRoom", &body);
        assert_eq!(answer.status, 200, "no room: {answer:?}");
        answer.text("room_id")
    }

    /// Registers a user; answers the token.
    pub fn register(&self, username: &str) -> String {
        let body = json!({ "username": username, "password": "correct horse", "auth": { "type": "m.login.dummy" } });
        let answer = self.client(None, &Method::POST, "/_matrix/client/v3/register", &body);
        assert_eq!(answer.status, 200, "{username} cannot register: {answer:?}");
        answer.text("access_token")
    }

    /// A user of the peer joins as a good server has it.
    pub fn enter(&self, peer: &Peer, localpart: &str) -> Answer {
        let user = peer.user(localpart);
        let template = self.make(peer, "make_join", &user);
        if template.status != 200 {
            return template;
        }
        let pdu = peer.seal(self.version, &template.body["event"]);
        let answer = self.deliver_member(peer, "send_join", &pdu);
        // Which servers are in a room is noted a moment later.
        self.settle();
        answer
    }

    pub fn make(&self, peer: &Peer, what: &str, user: &str) -> Answer {
        let (room, user, version) = (encode(&self.room), encode(user), &self.version.id);
        let path = format!("/_matrix/federation/v1/{what}/{room}/{user}?ver={version}");
        self.signed(peer, &Method::GET, &path, None)
    }

    /// `send_join`, `send_leave` or `send_knock` of an event, by its ID.
    pub fn deliver_member(&self, peer: &Peer, what: &str, pdu: &Value) -> Answer {
        let (room, id) = (encode(&self.room), encode(&self.id(pdu)));
        let api = if what == "send_knock" { "v1" } else { "v2" };
        let path = format!("/_matrix/federation/{api}/{what}/{room}/{id}");
        self.signed(peer, &Method::PUT, &path, Some(pdu))
    }

    /// A request of alice's client.
    pub fn alice(&self, method: &Method, path: &str, body: &Value) -> Answer {
        self.client(Some(&self.token), method, path, body)
    }

    pub fn client(&self, token: Option<&str>, method: &Method, path: &str, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(request.body(Bytes::from(body)).unwrap())
    }

    /// A request that a peer signed as it should be. Nothing that a peer says may break us.
    pub fn signed(
        &self,
        peer: &Peer,
        method: &Method,
        path: &str,
        content: Option<&Value>,
    ) -> Answer {
        let header = peer.authorization(OURS, (method.as_str(), path), content).header();
        let body = content.map(Value::to_string).unwrap_or_default();
        self.raw(&header, method, path, body.into())
    }

    /// A request with this header and body.
    pub fn raw(&self, header: &str, method: &Method, path: &str, body: Bytes) -> Answer {
        let request = Request::builder().method(method).uri(path).header("authorization", header);
        let answer = self.ask(request.body(body).unwrap());
        assert!(answer.status < 500, "{method} {path}: {answer:?}");
        answer
    }

    fn ask(&self, request: Request<Bytes>) -> Answer {
        let response = self.simulation.run(self.server.request(request)).unwrap();
        let body = parse_value(response.body()).unwrap_or_default();
        Answer { status: response.status().as_u16(), body }
    }

    /// A transaction.
    pub fn send(&self, peer: &Peer, pdus: &[Value], edus: &[Value]) -> Answer {
        self.send_body(peer, &json!({ "origin": peer.name(), "origin_server_ts": self.simulation.now(), "pdus": pdus, "edus": edus }))
    }

    pub fn send_body(&self, peer: &Peer, body: &Value) -> Answer {
        let path = format!("/_matrix/federation/v1/send/{}", self.number());
        self.signed(peer, &Method::PUT, &path, Some(body))
    }

    /// A transaction whose events are this text: for what no JSON library writes.
    pub fn send_text(&self, peer: &Peer, pdus: &str) -> Answer {
        let text = format!("{{\"pdus\":[{pdus}],\"edus\":[]}}");
        self.send_bytes(peer, Bytes::from(text))
    }

    pub fn send_bytes(&self, peer: &Peer, body: Bytes) -> Answer {
        let path = format!("/_matrix/federation/v1/send/{}", self.number());
        let content: Option<Value> = serde_json::from_slice(&body).ok();
        let header = peer.authorization(OURS, ("PUT", &path), content.as_ref()).header();
        self.raw(&header, &Method::PUT, &path, body)
    }

    /// Some time passes.
    pub fn wait(&self, seconds: u64) {
        self.simulation.run(self.server.world().sleep(Duration::from_secs(seconds)));
    }

    pub fn number(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// What our server still has to do is done.
    pub fn settle(&self) {
        self.simulation.settle(120_000);
    }

    pub fn id(&self, pdu: &Value) -> String {
        peer::id(self.version, pdu)
    }

    /// An event where the room stands now, that cites what it should; neither hashed nor signed.
    pub fn draft(&self, sender: &str, kind: &str, key: Option<&str>, content: &Value) -> Value {
        let (state, tips) = (self.state(), self.tips());
        let raw = serde_json::value::to_raw_value(content).unwrap();
        let sender_id = UserId::parse(sender).unwrap();
        let mut wanted = auth_types(self.version, kind, &sender_id, key, &raw).unwrap_or_default();
        if !self.version.room_id_is_create_hash() {
            wanted.push(("m.room.create".to_owned(), String::new()));
        }
        let mut auth: Vec<&String> = wanted.iter().filter_map(|key| state.get(key)).collect();
        auth.sort();
        auth.dedup();
        let depth = tips.iter().filter_map(|id| self.held(id)?.pdu["depth"].as_u64()).max();
        let mut pdu = json!({
            "type": kind, "sender": sender, "room_id": self.room, "content": content,
            "depth": (depth.unwrap_or(0) + 1).min((1 << 53) - 1), "origin_server_ts": self.simulation.now(),
            "prev_events": tips, "auth_events": auth,
        });
        if let Some(key) = key {
            pdu["state_key"] = json!(key);
        }
        pdu
    }

    /// A good event of one of the peer's users.
    pub fn event(&self, localpart: &str, kind: &str, key: Option<&str>, content: &Value) -> Value {
        let draft = self.draft(&self.evil.user(localpart), kind, key, content);
        self.evil.seal(self.version, &draft)
    }

    /// A message of mallory that nobody else ever sent.
    pub fn message(&self) -> Value {
        self.message_of("mallory")
    }

    pub fn message_of(&self, localpart: &str) -> Value {
        let content = json!({ "msgtype": "m.text", "body": format!("word {}", self.number()) });
        self.event(localpart, "m.room.message", None, &content)
    }

    /// Whether alice can see an event.
    pub fn sees(&self, id: &str) -> bool {
        self.seen(id).status == 200
    }

    /// An event as alice sees it.
    pub fn seen(&self, id: &str) -> Answer {
        let path = format!("/_matrix/client/v3/rooms/{}/event/{}", encode(&self.room), encode(id));
        self.alice(&Method::GET, &path, &Value::Null)
    }

    /// Alice says something; answers its ID.
    pub fn say(&self, room: &str, body: &str) -> String {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{}",
            encode(room),
            self.number()
        );
        let content = json!({ "msgtype": "m.text", "body": body });
        let answer = self.alice(&Method::PUT, &path, &content);
        assert_eq!(answer.status, 200, "alice cannot speak: {answer:?}");
        answer.text("event_id")
    }

    /// Alice sets state; answers its ID.
    pub fn set(&self, kind: &str, key: &str, content: &Value) -> String {
        let (room, key) = (encode(&self.room), encode(key));
        let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}/{key}");
        let answer = self.alice(&Method::PUT, &path, content);
        assert_eq!(answer.status, 200, "alice cannot set {kind}: {answer:?}");
        answer.text("event_id")
    }

    /// Alice bans, kicks or invites somebody.
    pub fn member(&self, how: &str, user: &str) {
        let path = format!("/_matrix/client/v3/rooms/{}/{how}", encode(&self.room));
        let answer = self.alice(&Method::POST, &path, &json!({ "user_id": user }));
        assert_eq!(answer.status, 200, "alice cannot {how} {user}: {answer:?}");
    }
}

fn server(simulation: &Simulation, variables: &[(&str, &str)]) -> Server {
    let secrets = Secrets { signing_key: ("a".to_owned(), [9; 32]), token: [8; 32] };
    let variables = [&[("TRUSTED_KEY_SERVERS", NOTARY)], variables].concat();
    simulated::server(simulation, OURS, &secrets, &variables)
}

/// An identifier as a path segment or the value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
