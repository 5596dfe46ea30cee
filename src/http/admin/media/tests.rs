//! What becomes of media that an operator quarantines or deletes?

use std::rc::Rc;

use serde_json::Value;
use tombolo_support::{Scene, User};

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
