//! How do two servers deal with each other? Alice is on the first, bob on the other.

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_platform::{Application, World};
use tombolo_protocol::signing::SigningKey;

use crate::{
    client::{Answer, User, encode},
    peer::Peer,
    scene::Scene,
};

/// What the signing key of the other server is made from.
const SEED: u8 = 8;

/// Two servers with a user each.
pub struct Pair {
    pub scene: Scene,
    pub alice: User,
    pub bob: User,
}

impl Pair {
    /// Servers of these names.
    pub fn new(application: Rc<dyn Application<World>>, names: [&str; 2]) -> Self {
        Self::with(application, names, &[])
    }

    /// The same; `more` overrides the variables of both.
    pub fn with(
        application: Rc<dyn Application<World>>,
        [first, other]: [&str; 2],
        more: &[(&str, &str)],
    ) -> Self {
        let scene = Scene::new(application, first, more);
        let other = scene.another_with(other, SEED, more);
        let (alice, bob) = (scene.register("alice"), scene.register_on(&other, "bob"));
        Self { scene, alice, bob }
    }

    /// A user of the other server joins a room of the first one, or knocks at it.
    pub fn through(&self, user: &User, deed: &str, room: &str) -> Answer {
        let via = encode(self.scene.server.name());
        let line = format!("POST /_matrix/client/v3/{deed}/{room}?server_name={via}");
        self.scene.call(Some(user), &line, &json!({}))
    }

    /// A public room of alice that bob has joined; `content` is the rest of the request for it.
    pub fn meet(&self, content: Value) -> String {
        let mut content = content;
        content["preset"] = json!("public_chat");
        let room = self.scene.room(&self.alice, &content);
        self.through(&self.bob, "join", &room).ok();
        room
    }

    /// For so long (ms) nothing passes between the two.
    pub fn cut(&self, time: u64) {
        let until = self.scene.simulation.now() + time;
        let (first, other) = (self.scene.server.name(), self.bob.server.name());
        self.scene.simulation.partition(first, other, until);
    }

    /// What signs as the other server does.
    pub fn signer(&self) -> Peer {
        let key = SigningKey::from_seed("ed25519:a", [SEED; 32]).unwrap();
        Peer::with(self.bob.server.name(), key)
    }
}
