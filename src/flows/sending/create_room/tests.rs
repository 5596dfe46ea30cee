//! Which events does a new room begin with, and what may a client choose of them?

use ruma::{owned_user_id, user_id};
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_protocol::room_version::RoomVersion;

use super::{
    InitialState, NewRoom, Preset, Unmade, create_content, events::after_create, letter,
    power::levels,
};

fn new(version: &str, preset: Preset) -> NewRoom {
    NewRoom {
        creator: owned_user_id!("@alice:example.org"),
        version: RoomVersion::of(version).unwrap(),
        preset,
        creation_content: Map::new(),
        levels_override: Map::new(),
        initial_state: Vec::new(),
        alias: None,
        name: None,
        topic: None,
        invite: vec![owned_user_id!("@bob:example.org")],
        is_direct: false,
        published: false,
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Types and contents of what follows the create event.
fn sequence(new: &NewRoom) -> Vec<(String, Value)> {
    let invited = new.invite.iter().map(|user| (user.clone(), Map::new())).collect();
    let drafts = after_create(new, Map::new(), invited).unwrap();
    drafts
        .into_iter()
        .map(|draft| (draft.event_type, serde_json::from_str(draft.content.get()).unwrap()))
        .collect()
}

#[test]
fn the_events_come_in_the_order_of_the_specification() {
    let mut new = new("11", Preset::PrivateChat);
    new.alias = Some("#a:example.org".try_into().unwrap());
    new.name = Some("Name".to_owned());
    new.topic = Some("Topic".to_owned());
    new.initial_state = vec![InitialState {
        event_type: "org.example.own".to_owned(),
        state_key: String::new(),
        content: to_raw_value(&json!({})).unwrap(),
    }];
    let types: Vec<String> = sequence(&new).into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(
        types,
        [
            "m.room.member",
            "m.room.power_levels",
            "m.room.canonical_alias",
            "m.room.join_rules",
            "m.room.history_visibility",
            "m.room.guest_access",
            "org.example.own",
            "m.room.name",
            "m.room.topic",
            "m.room.member",
        ]
    );
}

#[test]
fn the_clients_own_state_takes_the_place_of_the_presets() {
    let mut new = new("11", Preset::PublicChat);
    new.initial_state = vec![InitialState {
        event_type: "m.room.join_rules".to_owned(),
        state_key: String::new(),
        content: to_raw_value(&json!({ "join_rule": "knock" })).unwrap(),
    }];
    let rules: Vec<Value> = sequence(&new)
        .into_iter()
        .filter(|(kind, _)| kind == "m.room.join_rules")
        .map(|(_, rules)| rules)
        .collect();
    assert_eq!(rules, [json!({ "join_rule": "knock" })]);
}

#[test]
fn a_direct_chat_is_marked_in_the_invite() {
    let mut new = new("11", Preset::TrustedPrivateChat);
    new.is_direct = true;
    assert_eq!(
        sequence(&new).last().unwrap().1,
        json!({ "membership": "invite", "is_direct": true })
    );
}

#[test]
fn trusted_guests_of_older_rooms_have_the_creators_power() {
    let users = json!({ "@alice:example.org": 100, "@bob:example.org": 100 });
    assert_eq!(levels(&new("11", Preset::TrustedPrivateChat)).unwrap()["users"], users);
    assert_eq!(
        levels(&new("11", Preset::PrivateChat)).unwrap()["users"],
        json!({ "@alice:example.org": 100 })
    );
}

#[test]
fn creators_of_newer_rooms_have_no_number() {
    let levels = levels(&new("12", Preset::TrustedPrivateChat)).unwrap();
    assert_eq!(levels["users"], json!({}));
    assert_eq!(levels["events"]["m.room.tombstone"], 150);
}

#[test]
fn trusted_guests_of_newer_rooms_become_creators() {
    let mut new = new("12", Preset::TrustedPrivateChat);
    new.creation_content = object(
        json!({ "additional_creators": ["@carol:example.org", "@bob:example.org", "@alice:example.org"] }),
    );
    let content = create_content(&new).unwrap();
    assert_eq!(content["additional_creators"], json!(["@carol:example.org", "@bob:example.org"]));
}

#[test]
fn additional_creators_must_be_users() {
    for creators in [json!("@bob:example.org"), json!([1]), json!(["bob"])] {
        let mut new = new("12", Preset::PrivateChat);
        new.creation_content = object(json!({ "additional_creators": creators }));
        assert!(matches!(create_content(&new), Err(Unmade::Creators)));
    }
}

#[test]
fn version_and_creator_are_not_the_clients_to_choose() {
    for (version, creator) in [("10", json!("@alice:example.org")), ("11", Value::Null)] {
        let mut new = new(version, Preset::PrivateChat);
        new.creation_content = object(
            json!({ "creator": "@eve:example.org", "room_version": "6", "m.federate": false }),
        );
        let content = Value::Object(create_content(&new).unwrap());
        assert_eq!(content["room_version"], version);
        assert_eq!(content["creator"], creator);
        assert_eq!(content["m.federate"], false);
    }
}

#[test]
fn the_clients_levels_replace_ours_field_by_field() {
    let mut new = new("11", Preset::PrivateChat);
    new.levels_override = object(json!({ "invite": 50, "events": { "m.room.name": 0 } }));
    let levels = levels(&new).unwrap();
    assert_eq!(levels["invite"], 50);
    assert_eq!(levels["events"], json!({ "m.room.name": 0 }));
    assert_eq!(levels["users"][user_id!("@alice:example.org").as_str()], 100);
}

#[test]
fn levels_among_the_clients_state_are_the_third_event_with_what_it_overrides() {
    let mut new = new("11", Preset::PrivateChat);
    let own = json!({ "users": { "@alice:example.org": 100 }, "kick": 75, "invite": 0 });
    new.initial_state = vec![InitialState {
        event_type: "m.room.power_levels".to_owned(),
        state_key: String::new(),
        content: to_raw_value(&own).unwrap(),
    }];
    new.levels_override = object(json!({ "invite": 50 }));
    let events = sequence(&new);
    let mut expected = own;
    expected["invite"] = json!(50);
    assert_eq!(events[1], ("m.room.power_levels".to_owned(), expected));
    let kinds = events.iter().filter(|(kind, _)| kind == "m.room.power_levels");
    assert_eq!(kinds.count(), 1);
}

#[test]
fn an_id_has_letters_only() {
    assert!((0..=255).all(|byte| letter(byte).is_ascii_alphabetic()));
}
