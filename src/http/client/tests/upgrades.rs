//! What does a room become that is replaced by one of another version?
//! ([room upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades))

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, encode, text};

use super::one_server;

struct Old {
    scene: Scene,
    alice: User,
    bob: User,
    room: String,
}

impl Old {
    fn new(version: &str) -> Self {
        let scene = one_server();
        let (alice, bob) = (scene.register("alice"), scene.register("bob"));
        let request = json!({
            "room_version": version,
            "preset": "public_chat",
            "name": "Kitchen",
            "room_alias_name": "kitchen",
            "creation_content": { "type": "org.example.kind" },
        });
        let room = scene.room(&alice, &request);
        scene.act(&bob, &room, "join", &json!({})).ok();
        Self { scene, alice, bob, room }
    }

    fn replace(&self, user: &User, version: &str) -> Answer {
        self.scene.act(user, &self.room, "upgrade", &json!({ "new_version": version }))
    }

    fn replaced(&self, version: &str) -> String {
        text(&self.replace(&self.alice, version).ok()["replacement_room"])
    }

    fn state(&self, room: &str, kind: &str) -> Answer {
        self.scene.get(&self.alice, &format!("/_matrix/client/v3/rooms/{room}/state/{kind}"))
    }
}

#[test]
fn the_new_room_has_the_state_and_the_old_one_leads_there() {
    for (from, to) in [("10", "11"), ("11", "12"), ("12", "12"), ("12", "11")] {
        let old = Old::new(from);
        let carol = format!("@carol:{}", "example.org");
        old.scene.act(&old.alice, &old.room, "ban", &json!({ "user_id": carol })).ok();
        let said = old.scene.say(&old.alice, &old.room, "last");
        let new = old.replaced(to);
        let create = old.state(&new, "m.room.create").ok();
        let mut predecessor = json!({ "room_id": old.room });
        if to != "12" {
            predecessor["event_id"] = json!(said);
        }
        assert_eq!((&create["predecessor"], &create["room_version"]), (&predecessor, &json!(to)));
        assert_eq!(create["type"], "org.example.kind");
        assert_eq!(old.state(&new, "m.room.name").ok()["name"], "Kitchen");
        assert_eq!(old.state(&new, "m.room.join_rules").ok()["join_rule"], "public");
        let ban = old.state(&new, &format!("m.room.member/{carol}")).ok();
        assert_eq!(ban["membership"], "ban");
        let tombstone = old.state(&old.room, "m.room.tombstone").ok();
        assert_eq!(tombstone["replacement_room"], json!(new));
        let alias =
            old.scene.get(&old.alice, "/_matrix/client/v3/directory/room/%23kitchen:example.org");
        assert_eq!(alias.ok()["room_id"], json!(new));
        let alias = "#kitchen:example.org";
        assert_eq!(old.state(&new, "m.room.canonical_alias").ok()["alias"], alias);
        assert!(old.state(&old.room, "m.room.canonical_alias").ok().get("alias").is_none());
        let levels = old.state(&new, "m.room.power_levels").ok();
        let own = levels["users"].get(&old.alice.id);
        assert_eq!(own.is_some(), to != "12", "{from} to {to}: {levels}");
        let message = json!({ "msgtype": "m.text", "body": "late" });
        let late = old.scene.put(&old.bob, &old.room, "send/m.room.message/1", &message);
        late.refused(403, "M_FORBIDDEN");
        old.scene.act(&old.bob, &new, "join", &json!({})).ok();
        old.scene.say(&old.bob, &new, "first");
    }
}

#[test]
fn who_may_not_replace_the_room_makes_none() {
    let old = Old::new("11");
    old.replace(&old.bob, "12").refused(403, "M_FORBIDDEN");
    let carol = old.scene.register("carol");
    old.replace(&carol, "12").refused(403, "M_FORBIDDEN");
    old.replace(&old.alice, "nonsense").refused(400, "M_UNSUPPORTED_ROOM_VERSION");
    old.state(&old.room, "m.room.tombstone").refused(404, "M_NOT_FOUND");
    let unknown = Old { room: "!unknown:example.org".to_owned(), ..old };
    unknown.replace(&unknown.alice, "12").refused(404, "M_NOT_FOUND");
}

#[test]
fn a_moderator_who_may_replace_the_room_gets_no_power_by_it() {
    let old = Old::new("10");
    let mut levels = old.state(&old.room, "m.room.power_levels").ok();
    levels["users"][&old.bob.id] = json!(50);
    levels["events"]["m.room.tombstone"] = json!(50);
    let path = "state/m.room.power_levels";
    old.scene.put(&old.alice, &old.room, path, &levels).ok();
    let answer = old.replace(&old.bob, "11").ok();
    let new = text(&answer["replacement_room"]);
    let path = format!("/_matrix/client/v3/rooms/{new}/state/m.room.power_levels");
    assert_eq!(old.scene.get(&old.bob, &path).ok(), levels);
}

#[test]
fn a_room_has_one_replacement() {
    let old = Old::new("11");
    let list = |room: &str| format!("/_matrix/client/v3/directory/list/room/{room}");
    let public = json!({ "visibility": "public" });
    old.scene.call(Some(&old.alice), &format!("PUT {}", list(&old.room)), &public).ok();
    let new = old.replaced("12");
    assert_eq!(old.replaced("12"), new, "a client that got no answer asks again");
    let listed = |room: &str| old.scene.get(&old.alice, &list(room)).ok()["visibility"].clone();
    assert_eq!([listed(&old.room), listed(&new)], ["private", "public"]);
}

#[test]
fn levels_of_older_rooms_go_over_as_numbers() {
    let old = Old::new("9");
    let state = |room: &str| old.state(room, "m.room.power_levels").ok();
    let ban = json!({ "user_id": old.bob.id });
    let mut levels = state(&old.room);
    levels["users"][&old.bob.id] = json!(99);
    old.scene.put(&old.alice, &old.room, "state/m.room.power_levels", &levels).ok();
    old.scene.act(&old.alice, &old.room, "ban", &ban).ok();
    let new = old.replaced("11");
    assert_eq!(state(&new)["users"], levels["users"]);
    assert_eq!(old.state(&new, &format!("m.room.member/{}", old.bob.id)).ok()["membership"], "ban");
}

#[test]
fn an_additional_creator_is_no_creator_where_the_version_knows_none() {
    for (version, users) in [("12", false), ("11", true)] {
        let old = Old::new("11");
        let mut levels = old.state(&old.room, "m.room.power_levels").ok();
        levels["users"][&old.bob.id] = json!(100);
        old.scene.put(&old.alice, &old.room, "state/m.room.power_levels", &levels).ok();
        let request = json!({ "new_version": version, "additional_creators": [old.bob.id] });
        let answer = old.scene.act(&old.alice, &old.room, "upgrade", &request).ok();
        let new = text(&answer["replacement_room"]);
        let create = old.state(&new, "m.room.create").ok();
        assert_eq!(create.get("additional_creators").is_some(), !users);
        let levels = old.state(&new, "m.room.power_levels").ok();
        assert_eq!(levels["users"].get(&old.bob.id).is_some(), users);
    }
}

#[test]
fn what_a_user_has_set_for_the_room_goes_over_when_they_join() {
    let old = Old::new("11");
    let bob = &old.bob;
    let data = |kind: &str, room: &str| {
        let room = if room.is_empty() { String::new() } else { format!("/rooms/{}", encode(room)) };
        format!("/_matrix/client/v3/user/{}{room}/account_data/{kind}", bob.id)
    };
    let set = |line: &str, content: &Value| {
        old.scene.call(Some(bob), &format!("PUT {line}"), content).ok();
    };
    set(&data("m.tag", &old.room), &json!({ "tags": { "m.favourite": {} } }));
    set(&data("m.direct", ""), &json!({ &old.alice.id: ["!x:y", old.room], "odd": 1 }));
    let rule = |room: &str| format!("/_matrix/client/v3/pushrules/global/room/{}", encode(room));
    set(&rule(&old.room), &json!({ "actions": [] }));
    let new = old.replaced("12");
    let get = |path: &str| old.scene.get(bob, path);
    get(&rule(&new)).refused(404, "M_NOT_FOUND");
    let since = text(&old.scene.sync(bob, "")["next_batch"]);
    old.scene.act(bob, &new, "join", &json!({})).ok();
    assert_eq!(get(&data("m.tag", &new)).ok()["tags"], json!({ "m.favourite": {} }));
    let direct = get(&data("m.direct", "")).ok();
    assert_eq!(direct, json!({ &old.alice.id: ["!x:y", old.room, new], "odd": 1 }));
    assert_eq!(get(&rule(&new)).ok()["actions"], json!([]));
    assert!(get(&rule(&old.room)).is_ok());
    let news = old.scene.sync(bob, &format!("since={since}"));
    let kinds: Vec<&str> = news["account_data"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["m.push_rules", "m.direct"]);
    let tags = &news["rooms"]["join"][&new]["account_data"]["events"][0];
    assert_eq!(tags["type"], "m.tag");
    set(&data("m.tag", &new), &json!({ "tags": {} }));
    old.scene.act(bob, &new, "leave", &json!({})).ok();
    old.scene.act(bob, &new, "join", &json!({})).ok();
    assert_eq!(get(&data("m.tag", &new)).ok()["tags"], json!({}), "what is set anew stays");
}
