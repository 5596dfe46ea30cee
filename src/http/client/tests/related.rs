//! Which events relate to an event, and who is told?
//! ([relationships API](https://spec.matrix.org/v1.19/client-server-api/#relationships-api))

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, encode, text};

use super::one_server;

/// A room with a message of Alice.
pub struct Told {
    pub scene: Scene,
    pub alice: User,
    pub room: String,
    pub root: String,
}

impl Told {
    pub fn new() -> Self {
        Self::on(one_server())
    }

    pub fn on(scene: Scene) -> Self {
        let alice = scene.register("alice");
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        let root = scene.say(&alice, &room, "root");
        Self { scene, alice, room, root }
    }

    /// A new user in the room.
    pub fn joined(&self, name: &str) -> User {
        let user = self.scene.register(name);
        self.scene.act(&user, &self.room, "join", &json!({})).ok();
        user
    }

    /// The ID of a new event of this type that relates to another.
    #[track_caller]
    pub fn relate(&self, user: &User, kind: &str, rel_type: &str, target: &str) -> String {
        // The time tells which of two edits is newer.
        self.scene.pass(1);
        let number = self.scene.number();
        let mut content = json!({ "msgtype": "m.text", "body": number.to_string() });
        if rel_type == "m.annotation" {
            content = json!({});
        }
        if rel_type == "m.replace" {
            content["m.new_content"] = json!({ "body": "new" });
        }
        content["m.relates_to"] =
            json!({ "rel_type": rel_type, "event_id": target, "key": number.to_string() });
        let path = format!("send/{kind}/related-{number}");
        text(&self.scene.put(user, &self.room, &path, &content).ok()["event_id"])
    }

    pub fn redact(&self, event: &str) {
        let path = format!("redact/{event}/{}", self.scene.number());
        self.scene.put(&self.alice, &self.room, &path, &json!({})).ok();
    }

    pub fn ask(&self, user: &User, rest: &str) -> Answer {
        let room = encode(&self.room);
        self.scene.get(user, &format!("/_matrix/client/v1/rooms/{room}/{rest}"))
    }

    fn related(&self, rest: &str) -> Vec<String> {
        ids(&self.ask(&self.alice, &format!("relations/{}{rest}", self.root)).ok())
    }
}

/// The IDs of the events of an answer.
pub fn ids(answer: &Value) -> Vec<String> {
    answer["chunk"].as_array().unwrap().iter().map(|event| text(&event["event_id"])).collect()
}

const MESSAGE: &str = "m.room.message";

#[test]
fn they_are_found_by_the_relation_and_by_their_type() {
    let told = Told::new();
    let reply = told.relate(&told.alice, MESSAGE, "m.thread", &told.root);
    let other = told.relate(&told.alice, "x.other", "m.thread", &told.root);
    let edit = told.relate(&told.alice, MESSAGE, "m.replace", &told.root);
    told.scene.say(&told.alice, &told.room, "unrelated");
    assert_eq!(told.related(""), [&*edit, &*other, &*reply]);
    assert_eq!(told.related("?dir=f"), [&*reply, &*other, &*edit]);
    assert_eq!(told.related("/m.thread"), [&*other, &*reply]);
    assert_eq!(told.related("/m.thread/m.room.message"), [reply]);
    assert_eq!(told.related("/m.thread/x.none"), [""; 0]);
    assert_eq!(told.related("/m.reference?recurse=true"), [""; 0]);
    let unstable = format!("/_matrix/client/unstable/rooms/{}/relations/{}", told.room, told.root);
    let answer = told.scene.get(&told.alice, &unstable).ok();
    assert_eq!((ids(&answer).len(), &answer["original_event"]["event_id"]), (3, &json!(told.root)));
}

#[test]
fn pages_go_on_in_both_directions_and_from_a_sync() {
    let told = Told::new();
    let mut related: Vec<_> =
        (0..4).map(|_| told.relate(&told.alice, MESSAGE, "m.thread", &told.root)).collect();
    let since = text(&told.scene.sync(&told.alice, "")["next_batch"]);
    related.extend((0..4).map(|_| told.relate(&told.alice, MESSAGE, "m.thread", &told.root)));
    let pages = |query: &str| {
        let (mut all, mut from) = (Vec::new(), String::new());
        loop {
            let path = format!("relations/{}?limit=3&{query}{from}", told.root);
            let page = told.ask(&told.alice, &path).ok();
            all.push(ids(&page));
            match page["next_batch"].as_str() {
                Some(next) => from = format!("&from={next}"),
                None => return all.concat(),
            }
        }
    };
    assert_eq!(pages("dir=f"), related);
    related.reverse();
    assert_eq!(pages("dir=b"), related);
    related.reverse();
    assert_eq!(told.related(&format!("?dir=f&from={since}")), &related[4..]);
    assert_eq!(told.related(&format!("?dir=b&from={since}&limit=2")), [&*related[3], &*related[2]]);
    assert_eq!(told.related(&format!("?dir=b&to={since}&limit=9")).len(), 4);
    assert_eq!(told.related("?limit=0"), [""; 0]);
    for bad in ["?from=x", "?limit=-1", "?limit=x", "?dir=x", "?from=t99999999999999999999"] {
        told.ask(&told.alice, &format!("relations/{}{bad}", told.root))
            .refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn what_relates_to_them_is_found_up_to_a_depth() {
    let told = Told::new();
    let mut last = told.root.clone();
    let mut chain = Vec::new();
    for _ in 0..6 {
        last = told.relate(&told.alice, MESSAGE, "m.reference", &last);
        chain.push(last.clone());
    }
    assert_eq!(told.related(""), chain[..1]);
    assert_eq!(told.related("?recurse=true&dir=f"), chain[..4]);
    assert_eq!(told.related("?org.matrix.msc3981.recurse=true&dir=f"), chain[..4]);
    let path = format!("relations/{}?recurse=true", told.root);
    assert_eq!(told.ask(&told.alice, &path).ok()["recursion_depth"], 3);
}

#[test]
fn who_may_not_see_them_is_not_told() {
    let told = Told::new();
    let (bob, carl) = (told.joined("bob"), told.scene.register("carl"));
    let first = told.relate(&bob, MESSAGE, "m.thread", &told.root);
    let path = format!("relations/{}", told.root);
    let seen = |user: &User| ids(&told.ask(user, &path).ok());
    told.ask(&carl, &path).refused(404, "M_NOT_FOUND");
    told.ask(&bob, "relations/$unknown").refused(404, "M_NOT_FOUND");
    told.scene.act(&bob, &told.room, "leave", &json!({})).ok();
    let second = told.relate(&told.alice, MESSAGE, "m.thread", &told.root);
    assert_eq!(seen(&bob), [&*first], "what came after the leave is not for who left");
    assert_eq!(seen(&told.alice), [&*second, &*first]);
    told.scene.act(&bob, &told.room, "forget", &json!({})).ok();
    told.ask(&bob, &path).refused(404, "M_NOT_FOUND");
    let line =
        format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", told.alice.id);
    let ignored = json!({ "ignored_users": { bob.id: {} } });
    told.scene.call(Some(&told.alice), &line, &ignored).ok();
    assert_eq!(seen(&told.alice), [second]);
}

#[test]
fn a_redaction_ends_a_relation() {
    let told = Told::new();
    let reply = told.relate(&told.alice, MESSAGE, "m.thread", &told.root);
    let edit = told.relate(&told.alice, MESSAGE, "m.replace", &told.root);
    let reaction = told.relate(&told.alice, "m.reaction", "m.annotation", &told.root);
    told.redact(&reply);
    assert_eq!(told.related(""), [&*reaction, &*edit]);
    told.redact(&told.root);
    assert_eq!(told.related(""), [&*reaction], "an edit says what was taken back");
}
