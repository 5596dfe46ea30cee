//! What is an event shown with, of what others say of it?
//! ([aggregations](https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events))

use serde_json::{Value, json};
use tombolo_support::{User, encode, text};

use super::related::Told;

const MESSAGE: &str = "m.room.message";

impl Told {
    /// What is shown with an event.
    fn said_of(&self, user: &User, event: &str) -> Value {
        let path = format!("/_matrix/client/v3/rooms/{}/event/{event}", encode(&self.room));
        self.scene.get(user, &path).ok()["unsigned"]["m.relations"].clone()
    }

    fn of_root(&self) -> Value {
        self.said_of(&self.alice, &self.root)
    }

    fn send(&self, user: &User, kind: &str, content: &Value) -> String {
        let path = format!("send/{kind}/sent-{}", self.scene.number());
        text(&self.scene.put(user, &self.room, &path, content).ok()["event_id"])
    }

    fn ignore(&self, ignored: &User) {
        let line = format!(
            "PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
            self.alice.id
        );
        let content = json!({ "ignored_users": { &ignored.id: {} } });
        self.scene.call(Some(&self.alice), &line, &content).ok();
    }
}

#[test]
fn the_newest_valid_edit_is_shown() {
    let told = Told::new();
    let bob = told.joined("bob");
    assert_eq!(told.of_root(), Value::Null);
    let first = told.relate(&told.alice, MESSAGE, "m.replace", &told.root);
    let second = told.relate(&told.alice, MESSAGE, "m.replace", &told.root);
    told.relate(&bob, MESSAGE, "m.replace", &told.root);
    told.relate(&told.alice, "x.other", "m.replace", &told.root);
    let relation = json!({ "rel_type": "m.replace", "event_id": told.root });
    told.send(&told.alice, MESSAGE, &json!({ "body": "no content", "m.relates_to": relation }));
    let encrypted = json!({ "algorithm": "x", "ciphertext": "x", "m.relates_to": relation });
    told.send(&told.alice, "m.room.encrypted", &encrypted);
    let edit = &told.of_root()["m.replace"];
    assert_eq!(
        (&edit["event_id"], &edit["content"]["m.new_content"]["body"]),
        (&json!(second), &json!("new"))
    );
    let of_edit = told.relate(&told.alice, MESSAGE, "m.replace", &second);
    assert_eq!(told.said_of(&told.alice, &second), Value::Null, "nobody edits an edit");
    told.redact(&of_edit);
    told.redact(&second);
    assert_eq!(told.of_root()["m.replace"]["event_id"], first);
    let body = told
        .scene
        .get(&told.alice, &format!("/_matrix/client/v3/rooms/{}/event/{}", told.room, told.root));
    assert_eq!(body.ok()["content"]["body"], "root", "the content stays what it was");
    told.redact(&told.root);
    assert_eq!(told.of_root(), Value::Null);
}

#[test]
fn an_encrypted_event_is_replaced_by_an_encrypted_one() {
    let told = Told::new();
    let encrypted = json!({ "algorithm": "x", "ciphertext": "x" });
    let root = told.send(&told.alice, "m.room.encrypted", &encrypted);
    told.relate(&told.alice, MESSAGE, "m.replace", &root);
    assert_eq!(told.said_of(&told.alice, &root), Value::Null);
    let mut edit = encrypted;
    edit["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": root });
    let edit = told.send(&told.alice, "m.room.encrypted", &edit);
    assert_eq!(told.said_of(&told.alice, &root)["m.replace"]["event_id"], edit);
}

#[test]
fn a_thread_is_shown_with_its_newest_event() {
    let told = Told::new();
    let [bob, carl] = ["bob", "carl"].map(|name| told.joined(name));
    let first = told.relate(&bob, MESSAGE, "m.thread", &told.root);
    let second = told.relate(&bob, MESSAGE, "m.thread", &told.root);
    let edit = told.relate(&bob, MESSAGE, "m.replace", &second);
    let vote = told.relate(&carl, MESSAGE, "m.reference", &second);
    let thread = told.said_of(&carl, &told.root)["m.thread"].clone();
    assert_eq!(
        (&thread["count"], &thread["current_user_participated"]),
        (&json!(2), &json!(false))
    );
    let latest = &thread["latest_event"];
    assert_eq!(latest["event_id"], second);
    let inner = &latest["unsigned"]["m.relations"];
    assert_eq!(inner["m.replace"]["event_id"], edit);
    assert_eq!(inner["m.reference"]["chunk"], json!([{ "event_id": vote }]));
    for user in [&told.alice, &bob] {
        assert_eq!(told.said_of(user, &told.root)["m.thread"]["current_user_participated"], true);
    }
    let third = told.relate(&carl, MESSAGE, "m.thread", &told.root);
    assert_eq!(told.of_root()["m.thread"]["latest_event"]["event_id"], third);
    told.ignore(&carl);
    let thread = told.of_root()["m.thread"].clone();
    assert_eq!(
        (&thread["count"], &thread["latest_event"]["event_id"]),
        (&json!(2), &json!(second))
    );
    told.redact(&second);
    told.redact(&first);
    assert_eq!(told.of_root(), Value::Null, "all that is left is of who is ignored");
    assert_eq!(told.said_of(&bob, &told.root)["m.thread"]["count"], 1);
}

#[test]
fn what_came_after_a_leave_is_not_shown_to_who_left() {
    let told = Told::new();
    let bob = told.joined("bob");
    let seen = told.relate(&told.alice, MESSAGE, "m.thread", &told.root);
    told.scene.act(&bob, &told.room, "leave", &json!({})).ok();
    told.relate(&told.alice, MESSAGE, "m.thread", &told.root);
    told.relate(&told.alice, MESSAGE, "m.replace", &told.root);
    told.relate(&told.alice, MESSAGE, "m.reference", &told.root);
    let said = told.said_of(&bob, &told.root);
    assert_eq!(
        (&said["m.thread"]["count"], &said["m.thread"]["latest_event"]["event_id"]),
        (&json!(1), &json!(seen))
    );
    assert_eq!((&said["m.replace"], &said["m.reference"]), (&Value::Null, &Value::Null));
}

#[test]
fn it_is_shown_wherever_timelines_are_and_not_with_state() {
    let told = Told::new();
    let edit = told.relate(&told.alice, MESSAGE, "m.replace", &told.root);
    let name =
        told.scene.set(&told.alice, &told.room, ("m.room.name", ""), &json!({ "name": "x" }));
    told.relate(&told.alice, MESSAGE, "m.reference", &name);
    told.relate(&told.alice, "m.reaction", "m.annotation", &name);
    let (room, root) = (encode(&told.room), &told.root);
    let get = |path: &str| {
        told.scene.get(&told.alice, &format!("/_matrix/client/v3/rooms/{room}/{path}")).ok()
    };
    let shown = |events: &Value| {
        let events = events.as_array().unwrap();
        let event = events.iter().find(|event| event["event_id"] == *root).unwrap();
        assert_eq!(event["unsigned"]["m.relations"]["m.replace"]["event_id"], edit);
        assert!(events.iter().all(
            |event| event["event_id"] != name || event["unsigned"].get("m.relations").is_none()
        ));
    };
    shown(&get("messages?dir=b&limit=30")["chunk"]);
    shown(&json!([get(&format!("context/{root}"))["event"]]));
    shown(&get(&format!("context/{edit}"))["events_before"]);
    let timeline = |limit: u32| {
        let filter = json!({ "room": { "timeline": { "limit": limit } } });
        let sync = told.scene.filtered(&told.alice, &filter, "");
        sync["rooms"]["join"][&told.room]["timeline"].clone()
    };
    shown(&timeline(6)["events"]);
    let whole = timeline(60);
    assert_eq!(whole["limited"], false);
    assert!(!whole.to_string().contains("m.relations"), "the client has it all as events");
    let thread = told.relate(&told.alice, MESSAGE, "m.thread", &told.root);
    told.relate(&told.alice, MESSAGE, "m.replace", &thread);
    let related = told.ask(&told.alice, &format!("relations/{root}/m.thread")).ok();
    assert!(related["chunk"][0]["unsigned"]["m.relations"]["m.replace"].is_object());
}
