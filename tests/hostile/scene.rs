//! Which server is attacked, and how does a test see what became of it?

use std::{ops::Deref, rc::Rc};

use bytes::Bytes;
use serde_json::{Value, json};
use tombolo::app::Tombolo;
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{
    Answer, Peer, Place, Scene, User, ask, cited, draft, encode, id_of, request,
};

pub const OURS: &str = "ours.test:8448";
const NOTARY: &str = "notary.test:8448";

/// Our server with a room of alice, and two peers; `evil` is in the room with the users `mallory` and `minion`.
pub struct HostileScene {
    scene: Scene,
    pub alice: User,
    pub evil: Peer,
    pub third: Peer,
    /// The notary that our server trusts.
    pub notary: Peer,
    pub room: String,
    pub version: &'static RoomVersion,
}

impl Deref for HostileScene {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl HostileScene {
    /// A server without rooms, and what version rooms are to have.
    pub fn bare(version: &str) -> Self {
        Self::with(version, &[])
    }

    /// The same, with variables of our server.
    pub fn with(version: &str, variables: &[(&str, &str)]) -> Self {
        let variables = [&[("TRUSTED_KEY_SERVERS", NOTARY)], variables].concat();
        let scene = Scene::new(Rc::new(Tombolo), OURS, &variables);
        let alice = scene.register("alice");
        let [evil, third, notary] = [("evil.test:8448", 1), ("third.test:8448", 2), (NOTARY, 3)]
            .map(|(name, seed)| Peer::new(&scene.simulation, name, seed));
        let (room, version) = (String::new(), RoomVersion::of(version).unwrap());
        Self { scene, alice, evil, third, notary, room, version }
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
        self.scene.room(&self.alice, &json!({ "room_version": self.version.id, "preset": preset }))
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
        let line = format!("GET /_matrix/federation/v1/{what}/{room}/{user}?ver={version}");
        self.signed(peer, &line, None)
    }

    /// `send_join`, `send_leave` or `send_knock` of an event, by its ID.
    pub fn deliver_member(&self, peer: &Peer, what: &str, pdu: &Value) -> Answer {
        let (room, id) = (encode(&self.room), encode(&self.id(pdu)));
        let api = if what == "send_knock" { "v1" } else { "v2" };
        let line = format!("PUT /_matrix/federation/{api}/{what}/{room}/{id}");
        self.signed(peer, &line, Some(pdu))
    }

    /// A request with this header and body. Nothing that a peer says may break us.
    pub fn raw(&self, header: &str, line: &str, body: Bytes) -> Answer {
        let request = request(Some(header), line.split_once(' ').unwrap(), body);
        let answer = self.simulation.run(ask(&self.server, request)).unwrap();
        assert!(answer.status < 500, "{line}: {answer:?}");
        answer
    }

    /// A transaction of a peer.
    pub fn transaction(&self, peer: &Peer, pdus: &[Value], edus: &[Value]) -> Answer {
        let (origin, now) = (peer.name(), self.simulation.now());
        let body = json!({ "origin": origin, "origin_server_ts": now, "pdus": pdus, "edus": edus });
        self.send_body(peer, &body)
    }

    pub fn send_body(&self, peer: &Peer, body: &Value) -> Answer {
        let line = format!("PUT /_matrix/federation/v1/send/{}", self.number());
        self.signed(peer, &line, Some(body))
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
        self.raw(&header, &format!("PUT {path}"), body)
    }

    /// Some time passes.
    pub fn wait(&self, seconds: u64) {
        self.pass(1000 * seconds);
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
        let (state, extremities) = (self.state(), self.extremities());
        let auth = cited(self.version, sender, (kind, key), content, |key| state.get(key).cloned());
        let depth = extremities.iter().filter_map(|id| self.held(id)?.pdu["depth"].as_u64()).max();
        let place = Place {
            room_id: &self.room,
            prev_events: &extremities,
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
        self.get(&self.alice, &path)
    }

    /// Alice bans, kicks or invites somebody.
    pub fn member(&self, how: &str, user: &str) {
        self.act(&self.alice, &self.room, how, &json!({ "user_id": user })).ok();
    }
}
