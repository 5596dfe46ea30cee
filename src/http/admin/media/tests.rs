//! What becomes of media that an operator quarantines or deletes?

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_support::{Pair, Scene, User, encode};

use crate::app::Tombolo;

fn server_with_admin() -> (Scene, User) {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let admin = scene.register("admin");
    let update = "UPDATE accounts SET admin = 1 WHERE localpart = 'admin'";
    scene.server.d1().run(update, &[]).unwrap();
    (scene, admin)
}

fn upload(scene: &Scene, user: &User, content: &str) -> String {
    let answer = scene.send(Some(user), "POST /_matrix/media/v3/upload", content.to_owned()).ok();
    answer["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
}

fn read(scene: &Scene, user: &User, media: &str) -> u16 {
    scene.get(user, &format!("/_matrix/client/v1/media/download/{media}")).status
}

#[test]
fn what_is_quarantined_is_not_found_under_any_name() {
    let (scene, admin) = server_with_admin();
    let alice = scene.register("alice");
    let (first, second) = (upload(&scene, &alice, "bad"), upload(&scene, &alice, "bad"));
    let other = upload(&scene, &alice, "good");
    let line = format!("POST /_synapse/admin/v1/media/quarantine/{first}");
    scene.call(Some(&alice), &line, &Value::Null).refused(403, "M_FORBIDDEN");
    scene.call(Some(&admin), &line, &Value::Null).ok();
    let third = upload(&scene, &alice, "bad");
    for media in [&first, &second, &third] {
        assert_eq!(read(&scene, &alice, media), 404);
    }
    assert_eq!(read(&scene, &alice, &other), 200);
    let line = format!("POST /_synapse/admin/v1/media/unquarantine/{third}");
    scene.call(Some(&admin), &line, &Value::Null).ok();
    assert_eq!((read(&scene, &alice, &first), read(&scene, &alice, &third)), (200, 200));
    let line = "POST /_synapse/admin/v1/media/quarantine/example.org/unknown";
    scene.call(Some(&admin), line, &Value::Null).refused(404, "M_NOT_FOUND");
}

#[test]
fn what_is_deleted_is_gone() {
    let (scene, admin) = server_with_admin();
    let alice = scene.register("alice");
    let media = upload(&scene, &alice, "a");
    let line = format!("DELETE /_synapse/admin/v1/media/{media}");
    scene.call(Some(&alice), &line, &Value::Null).refused(403, "M_FORBIDDEN");
    let deleted = scene.call(Some(&admin), &line, &Value::Null).ok();
    assert_eq!(deleted["total"], 1);
    assert!(read(&scene, &alice, &media) == 404 && scene.server.r2_keys().is_empty());
    scene.call(Some(&admin), &line, &Value::Null).refused(404, "M_NOT_FOUND");
    let line = "DELETE /_synapse/admin/v1/media/else.where/a";
    scene.call(Some(&admin), line, &Value::Null).refused(400, "M_UNKNOWN");
}

#[test]
fn nothing_is_uploaded_under_an_id_that_is_quarantined() {
    let (scene, admin) = server_with_admin();
    let alice = scene.register("alice");
    let known = upload(&scene, &alice, "known");
    let created = scene.send(Some(&alice), "POST /_matrix/media/v1/create", String::new()).ok();
    let media = created["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap();
    let line = format!("POST /_synapse/admin/v1/media/quarantine/{media}");
    scene.call(Some(&admin), &line, &Value::Null).ok();
    let put = || {
        let line = format!("PUT /_matrix/media/v3/upload/{media}");
        scene.send(Some(&alice), &line, "known".to_owned())
    };
    put().refused(404, "M_NOT_FOUND");
    // Nor does who has the same content lose it.
    assert_eq!((read(&scene, &alice, media), read(&scene, &alice, &known)), (404, 200));
    let line = format!("POST /_synapse/admin/v1/media/unquarantine/{media}");
    scene.call(Some(&admin), &line, &Value::Null).ok();
    put().ok();
    assert_eq!(read(&scene, &alice, media), 200);
}

#[test]
fn what_is_deleted_while_it_is_uploaded_leaves_nothing() {
    for seed in 0..60_u8 {
        let (scene, _) = server_with_admin();
        let alice = scene.register("alice");
        let world = scene.server.world();
        (0..seed).for_each(|_| {
            world.random();
        });
        let created = scene.send(Some(&alice), "POST /_matrix/media/v1/create", String::new());
        let created = created.ok();
        let media = created["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap();
        let path = format!("/_matrix/media/v3/upload/{media}");
        let put = alice.server.request(alice.request(("PUT", &path), "late"));
        let name = media.split_once('/').unwrap();
        let name = crate::stores::media::Name { server: name.0, media_id: name.1 };
        let delete = async {
            for _ in 0..seed % 20 {
                world.sleep(std::time::Duration::ZERO).await;
            }
            crate::flows::media::delete(&world, name).await.unwrap();
        };
        drop(scene.simulation.run(async { futures_util::future::join(put, delete).await }));
        let lost = "SELECT count(*) FROM media_contents WHERE sha256 IS NOT NULL
                    AND key NOT IN (SELECT content FROM media WHERE content IS NOT NULL)";
        let lost: Result<_, tombolo_platform::SqlError> =
            scene.server.d1().row(lost, &[], |row| row.int(0));
        assert_eq!(lost, Ok(Some(0)), "{seed}");
    }
}

/// The media IDs of a list.
fn ids(list: &Value) -> Vec<&str> {
    let media = list["media"].as_array().unwrap();
    media.iter().map(|media| media["media_id"].as_str().unwrap()).collect()
}

#[test]
fn what_a_user_has_uploaded_is_listed_and_deleted() {
    let (scene, admin) = server_with_admin();
    let alice = scene.register("alice");
    let mut names = Vec::new();
    for content in ["bbb", "a", "cc"] {
        names.push(upload(&scene, &alice, content));
        scene.pass(10);
    }
    upload(&scene, &admin, "of another user");
    let named: Vec<&str> = names.iter().filter_map(|name| Some(name.split_once('/')?.1)).collect();
    let path = "/_synapse/admin/v1/users/@alice:example.org/media";
    let list = |query: &str| scene.get(&admin, &format!("{path}{query}")).ok();
    let newest = list("");
    assert_eq!(ids(&newest), [named[2], named[1], named[0]]);
    assert_eq!((&newest["total"], newest.get("next_token")), (&3.into(), None));
    assert_eq!(newest["media"][0]["media_length"], 2);
    assert_eq!(ids(&list("?order_by=media_length")), [named[1], named[2], named[0]]);
    assert_eq!(ids(&list("?order_by=media_length&dir=b")), [named[0], named[2], named[1]]);
    assert_eq!(ids(&list("?dir=f&limit=1&from=1")), [named[1]]);
    assert_eq!(list("?limit=2")["next_token"], 2);
    for (path, status) in [
        (format!("{path}?order_by=x"), 400),
        (format!("{path}?dir=x"), 400),
        (format!("{path}?limit=-1"), 400),
        ("/_synapse/admin/v1/users/@nobody:example.org/media".to_owned(), 404),
        ("/_synapse/admin/v1/users/@alice:other.test/media".to_owned(), 400),
    ] {
        assert_eq!(scene.get(&admin, &path).status, status, "{path}");
        for method in ["GET", "DELETE"] {
            let line = format!("{method} {path}");
            scene.call(Some(&alice), &line, &Value::Null).refused(403, "M_FORBIDDEN");
        }
    }
    let delete =
        |query: &str| scene.call(Some(&admin), &format!("DELETE {path}{query}"), &Value::Null).ok();
    assert_eq!(delete("?limit=1")["deleted_media"], json!([named[2]]));
    assert_eq!(delete("")["total"], 2);
    assert_eq!(delete("")["total"], 0);
    assert_eq!(names.iter().map(|name| read(&scene, &alice, name)).max(), Some(404));
    assert_eq!(scene.server.r2_keys().len(), 1);
}

#[test]
fn it_is_counted_who_uploads_how_much() {
    let (scene, admin) = server_with_admin();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    for content in ["bbb", "a"] {
        upload(&scene, &alice, content);
    }
    upload(&scene, &bob, "many bytes");
    let path = "/_synapse/admin/v1/statistics/users/media";
    scene.get(&alice, path).refused(403, "M_FORBIDDEN");
    let list = |query: &str| scene.get(&admin, &format!("{path}{query}")).ok();
    let all = list("");
    assert_eq!(all["total"], 2);
    let alices = json!({
        "user_id": "@alice:example.org", "displayname": "alice", "media_count": 2, "media_length": 4,
    });
    assert_eq!(all["users"][0], alices);
    let first = |query: &str| list(query)["users"][0]["media_count"].clone();
    assert_eq!(
        (first("?order_by=media_length&dir=b"), first("?search_term=BO")),
        (1.into(), 1.into())
    );
    assert_eq!(list("?limit=1")["next_token"], 1);
    assert_eq!(list("?from_ts=9000000000000")["total"], 0);
    assert_eq!(list("?until_ts=1")["total"], 0);
    for query in ["?from_ts=2&until_ts=2", "?search_term=", "?order_by=x", "?from_ts=-1", "?from=x"]
    {
        scene.get(&admin, &format!("{path}{query}")).refused(400, "M_INVALID_PARAM");
    }
}

#[test]
fn the_media_that_a_room_names_are_listed() {
    let (scene, admin) = server_with_admin();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let say = |content: Value| {
        let line = format!("send/m.room.message/{}", scene.number());
        scene.put(&alice, &room, &line, &content).ok()
    };
    for (url, thumbnail) in [("mxc://example.org/a", "mxc://else.where/b"), ("https://x.y", "")] {
        let info = json!({ "thumbnail_url": thumbnail });
        say(json!({ "msgtype": "m.image", "body": "a", "url": url, "info": info }));
    }
    say(json!({ "msgtype": "m.text", "body": "mxc://example.org/said", "url": 5 }));
    let path = format!("/_synapse/admin/v1/room/{}/media", tombolo_support::encode(&room));
    scene.get(&alice, &path).refused(403, "M_FORBIDDEN");
    let named = scene.get(&admin, &path).ok();
    let expected = json!({
        "local": ["mxc://example.org/a"], "remote": ["mxc://else.where/b"],
    });
    assert_eq!(named, expected);
    let none = scene.get(&admin, "/_synapse/admin/v1/room/!unknown:example.org/media").ok();
    assert_eq!(none, json!({ "local": [], "remote": [] }));
}

#[test]
fn all_media_of_a_user_or_a_room_are_quarantined() {
    let (scene, admin) = server_with_admin();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let [first, second] = ["one", "two"].map(|content| upload(&scene, &alice, content));
    let [same, other, third] = ["one", "four", "three"].map(|text| upload(&scene, &bob, text));
    let ask = |path: &str| {
        let line = format!("POST /_synapse/admin/v1/{path}");
        scene.call(Some(&alice), &line, &Value::Null).refused(403, "M_FORBIDDEN");
        scene.call(Some(&admin), &line, &Value::Null)
    };
    let path = "user/@alice:example.org/media/quarantine";
    assert_eq!(ask(path).ok(), json!({ "num_quarantined": 3 }));
    assert_eq!(ask(path).ok(), json!({ "num_quarantined": 0 }));
    ask("user/@nobody:example.org/media/quarantine").refused(404, "M_NOT_FOUND");
    let room = scene.room(&bob, &json!({}));
    for media in [&*other, "else.where/unknown"] {
        let content = json!({ "msgtype": "m.file", "body": "", "url": format!("mxc://{media}") });
        let path = format!("send/m.room.message/{}", encode(media));
        scene.put(&bob, &room, &path, &content).ok();
    }
    let path = format!("room/{}/media/quarantine", encode(&room));
    assert_eq!(ask(&path).ok(), json!({ "num_quarantined": 1 }));
    assert_eq!(ask(&path).ok(), json!({ "num_quarantined": 0 }));
    for media in [&first, &second, &same, &other] {
        assert_eq!(read(&scene, &bob, media), 404);
    }
    assert_eq!(read(&scene, &bob, &third), 200);
    assert_eq!(ask("room/!none:example.org/media/quarantine").ok()["num_quarantined"], 0);
}

#[test]
fn what_other_servers_gave_and_nobody_reads_is_removed() {
    let two = Pair::new(Rc::new(Tombolo), ["ours.test:8448", "other.test:8448"]);
    let Pair { scene, alice, bob, .. } = &two;
    let update = "UPDATE accounts SET admin = 1 WHERE localpart = 'alice'";
    scene.server.d1().run(update, &[]).unwrap();
    let media = upload(scene, bob, "far");
    assert_eq!(read(scene, alice, &media), 200);
    upload(scene, alice, "near");
    let purge = |query: &str| {
        let line = format!("POST /_synapse/admin/v1/purge_media_cache{query}");
        scene.call(Some(alice), &line, &Value::Null)
    };
    assert_eq!(purge("?before_ts=0").ok(), json!({ "deleted": 0 }));
    assert_eq!(scene.server.r2_keys().len(), 2);
    // That they were read is noted once a day.
    let now = scene.simulation.now();
    assert_eq!(purge(&format!("?before_ts={now}")).ok(), json!({ "deleted": 0 }));
    let later = now + 86_401_000;
    assert_eq!(purge(&format!("?before_ts={later}")).ok(), json!({ "deleted": 1 }));
    assert_eq!(scene.server.r2_keys().len(), 1);
    purge("").refused(400, "M_MISSING_PARAM");
    assert_eq!(read(scene, alice, &media), 200);
    // Nothing that is quarantined comes back by being fetched anew.
    let line = format!("POST /_synapse/admin/v1/media/quarantine/{media}");
    scene.call(Some(alice), &line, &Value::Null).ok();
    assert_eq!(purge(&format!("?before_ts={}", later + 86_400_000)).ok()["deleted"], 0);
    assert_eq!(read(scene, alice, &media), 404);
}
