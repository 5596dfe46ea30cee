//! Which users does a user find, and what are they shown of them?
//! ([user directory](https://spec.matrix.org/v1.19/client-server-api/#user-directory))

use serde_json::{Value, json};
use tombolo_support::{PASSWORD, Scene, User, encode, text};

use super::one_server;

const SEARCH: &str = "POST /_matrix/client/v3/user_directory/search";

fn search(scene: &Scene, user: &User, body: &Value) -> Value {
    scene.call(Some(user), SEARCH, body).ok()
}

fn found(scene: &Scene, user: &User, term: &str) -> Vec<String> {
    let answer = search(scene, user, &json!({ "search_term": term }));
    answer["results"].as_array().unwrap().iter().map(|user| text(&user["user_id"])).collect()
}

fn name(scene: &Scene, user: &User, name: &str) {
    let line = format!("PUT /_matrix/client/v3/profile/{}/displayname", encode(&user.id));
    scene.call(Some(user), &line, &json!({ "displayname": name })).ok();
}

/// Lets the copies follow.
fn settle(scene: &Scene) {
    scene.pass(5_000);
}

#[test]
fn a_user_finds_who_is_in_an_open_room_or_shares_one_with_them() {
    let scene = one_server();
    let [alice, bob, carol, eve] =
        ["alice", "bob", "carol", "eve"].map(|name| scene.register(name));
    scene.room(&alice, &json!({ "preset": "public_chat" }));
    let closed = scene.room(&bob, &json!({ "invite": [carol.id, eve.id] }));
    scene.act(&carol, &closed, "join", &json!({})).ok();
    settle(&scene);
    for (user, finds) in [(&eve, [true, false, false]), (&carol, [true, true, false])] {
        for (term, finds) in ["alice", "bob", "eve"].iter().zip(finds) {
            assert_eq!(!found(&scene, user, term).is_empty(), finds, "{} of {term}", user.id);
        }
    }
    assert!(found(&scene, &carol, "carol").is_empty(), "nobody finds themselves");
    scene.act(&carol, &closed, "leave", &json!({})).ok();
    settle(&scene);
    assert!(found(&scene, &carol, "bob").is_empty());
}

#[test]
fn a_room_that_is_open_no_more_shows_its_members_no_more() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    settle(&scene);
    assert_eq!(found(&scene, &bob, "alice"), [&*alice.id]);
    scene.set(&alice, &room, ("m.room.join_rules", ""), &json!({ "join_rule": "invite" }));
    settle(&scene);
    assert!(found(&scene, &bob, "alice").is_empty());
    let readable = json!({ "history_visibility": "world_readable" });
    scene.set(&alice, &room, ("m.room.history_visibility", ""), &readable);
    settle(&scene);
    assert_eq!(found(&scene, &bob, "alice"), [&*alice.id]);
}

#[test]
fn a_name_that_somebody_has_in_a_private_room_is_found_nowhere() {
    let scene = one_server();
    let [alice, bob, eve] = ["alice", "bob", "eve"].map(|name| scene.register(name));
    name(&scene, &alice, "Public");
    scene.room(&alice, &json!({ "preset": "public_chat" }));
    let closed = scene.room(&bob, &json!({ "invite": [alice.id] }));
    scene.act(&alice, &closed, "join", &json!({ "displayname": "Hidden" })).ok();
    let private = json!({ "membership": "join", "displayname": "Hidden" });
    scene.set(&alice, &closed, ("m.room.member", &alice.id), &private);
    settle(&scene);
    for user in [&bob, &eve] {
        assert!(found(&scene, user, "Hidden").is_empty());
        let expected = json!([{ "user_id": alice.id, "display_name": "Public" }]);
        for term in ["Public", "pub", "ali", "@ALICE", &alice.id] {
            let answer = search(&scene, user, &json!({ "search_term": term }));
            assert_eq!(answer, json!({ "results": expected, "limited": false }), "{term}");
        }
    }
}

#[test]
fn names_are_found_in_any_script_and_case_and_no_pattern_is_one() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    scene.room(&alice, &json!({ "preset": "public_chat" }));
    settle(&scene);
    for (given, term) in [
        ("ДМИТРИЙ", "митр"),
        ("Äpfel 100%_x", "äPFEL"),
        ("山田太郎", "太郎"),
        ("a'b\"c\\", "'B\"C\\"),
    ] {
        name(&scene, &alice, given);
        assert_eq!(found(&scene, &bob, term), [&*alice.id], "{given}");
    }
    for term in ["%", "_", "*", "", "   ", "@", "a%b"] {
        assert!(found(&scene, &bob, term).is_empty(), "{term}");
    }
    let long = json!({ "search_term": "x".repeat(10_000) });
    scene.call(Some(&bob), SEARCH, &long).refused(400, "M_INVALID_PARAM");
}

#[test]
fn who_is_called_exactly_so_comes_first_and_a_limit_is_said() {
    let scene = one_server();
    let names = ["ann", "anna", "annabel", "zoe"].map(|name| scene.register(name));
    for user in &names {
        scene.room(user, &json!({ "preset": "public_chat" }));
    }
    name(&scene, &names[3], "Anna");
    settle(&scene);
    let bob = scene.register("bob");
    let ids =
        |indexes: &[usize]| indexes.iter().map(|at| names[*at].id.clone()).collect::<Vec<_>>();
    assert_eq!(found(&scene, &bob, "anna"), ids(&[1, 3, 2]));
    let two = search(&scene, &bob, &json!({ "search_term": "ann", "limit": 2 }));
    assert_eq!((two["results"].as_array().unwrap().len(), &two["limited"]), (2, &json!(true)));
    let all = search(&scene, &bob, &json!({ "search_term": "ann", "limit": 999_999_999 }));
    assert_eq!((all["results"].as_array().unwrap().len(), &all["limited"]), (4, &json!(false)));
    for body in [json!({}), json!({ "search_term": 1 }), json!({ "search_term": "a", "limit": -1 })]
    {
        scene.call(Some(&bob), SEARCH, &body).refused(400, "M_BAD_JSON");
    }
}

#[test]
fn a_deactivated_user_is_not_found() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    scene.room(&alice, &json!({ "preset": "public_chat" }));
    settle(&scene);
    let auth = json!({ "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": alice.id } });
    let line = "POST /_matrix/client/v3/account/deactivate";
    scene.call(Some(&alice), line, &json!({ "auth": auth })).ok();
    assert!(found(&scene, &bob, "alice").is_empty());
}

#[test]
fn shared_rooms_are_those_to_which_both_are_joined() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let mutual =
        |query: &str| scene.get(&alice, &format!("/_matrix/client/v1/mutual_rooms?{query}"));
    let with_bob = format!("user_id={}", encode(&bob.id));
    let nothing = json!({ "joined": [], "count": 0 });
    assert_eq!(mutual(&with_bob).ok(), nothing);
    let mut rooms: Vec<String> =
        (0..101).map(|_| scene.room(&alice, &json!({ "preset": "public_chat" }))).collect();
    for room in &rooms {
        scene.act(&bob, room, "join", &json!({})).ok();
    }
    scene.room(&alice, &json!({ "invite": [bob.id] }));
    settle(&scene);
    rooms.sort();
    let first = mutual(&with_bob).ok();
    assert_eq!((&first["joined"], &first["count"]), (&json!(rooms[..100]), &json!(101)));
    let next = text(&first["next_batch"]);
    let second = mutual(&format!("{with_bob}&from={next}")).ok();
    assert_eq!(second, json!({ "joined": rooms[100..], "count": 101 }));
    assert_eq!(mutual("user_id=%40nobody%3Aexample.org").ok(), nothing);
    mutual("").refused(400, "M_MISSING_PARAM");
    mutual("user_id=nonsense").refused(400, "M_INVALID_PARAM");
    mutual(&format!("user_id={}", encode(&alice.id))).refused(400, "M_INVALID_PARAM");
    mutual(&format!("{with_bob}&from=zzz")).refused(400, "M_INVALID_PARAM");
}
