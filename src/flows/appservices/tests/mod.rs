//! Do application services get what concerns them, once and in order, whatever fails?

mod delivery;
mod interest;
mod ping;
mod queries;
mod third_party;

use serde_json::{Value, json};
use tombolo_support::{Bridge, Scene, User, text};

use super::registrations;
use crate::flows::tests::ours;

/// A server with a bridge, to which a user belongs.
struct Bridged {
    scene: Scene,
    bridge: Bridge,
    alice: User,
    ghost: User,
}

impl Bridged {
    fn new() -> Self {
        Self::with(&json!({ "receive_ephemeral": true }))
    }

    /// The same; `more` overrides members of the registration.
    fn with(more: &Value) -> Self {
        let scene = ours();
        let (alice, ghost) = (scene.register("alice"), scene.register("slack_ghost"));
        let bridge = Bridge::new(&scene.simulation, "bridge.test");
        let bridged = Self { scene, bridge, alice, ghost };
        bridged.register(&bridged.bridge.registration("slack", "slack_", more));
        bridged
    }

    fn register(&self, registration: &Value) {
        let (world, text) = (self.scene.server.world(), registration.to_string());
        let registered = registrations::register(&world, &text);
        self.scene.simulation.run(registered).unwrap();
    }

    /// A public room of alice in which the ghost is, of which the bridge has heard.
    fn room(&self) -> String {
        let room = self.scene.room(&self.alice, &json!({ "preset": "public_chat" }));
        self.scene.act(&self.ghost, &room, "join", &json!({})).ok();
        self.scene.pass(10_000);
        room
    }

    fn say(&self, room: &str, body: &str) -> String {
        self.scene.say(&self.alice, room, body)
    }

    /// The types of the events that the bridge was sent, with the membership of those who have one.
    fn kinds(&self) -> Vec<String> {
        let kind = |event: &Value| {
            let membership = event["content"]["membership"].as_str();
            membership.map_or_else(|| text(&event["type"]), str::to_owned)
        };
        self.bridge.events().iter().map(kind).collect()
    }
}
