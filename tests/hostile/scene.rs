//! Which server is attacked, and how does a test see what became of it?

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use tombolo::app::Tombolo;
use tombolo_platform::simulated::{Server, Simulation};
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{
    Answer, Peer, Place, Secrets, User, ask, cited, draft, encode, id_of, register, request, server,
};

pub const OURS: &str = "ours.test:8448";
const NOTARY: &str = "notary.test:8448";

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
    alice: User,
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
        let variables = [&[("TRUSTED_KEY_SERVERS", NOTARY)], variables].concat();
        let server = server(&simulation, Rc::new(Tombolo), OURS, &Secrets::of(9), &variables);
        let alice = simulation.run(register(&server, "alice")).unwrap();
        let evil = Peer::new(&simulation, "evil.test:8448", 1);
        let third = Peer::new(&simulation, "third.test:8448", 2);
        let notary = Peer::new(&simulation, NOTARY, 3);
        let version = RoomVersion::of(version).unwrap();
        let (room, count) = (String::new(), Cell::new(0));
        Self { simulation, server, evil, third, notary, room, version, alice, count }
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
        answer.text("room_id").unwrap()
    }

    /// Registers a user; answers the token.
    pub fn register(&self, username: &str) -> String {
        self.simulation.run(register(&self.server, username)).unwrap().token
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
        self.client(Some(&self.alice.token), method, path, body)
    }

    pub fn client(&self, token: Option<&str>, method: &Method, path: &str, body: &Value) -> Answer {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(request(authorization.as_deref(), (method.as_str(), path), body))
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
        let answer = self.ask(request(Some(header), (method.as_str(), path), body));
        assert!(answer.status < 500, "{method} {path}: {answer:?}");
        answer
    }

    fn ask(&self, request: Request<Bytes>) -> Answer {
        self.simulation.run(ask(&self.server, request)).unwrap()
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
        id_of(self.version, pdu)
    }

    /// An event where the room stands now, that cites what it should; neither hashed nor signed.
    pub fn draft(&self, sender: &str, kind: &str, key: Option<&str>, content: &Value) -> Value {
        let (state, tips) = (self.state(), self.tips());
        let auth = cited(self.version, sender, (kind, key), content, |key| state.get(key).cloned());
        let depth = tips.iter().filter_map(|id| self.held(id)?.pdu["depth"].as_u64()).max();
        let place = Place {
            room_id: &self.room,
            prev_events: &tips,
            auth_events: &auth,
            depth: (depth.unwrap_or(0) + 1).min((1 << 53) - 1),
            origin_server_ts: self.simulation.now(),
        };
        draft(&place, sender, (kind, key), content)
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
        answer.text("event_id").unwrap()
    }

    /// Alice sets state; answers its ID.
    pub fn set(&self, kind: &str, key: &str, content: &Value) -> String {
        let (room, key) = (encode(&self.room), encode(key));
        let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}/{key}");
        let answer = self.alice(&Method::PUT, &path, content);
        assert_eq!(answer.status, 200, "alice cannot set {kind}: {answer:?}");
        answer.text("event_id").unwrap()
    }

    /// Alice bans, kicks or invites somebody.
    pub fn member(&self, how: &str, user: &str) {
        let path = format!("/_matrix/client/v3/rooms/{}/{how}", encode(&self.room));
        let answer = self.alice(&Method::POST, &path, &json!({ "user_id": user }));
        assert_eq!(answer.status, 200, "alice cannot {how} {user}: {answer:?}");
    }
}
