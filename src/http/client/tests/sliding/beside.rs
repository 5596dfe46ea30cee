//! What does a client see beside rooms?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode};

use super::*;
use crate::http::client::tests::one_server_with;

fn set(scene: &Scene, user: &User, path: &str, content: &Value) {
    let line = format!("PUT /_matrix/client/v3/user/{}/{path}", encode(&user.id));
    scene.call(Some(user), &line, content).ok();
}

/// The types of items.
fn types(items: &Value) -> Vec<String> {
    items.as_array().into_iter().flatten().map(|item| text(&item["type"])).collect()
}

#[test]
fn account_data_comes_whole_and_then_as_it_changes() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    set(&scene, &alice, "account_data/org.x", &json!({ "a": 1 }));
    set(&scene, &alice, &format!("rooms/{room}/account_data/org.y"), &json!({ "a": 1 }));
    let mut client = Client::of(&scene, &alice, 1);
    client.body["extensions"] = json!({ "account_data": { "enabled": true } });
    let first = client.next()["extensions"]["account_data"].clone();
    assert_eq!(types(&first["global"]), ["m.push_rules", "org.x"]);
    assert_eq!(types(&first["rooms"][&room]), ["org.y"]);
    assert_eq!(client.next()["extensions"], json!({}));
    set(&scene, &alice, &format!("rooms/{room}/account_data/org.z"), &json!({ "a": 1 }));
    let second = client.next()["extensions"]["account_data"].clone();
    assert_eq!(
        (types(&second["global"]).len(), types(&second["rooms"][&room])),
        (0, vec!["org.z".into()])
    );
    // What changes in a room that is not seen comes when it is.
    client.list()["ranges"] = json!([]);
    set(&scene, &alice, &format!("rooms/{room}/account_data/org.y"), &json!({ "a": 2 }));
    assert_eq!(client.next()["extensions"], json!({}));
    client.list()["ranges"] = json!([[0, 9]]);
    let back = client.next()["extensions"]["account_data"]["rooms"][&room].clone();
    assert_eq!(types(&back), ["org.y", "org.z"]);
    assert_eq!(back[0]["content"]["a"], 2);
    // So does that it was removed.
    client.list()["ranges"] = json!([]);
    set(&scene, &alice, &format!("rooms/{room}/account_data/org.y"), &json!({}));
    assert_eq!(client.next()["extensions"], json!({}));
    client.list()["ranges"] = json!([[0, 9]]);
    let back = client.next()["extensions"]["account_data"]["rooms"][&room].clone();
    assert_eq!(back[0], json!({ "type": "org.y", "content": {} }));
}

#[test]
fn who_accepts_an_invite_gets_the_receipts_of_what_is_shown() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat", "invite": [bob.id] }));
    let event = scene.say(&alice, &room, "one");
    let line = format!("POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{}", encode(&event));
    let receipts = |client: &mut Client<'_>| {
        client.next()["extensions"]["receipts"]["rooms"][&room]["content"].clone()
    };
    scene.call(Some(&alice), &line, &json!({})).ok();
    settle(&scene);
    let mut client = Client::of(&scene, &bob, 5);
    client.body["extensions"] = json!({ "receipts": { "enabled": true } });
    assert!(receipts(&mut client).is_null());
    for _ in 0..2 {
        scene.act(&bob, &room, "join", &json!({})).ok();
        settle(&scene);
        assert!(receipts(&mut client)[&event]["m.read"][&alice.id].is_object());
        // The same for who comes back.
        scene.act(&bob, &room, "leave", &json!({})).ok();
        settle(&scene);
        client.next();
    }
}

#[test]
fn receipts_and_typing_are_told_of_the_rooms_that_are_asked_for() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let read = |event: &str| {
        let line = format!("POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{}", encode(event));
        scene.call(Some(&bob), &line, &json!({})).ok();
        settle(&scene);
    };
    let old = scene.say(&alice, &room, "one");
    read(&old);
    let line = format!("PUT /_matrix/client/v3/rooms/{room}/typing/{}", encode(&bob.id));
    let mut client = Client::of(&scene, &alice, 1);
    let of_rooms = json!({ "enabled": true, "lists": [], "rooms": ["*"] });
    client.body["extensions"] = json!({ "receipts": of_rooms, "typing": of_rooms });
    assert_eq!(client.next()["extensions"], json!({}));
    // Who opens a room gets what it has of receipts.
    let want = json!({ "timeline_limit": 1, "required_state": [] });
    client.body["room_subscriptions"] = json!({ &*room: want });
    let told = client.next();
    let receipts = &told["extensions"]["receipts"]["rooms"][&room];
    assert_eq!(receipts["type"], "m.receipt", "{told}");
    assert!(receipts["content"][&old]["m.read"][&bob.id].is_object());
    let new = scene.say(&alice, &room, "two");
    read(&new);
    scene.call(Some(&bob), &line, &json!({ "typing": true, "timeout": 30_000 })).ok();
    settle(&scene);
    let told = client.next()["extensions"].clone();
    let content = told["receipts"]["rooms"][&room]["content"].as_object().unwrap();
    assert_eq!(content.keys().collect::<Vec<_>>(), [&new]);
    let users = json!({ "user_ids": [bob.id] });
    assert_eq!(told["typing"]["rooms"][&room], json!({ "type": "m.typing", "content": users }));
    scene.call(Some(&bob), &line, &json!({ "typing": false })).ok();
    settle(&scene);
    let told = client.next();
    assert_eq!(told["extensions"]["typing"]["rooms"][&room]["content"]["user_ids"], json!([]));
    assert_eq!(told["rooms"], json!({}));
}

#[test]
fn messages_to_the_device_come_until_it_says_that_it_has_them() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let mut client = Client::of(&scene, &alice, 1);
    client.body["extensions"] =
        json!({ "to_device": { "enabled": true }, "e2ee": { "enabled": true } });
    let first = client.next()["extensions"].clone();
    assert_eq!(first["e2ee"]["device_one_time_keys_count"]["signed_curve25519"], 0);
    let since = text(&first["to_device"]["next_batch"]);
    let line = "PUT /_matrix/client/v3/sendToDevice/org.x/1";
    let messages = json!({ "messages": { &alice.id: { "*": { "a": 1 } } } });
    scene.call(Some(&bob), line, &messages).ok();
    settle(&scene);
    client.body["extensions"]["to_device"]["since"] = json!(since);
    for _ in 0..2 {
        let told = client.next()["extensions"]["to_device"].clone();
        assert_eq!(told["events"][0]["content"]["a"], 1);
        assert_ne!(told["next_batch"], json!(since));
    }
    let upto = client.next()["extensions"]["to_device"]["next_batch"].clone();
    // A token of `/sync` may say that messages are left over from before it.
    let behind = format!("{}_{}", text(&upto), since.trim_start_matches('s'));
    client.body["extensions"]["to_device"]["since"] = json!(behind);
    assert_eq!(client.next()["extensions"]["to_device"]["events"][0]["content"]["a"], 1);
    client.body["extensions"]["to_device"]["since"] = upto;
    assert_eq!(client.next()["extensions"]["to_device"]["events"], json!([]));
}

#[test]
fn whose_devices_changed_is_told() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    settle(&scene);
    let mut client = Client::of(&scene, &alice, 1);
    client.body["extensions"] = json!({ "e2ee": { "enabled": true } });
    assert!(client.next()["extensions"]["e2ee"].get("device_lists").is_none());
    scene.act(&bob, &room, "join", &json!({})).ok();
    settle(&scene);
    let lists = client.next()["extensions"]["e2ee"]["device_lists"].clone();
    assert_eq!(lists, json!({ "changed": [bob.id], "left": [] }));
    scene.act(&bob, &room, "leave", &json!({})).ok();
    settle(&scene);
    let lists = client.next()["extensions"]["e2ee"]["device_lists"].clone();
    assert_eq!(lists, json!({ "changed": [], "left": [bob.id] }));
}

#[test]
fn what_is_said_of_presence_while_a_client_waits_stays() {
    let scene = one_server_with(&[("PRESENCE", "on")]);
    let alice = scene.register("alice");
    let mut client = Client::of(&scene, &alice, 1);
    client.next();
    let query = format!("pos={}&timeout=20000&set_presence=online", client.pos.as_deref().unwrap());
    let body = client.body.to_string();
    let waits = alice.server.request(alice.request(("POST", &format!("{SYNC}?{query}")), body));
    let status = format!("/_matrix/client/v3/presence/{}/status", encode(&alice.id));
    let away = json!({ "presence": "unavailable" }).to_string();
    let says = alice.server.request(alice.request(("PUT", &status), away));
    let world = scene.server.world();
    let later = async {
        world.sleep(std::time::Duration::from_secs(5)).await;
        says.await.unwrap()
    };
    let both = futures_util::future::join(waits, later);
    let (waited, said) = scene.simulation.run(both);
    assert_eq!([waited.unwrap().status(), said.status()], [200, 200]);
    assert_eq!(scene.get(&alice, &status).ok()["presence"], "unavailable");
}
