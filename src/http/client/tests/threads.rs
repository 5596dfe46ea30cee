//! Which threads does a room have?
//! ([querying threads](https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room))

use serde_json::json;
use tombolo_support::{User, encode, text};

use super::related::{Told, ids};

const MESSAGE: &str = "m.room.message";

impl Told {
    fn threads(&self, user: &User, query: &str) -> Vec<String> {
        ids(&self.ask(user, &format!("threads{query}")).ok())
    }

    /// A new message of Alice, and an answer to it in a thread.
    fn thread(&self, user: &User) -> String {
        let root = self.scene.say(&self.alice, &self.room, "root");
        self.relate(user, MESSAGE, "m.thread", &root);
        root
    }
}

#[test]
fn they_are_sorted_by_their_newest_events() {
    let told = Told::new();
    let alice = &told.alice;
    assert_eq!(told.threads(alice, ""), [""; 0]);
    let [one, two, three] = [(); 3].map(|()| told.thread(alice));
    assert_eq!(told.threads(alice, ""), [&*three, &*two, &*one]);
    let newest = told.relate(alice, MESSAGE, "m.thread", &one);
    let answer = told.ask(alice, "threads?limit=2").ok();
    assert_eq!(ids(&answer), [&*one, &*three]);
    let thread = &answer["chunk"][0]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(
        (&thread["latest_event"]["event_id"], &thread["count"]),
        (&json!(newest), &json!(2))
    );
    let next = text(&answer["next_batch"]);
    let answer = told.ask(alice, &format!("threads?limit=2&from={next}")).ok();
    assert_eq!((ids(&answer), answer.get("next_batch")), (vec![two], None));
    for bad in ["?from=x", "?from=s1", "?include=x", "?limit=-1", "?limit=0"] {
        told.ask(alice, &format!("threads{bad}")).refused(400, "M_INVALID_PARAM");
    }
    told.ask(&told.scene.register("carl"), "threads").refused(403, "M_FORBIDDEN");
}

#[test]
fn those_are_found_in_which_the_user_wrote() {
    let told = Told::new();
    let bob = told.joined("bob");
    let [mine, _, ours] = [&bob, &told.alice, &bob].map(|user| told.thread(user));
    let own = told.scene.say(&bob, &told.room, "own");
    told.relate(&told.alice, MESSAGE, "m.thread", &own);
    assert_eq!(told.threads(&bob, "?include=participated"), [&*own, &*ours, &*mine]);
    assert_eq!(told.threads(&told.alice, "?include=participated").len(), 4);
}

#[test]
fn who_may_not_see_a_thread_is_not_told_of_it() {
    let told = Told::new();
    let bob = told.joined("bob");
    let old = told.thread(&told.alice);
    let of_bob = told.scene.say(&bob, &told.room, "of bob");
    told.relate(&told.alice, MESSAGE, "m.thread", &of_bob);
    told.scene.act(&bob, &told.room, "leave", &json!({})).ok();
    let new = told.thread(&told.alice);
    told.relate(&told.alice, MESSAGE, "m.thread", &old);
    assert_eq!(told.threads(&bob, ""), [&*of_bob, &*old]);
    assert_eq!(told.threads(&told.alice, ""), [&*old, &*new, &*of_bob]);
    let line =
        format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", told.alice.id);
    let content = json!({ "ignored_users": { &bob.id: {} } });
    told.scene.call(Some(&told.alice), &line, &content).ok();
    let answer = told.ask(&told.alice, "threads").ok();
    assert_eq!(ids(&answer), [&*old, &*new, &*of_bob]);
    let ignored = &answer["chunk"][2];
    assert_eq!(ignored["content"], json!({}), "who is ignored is not read");
    let thread = &ignored["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(
        (&thread["count"], &thread["latest_event"]["sender"]),
        (&json!(1), &json!(told.alice.id))
    );
    assert!(answer["chunk"][0]["content"]["body"].is_string());
    told.redact(&new);
    assert_eq!(told.threads(&told.alice, "").len(), 3, "a thread outlives its root");
}

#[test]
fn messages_are_filtered_by_relation() {
    let told = Told::new();
    let (bob, room) = (told.joined("bob"), encode(&told.room));
    told.scene.pass(5000);
    let since = text(&told.scene.sync(&told.alice, "")["next_batch"]);
    let root = told.scene.say(&told.alice, &told.room, "root");
    let thread = told.relate(&bob, MESSAGE, "m.thread", &root);
    let reference = told.relate(&told.alice, MESSAGE, "m.reference", &root);
    let other = told.relate(&told.alice, MESSAGE, "m.reference", &thread);
    let filtered = |filter: &serde_json::Value| {
        let filter = encode(&filter.to_string());
        let path =
            format!("/_matrix/client/v3/rooms/{room}/messages?dir=f&from={since}&filter={filter}");
        ids(&told.scene.get(&told.alice, &path).ok())
    };
    let (types, not) = ("org.matrix.msc3874.rel_types", "org.matrix.msc3874.not_rel_types");
    assert_eq!(filtered(&json!({ types: ["m.thread"] })), [&*thread]);
    assert_eq!(filtered(&json!({ types: ["m.thread", "m.reference"] })).len(), 3);
    assert_eq!(filtered(&json!({ not: ["m.thread"] })), [&*root, &*reference, &*other]);
    assert_eq!(filtered(&json!({ "related_by_rel_types": ["m.thread"] })), [&*root]);
    assert_eq!(filtered(&json!({ "related_by_senders": [told.alice.id] })), [&*root, &*thread]);
    let both = json!({ "related_by_senders": [bob.id], "related_by_rel_types": ["m.reference"] });
    assert_eq!(filtered(&both), [""; 0]);
    assert_eq!(filtered(&json!({ "related_by_senders": [] })).len(), 4);
    let filter = json!({ "room": { "timeline": { types: ["m.thread"] } } });
    let timeline = |sync: serde_json::Value| {
        ids(&json!({ "chunk": sync["rooms"]["join"][&told.room]["timeline"]["events"] }))
    };
    told.scene.pass(5000);
    let query = format!("since={since}");
    assert_eq!(timeline(told.scene.filtered(&told.alice, &filter, &query)), [&*thread]);
    let line = format!("POST /_matrix/client/v3/user/{}/filter", told.alice.id);
    let id = text(&told.scene.call(Some(&told.alice), &line, &filter).ok()["filter_id"]);
    let path = format!("/_matrix/client/v3/user/{}/filter/{id}", told.alice.id);
    assert_eq!(told.scene.get(&told.alice, &path).ok(), filter);
    assert_eq!(timeline(told.scene.sync(&told.alice, &format!("{query}&filter={id}"))), [thread]);
    let bad = encode(&json!({ "related_by_senders": "x" }).to_string());
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=f&filter={bad}");
    told.scene.get(&told.alice, &path).refused(400, "M_INVALID_PARAM");
}

#[test]
fn who_left_learns_by_no_filter_what_was_said_later() {
    let told = Told::new();
    let bob = told.joined("bob");
    let old = told.scene.say(&told.alice, &told.room, "old");
    let answered = told.scene.say(&told.alice, &told.room, "answered");
    told.relate(&told.alice, MESSAGE, "m.reference", &answered);
    told.scene.act(&bob, &told.room, "leave", &json!({})).ok();
    told.relate(&told.alice, MESSAGE, "m.reference", &old);
    let room = encode(&told.room);
    let filter = encode(&json!({ "related_by_rel_types": ["m.reference"] }).to_string());
    let found = |user: &User| {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&filter={filter}");
        ids(&told.scene.get(user, &path).ok())
    };
    assert_eq!(found(&told.alice), [&*answered, &*old]);
    assert_eq!(found(&bob), [&*answered]);
}

#[test]
fn the_end_of_an_invite_is_filtered_by_what_relates_to_it_too() {
    let told = Told::new();
    let bob = told.scene.register("bob");
    told.scene.act(&told.alice, &told.room, "invite", &json!({ "user_id": bob.id })).ok();
    told.scene.pass(5000);
    let since = text(&told.scene.sync(&bob, "")["next_batch"]);
    told.scene.act(&told.alice, &told.room, "kick", &json!({ "user_id": bob.id })).ok();
    told.scene.pass(5000);
    let shown = |filter: &serde_json::Value| {
        let sync = told.scene.filtered(&bob, filter, &format!("since={since}"));
        sync["rooms"]["leave"][&told.room].to_string().contains("\"leave\"")
    };
    assert!(shown(&json!({})));
    let related = json!({ "related_by_rel_types": ["m.thread"] });
    assert!(!shown(&json!({ "room": { "timeline": related, "state": related } })));
}
