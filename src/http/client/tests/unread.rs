//! How much is a user told to be unread?
//! ([receiving notifications](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications))

use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode, text};

use super::one_server;

/// Alice speaks, Bob reads.
struct Reading {
    scene: Scene,
    alice: User,
    bob: User,
    room: String,
    /// Bob's token from before anything was said.
    since: String,
}

impl Reading {
    fn new() -> Self {
        Self::of(&json!({ "preset": "public_chat" }))
    }

    fn of(request: &Value) -> Self {
        let scene = one_server();
        let (alice, bob) = (scene.register("alice"), scene.register("bob"));
        let room = scene.room(&alice, request);
        scene.act(&bob, &room, "join", &json!({})).ok();
        let since = text(&scene.sync(&bob, "")["next_batch"]);
        Self { scene, alice, bob, room, since }
    }

    fn say(&self, user: &User, content: &Value) -> String {
        let path = format!("send/m.room.message/{}", self.scene.number());
        text(&self.scene.put(user, &self.room, &path, content).ok()["event_id"])
    }

    fn says(&self, body: &str) -> String {
        self.say(&self.alice, &json!({ "msgtype": "m.text", "body": body }))
    }

    /// What Alice says to Bob, or to nobody, in relation to an event.
    fn relates(&self, mentions: &[&str], rel_type: &str, to: &str) -> String {
        let relation = json!({ "rel_type": rel_type, "event_id": to });
        let mentions = json!({ "user_ids": mentions });
        let (msgtype, body) = ("m.text", "hi");
        self.say(
            &self.alice,
            &json!({ "msgtype": msgtype, "body": body, "m.mentions": mentions, "m.relates_to": relation }),
        )
    }

    fn receipt(&self, kind: &str, event: &str, body: &Value) {
        let line = format!(
            "POST /_matrix/client/v3/rooms/{}/receipt/{kind}/{}",
            encode(&self.room),
            encode(event)
        );
        self.scene.call(Some(&self.bob), &line, body).ok();
    }

    /// Notifications and highlights of all threads together.
    fn counts(&self) -> (u64, u64) {
        let sync = self.scene.sync(&self.bob, &format!("since={}", self.since));
        let entry = &sync["rooms"]["join"][&self.room];
        assert!(entry.get("unread_thread_notifications").is_none());
        pair(&entry["unread_notifications"])
    }

    /// The same of the main thread, and of another.
    fn by_thread(&self, root: &str) -> [(u64, u64); 2] {
        let filter = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
        let since = format!("since={}", self.since);
        let sync = self.scene.filtered(&self.bob, &filter, &since);
        let entry = &sync["rooms"]["join"][&self.room];
        [&entry["unread_notifications"], &entry["unread_thread_notifications"][root]].map(pair)
    }
}

fn pair(counts: &Value) -> (u64, u64) {
    let count = |name: &str| counts[name].as_u64().unwrap_or_default();
    (count("notification_count"), count("highlight_count"))
}

#[test]
fn a_message_is_counted_in_the_sync_that_shows_it() {
    let reading = Reading::new();
    let mut since = reading.since.clone();
    for said in 1..=3 {
        reading.says("hi");
        let sync = reading.scene.sync(&reading.bob, &format!("since={since}"));
        let entry = &sync["rooms"]["join"][&reading.room];
        assert_eq!(entry["timeline"]["events"].as_array().unwrap().len(), 1);
        assert_eq!(pair(&entry["unread_notifications"]), (said, 0));
        since = text(&sync["next_batch"]);
    }
    let alices = reading.scene.sync(&reading.alice, "")["rooms"]["join"][&reading.room].clone();
    assert_eq!(
        pair(&alices["unread_notifications"]),
        (0, 0),
        "nobody is notified of what they say"
    );
    reading.scene.pass(10_000);
    assert_eq!(reading.counts(), (3, 0), "the alarm, which tells again, counts nothing twice");
}

#[test]
fn receipts_read_their_thread_or_all_of_them() {
    let reading = Reading::new();
    let root = reading.says("root");
    let bob = reading.bob.id.as_str();
    let first = reading.relates(&[], "m.thread", &root);
    reading.relates(&[bob], "m.thread", &root);
    let mentions = json!({ "user_ids": [bob] });
    let main = json!({ "msgtype": "m.text", "body": "hi", "m.mentions": mentions });
    let main = reading.say(&reading.alice, &main);
    reading.relates(&[], "m.thread", &root);
    let reference = reading.relates(&[], "m.reference", &root);
    let relation = json!({ "rel_type": "m.annotation", "event_id": reference, "key": "x" });
    let reaction = json!({ "m.relates_to": relation });
    let path = format!("send/m.reaction/{}", reading.scene.number());
    let sent = reading.scene.put(&reading.alice, &reading.room, &path, &reaction).ok();
    assert_eq!(reading.counts(), (6, 2));
    assert_eq!(reading.by_thread(&root), [(3, 1), (3, 1)]);
    reading.receipt("m.read", &root, &json!({ "thread_id": "main" }));
    assert_eq!(reading.by_thread(&root), [(2, 1), (3, 1)]);
    reading.receipt("m.read", &first, &json!({ "thread_id": root }));
    assert_eq!(reading.by_thread(&root), [(2, 1), (2, 1)]);
    reading.receipt("m.read", &main, &json!({}));
    assert_eq!(reading.by_thread(&root), [(1, 0), (1, 0)]);
    reading.receipt("m.read.private", &text(&sent["event_id"]), &json!({ "thread_id": "main" }));
    assert_eq!(reading.by_thread(&root), [(0, 0), (1, 0)]);
    reading.receipt("m.read", &root, &json!({}));
    assert_eq!(reading.counts(), (1, 0), "a receipt that lies behind brings nothing back");
}

#[test]
fn who_speaks_has_read_what_was_said_before() {
    let reading = Reading::new();
    let root = reading.says("hi");
    reading.relates(&[], "m.thread", &root);
    reading.say(&reading.bob, &json!({ "msgtype": "m.text", "body": "ho" }));
    assert_eq!(reading.by_thread(&root), [(0, 0), (1, 0)]);
}

#[test]
fn what_is_redacted_notifies_no_more() {
    let reading = Reading::new();
    let said = reading.says("oops");
    reading.says("hi");
    let path = format!("redact/{}/{}", encode(&said), reading.scene.number());
    reading.scene.put(&reading.alice, &reading.room, &path, &json!({})).ok();
    assert_eq!(reading.counts(), (1, 0));
}

#[test]
fn whom_the_user_ignores_and_what_a_rule_mutes_is_not_counted() {
    let reading = Reading::new();
    let line =
        format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", reading.bob.id);
    let set = |ignored: Value| {
        let list = json!({ "ignored_users": ignored });
        reading.scene.call(Some(&reading.bob), &line, &list).ok();
    };
    set(json!({ &reading.alice.id: {} }));
    reading.says("unheard");
    set(json!({}));
    reading.says("heard");
    assert_eq!(reading.counts(), (1, 0));
    let line = format!("PUT /_matrix/client/v3/pushrules/global/room/{}", encode(&reading.room));
    reading.scene.call(Some(&reading.bob), &line, &json!({ "actions": [] })).ok();
    reading.says("muted");
    assert_eq!(reading.counts(), (1, 0), "the rules of the moment hold");
}

#[test]
fn the_whole_room_is_notified_by_who_may() {
    let reading = Reading::new();
    let room = json!({ "msgtype": "m.text", "body": "all", "m.mentions": { "room": true } });
    reading.say(&reading.alice, &room);
    assert_eq!(reading.counts(), (1, 1));
    let carol = reading.scene.register("carol");
    reading.scene.act(&carol, &reading.room, "join", &json!({})).ok();
    reading.say(&carol, &room);
    assert_eq!(reading.counts(), (2, 1), "Carol's level is too low");
    let named = json!({ "msgtype": "m.text", "body": "you", "m.mentions": { "user_ids": [reading.bob.id] } });
    reading.say(&carol, &named);
    assert_eq!(reading.counts(), (3, 2));
}

#[test]
fn who_comes_has_read_what_was_there_and_who_leaves_has_nothing_unread() {
    let reading = Reading::new();
    let carol = reading.scene.register("carol");
    let counts = |user: &User| {
        let entry = reading.scene.sync(user, "")["rooms"]["join"][&reading.room].clone();
        entry.is_object().then(|| pair(&entry["unread_notifications"]))
    };
    for said in 0..6 {
        reading.says(&format!("before {said}"));
    }
    reading.scene.act(&carol, &reading.room, "join", &json!({})).ok();
    reading.scene.pass(10_000);
    assert_eq!(counts(&carol), Some((0, 0)));
    reading.says("after");
    reading.scene.pass(10_000);
    assert_eq!(counts(&carol), Some((1, 0)));
    reading.scene.act(&carol, &reading.room, "leave", &json!({})).ok();
    reading.scene.act(&carol, &reading.room, "join", &json!({})).ok();
    assert_eq!(counts(&carol), Some((0, 0)));
}

#[test]
fn more_is_counted_than_is_held() {
    let reading = Reading::new();
    let mut said = Vec::new();
    for number in 0..150 {
        said.push(reading.says(&format!("{number}")));
    }
    assert_eq!(reading.counts(), (150, 0));
    reading.receipt("m.read", &said[119], &json!({}));
    assert_eq!(reading.counts(), (30, 0));
    reading.receipt("m.read", &said[149], &json!({}));
    assert_eq!(reading.counts(), (0, 0));
}

#[test]
fn a_thread_is_read_though_much_was_said_elsewhere_since() {
    let reading = Reading::new();
    let root = reading.says("root");
    let in_thread: Vec<String> = (0..5).map(|_| reading.relates(&[], "m.thread", &root)).collect();
    for number in 0..120 {
        reading.says(&format!("{number}"));
    }
    assert_eq!(reading.by_thread(&root), [(121, 0), (5, 0)]);
    reading.receipt("m.read", &in_thread[4], &json!({ "thread_id": root }));
    assert_eq!(reading.by_thread(&root), [(121, 0), (0, 0)]);
}

#[test]
fn a_new_name_reads_nothing_and_an_own_redaction_takes_a_notice_away() {
    let reading = Reading::new();
    let levels = json!({ "users": { &reading.alice.id: 100, &reading.bob.id: 50 } });
    reading.scene.put(&reading.alice, &reading.room, "state/m.room.power_levels", &levels).ok();
    reading.says("oops");
    reading.says("hi");
    let name = format!("PUT /_matrix/client/v3/profile/{}/displayname", reading.bob.id);
    reading.scene.call(Some(&reading.bob), &name, &json!({ "displayname": "Bob" })).ok();
    assert_eq!(reading.counts(), (2, 0));
    let root = reading.says("root");
    let answer = reading.relates(&[], "m.thread", &root);
    let path = format!("redact/{}/1", encode(&answer));
    reading.scene.put(&reading.bob, &reading.room, &path, &json!({})).ok();
    assert_eq!(reading.by_thread(&root), [(0, 0), (0, 0)]);
}

#[test]
fn a_mention_in_a_long_event_is_found() {
    let reading = Reading::new();
    let long = json!({
        "msgtype": "m.text",
        "body": "x".repeat(30_000),
        "m.mentions": { "user_ids": [reading.bob.id] },
    });
    reading.say(&reading.alice, &long);
    assert_eq!(reading.counts(), (1, 1));
}

#[test]
fn no_name_and_no_rules_keep_a_user_from_their_news() {
    let reading = Reading::new();
    let rule = |id: &str, rule: &Value| {
        let line = format!("PUT /_matrix/client/v3/pushrules/global/override/{id}");
        reading.scene.call(Some(&reading.bob), &line, rule).ok();
    };
    let named = json!([{ "kind": "contains_display_name" }]);
    rule("named", &json!({ "conditions": named, "actions": ["notify"] }));
    let member = json!({ "membership": "join", "displayname": "*a".repeat(15_000) });
    let path = format!("state/m.room.member/{}", reading.bob.id);
    reading.scene.put(&reading.bob, &reading.room, &path, &member).ok();
    reading.says("a a a");
    assert_eq!(reading.counts(), (1, 0));
    let pattern = format!("*{}b", "a".repeat(700));
    let slow = json!([{ "kind": "event_match", "key": "content.body", "pattern": pattern }]);
    for number in 0..60 {
        rule(&format!("{number}"), &json!({ "conditions": slow, "actions": ["notify"] }));
    }
    for _ in 0..5 {
        reading.says(&"a".repeat(2_000));
    }
    assert_eq!(reading.counts(), (6, 0));
}

#[test]
fn what_a_stranger_writes_does_not_break_the_news() {
    let reading = Reading::new();
    let line = "PUT /_matrix/client/v3/pushrules/global/content/a";
    let rule = json!({ "pattern": "a", "actions": ["notify", { "set_tweak": "highlight" }] });
    reading.scene.call(Some(&reading.bob), line, &rule).ok();
    // Each word begins like the pattern, and none is it.
    reading.says(&"ab ".repeat(20_000));
    let mut nested = json!("deep");
    for _ in 0..90 {
        nested = json!({ "in": nested });
    }
    reading.say(&reading.alice, &json!({ "msgtype": "m.text", "body": "a", "nested": nested }));
    assert_eq!(reading.counts(), (2, 1));
}

#[test]
fn a_blank_name_is_in_no_text() {
    let reading = Reading::new();
    let rule = json!({
        "conditions": [{ "kind": "contains_display_name" }],
        "actions": ["notify", { "set_tweak": "highlight" }],
    });
    let line = "PUT /_matrix/client/v3/pushrules/global/override/named";
    reading.scene.call(Some(&reading.bob), line, &rule).ok();
    for (name, highlights) in [(" ", 0), ("\u{3000}", 0), ("b", 1)] {
        let member = json!({ "membership": "join", "displayname": name });
        let path = format!("state/m.room.member/{}", reading.bob.id);
        reading.scene.put(&reading.bob, &reading.room, &path, &member).ok();
        reading.says("a b\u{3000}c");
        assert_eq!(reading.counts().1, highlights, "{name:?}");
    }
}

#[test]
fn an_action_of_before_notifies_of_nothing() {
    let reading = Reading::new();
    let line = "PUT /_matrix/client/v3/pushrules/global/override/silent";
    let loud = json!({ "set_tweak": "highlight" });
    for actions in [json!(["dont_notify"]), json!(["coalesce"]), json!(["dont_notify", loud])] {
        let rule = json!({ "conditions": [], "actions": actions });
        reading.scene.call(Some(&reading.bob), line, &rule).ok();
        reading.says("hi");
        assert_eq!(reading.counts(), (0, 0), "{actions}");
    }
}

#[test]
fn what_happens_to_others_is_counted_in_the_sync_that_shows_it() {
    let reading = Reading::new();
    let line = "PUT /_matrix/client/v3/pushrules/global/override/.m.rule.member_event/actions";
    reading.scene.call(Some(&reading.bob), line, &json!({ "actions": ["notify"] })).ok();
    let carol = reading.scene.register("carol");
    reading.scene.act(&carol, &reading.room, "join", &json!({})).ok();
    let mut since = reading.since.clone();
    for passed in 0..20 {
        let sync = reading.scene.sync(&reading.bob, &format!("since={since}"));
        let entry = &sync["rooms"]["join"][&reading.room];
        let shown = entry["timeline"]["events"].as_array().map_or(0, Vec::len);
        if shown > 0 {
            assert_eq!((shown, pair(&entry["unread_notifications"])), (1, (1, 0)));
            return;
        }
        since = text(&sync["next_batch"]);
        reading.scene.pass(100 * passed);
    }
    panic!("Carol never comes");
}

#[test]
fn who_invites_has_no_power_that_is_known() {
    let reading = Reading::new();
    for id in [".m.rule.invite_for_me", ".m.rule.member_event"] {
        let line = format!("PUT /_matrix/client/v3/pushrules/global/override/{id}/enabled");
        reading.scene.call(Some(&reading.bob), &line, &json!({ "enabled": false })).ok();
    }
    let invite = |mentions: Value| {
        let room = reading.scene.room(&reading.alice, &json!({}));
        let content = json!({ "membership": "invite", "m.mentions": mentions });
        let path = format!("state/m.room.member/{}", reading.bob.id);
        reading.scene.put(&reading.alice, &room, &path, &content).ok();
        let path = "/_matrix/client/v3/notifications";
        reading.scene.get(&reading.bob, path).ok()["notifications"].as_array().unwrap().len()
    };
    assert_eq!(invite(json!({ "room": true })), 0);
    assert_eq!(invite(json!({ "user_ids": [reading.bob.id] })), 1);
}
