//! Does a user hear what the server has to say?

use std::rc::Rc;

use ruma::RoomId;
use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Answer, PASSWORD, Scene, User, encode, registration, text};

use crate::{app::Tombolo, objects::room_object};

const SENDER: &str = "@_server:example.org";

/// A server with an operator and a user.
struct Served {
    scene: Scene,
    admin: User,
    alice: User,
}

impl Served {
    fn new(variables: &[(&str, &str)]) -> Self {
        let scene = Scene::new(Rc::new(Tombolo), "example.org", variables);
        let (admin, alice) = (scene.register("admin"), scene.register("alice"));
        let world = scene.server.world();
        let update = "UPDATE accounts SET admin = 1 WHERE localpart = ?";
        scene.simulation.run(world.d1().run(update, values!["admin"])).unwrap();
        Self { scene, admin, alice }
    }

    fn on() -> Self {
        Self::new(&[("SERVER_NOTICES", "_server")])
    }

    fn notify(&self, by: &User, user: &str, txn_id: Option<&str>) -> Answer {
        let content = json!({ "msgtype": "m.text", "body": "hello" });
        let line = match txn_id {
            Some(txn_id) => format!("PUT /_synapse/admin/v1/send_server_notice/{txn_id}"),
            None => "POST /_synapse/admin/v1/send_server_notice".to_owned(),
        };
        self.scene.call(Some(by), &line, &json!({ "user_id": user, "content": content }))
    }

    /// Sends alice a notice; answers its ID.
    fn tell_alice(&self) -> String {
        text(&self.notify(&self.admin, &self.alice.id, None).ok()["event_id"])
    }

    /// The rooms to which alice is invited, and her invites to them.
    fn invites(&self) -> Vec<(String, Value)> {
        let sync = self.scene.sync(&self.alice, "");
        let invites = sync["rooms"]["invite"].as_object().into_iter().flatten();
        invites.map(|(room, invite)| (room.clone(), invite.clone())).collect()
    }
}

#[test]
fn a_user_is_invited_to_one_room_as_often_as_they_leave_it() {
    let server = Served::on();
    let (scene, alice) = (&server.scene, &server.alice);
    let first = server.tell_alice();
    let [(room, invite)] = &server.invites()[..] else { panic!("no invite") };
    assert_eq!(invite["invite_state"]["events"][0]["sender"], SENDER);
    let tags = format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", encode(&alice.id));
    assert_eq!(scene.get(alice, &tags).ok(), json!({ "tags": { "m.server_notice": {} } }));
    let path = format!("state/m.room.member/{}", encode(&alice.id));
    let leave = format!("PUT /_matrix/client/v3/rooms/{room}/{path}");
    for refused in [
        scene.act(alice, room, "leave", &json!({})),
        scene.act(alice, room, "kick", &json!({ "user_id": alice.id })),
        scene.call(Some(alice), &leave, &json!({ "membership": "leave" })),
    ] {
        refused.refused(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
    }
    scene.act(alice, room, "join", &json!({})).ok();
    let event = format!("/_matrix/client/v3/rooms/{room}/event/{}", encode(&first));
    let event = scene.get(alice, &event).ok();
    assert_eq!((&event["sender"], &event["content"]["body"]), (&json!(SENDER), &json!("hello")));
    // Nobody answers the server.
    let line = format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    scene.call(Some(alice), &line, &json!({ "body": "?" })).refused(403, "M_FORBIDDEN");
    server.tell_alice();
    assert!(server.invites().is_empty());
    scene.act(alice, room, "leave", &json!({})).ok();
    scene.server.crash();
    server.tell_alice();
    assert_eq!(server.invites()[0].0, *room);
}

#[test]
fn a_user_whose_room_for_notices_was_deleted_gets_another() {
    let server = Served::on();
    server.tell_alice();
    let room = server.invites()[0].0.clone();
    let line = format!("DELETE /_synapse/admin/v2/rooms/{room}");
    server.scene.call(Some(&server.admin), &line, &json!({})).ok();
    server.scene.simulation.settle(3_600_000);
    assert!(server.invites().is_empty());
    server.tell_alice();
    let [(other, _)] = &server.invites()[..] else { panic!("no invite") };
    assert_ne!(room, *other);
    server.tell_alice();
    assert_eq!(server.invites().len(), 1);
}

#[test]
fn a_notice_that_is_sent_twice_is_said_once() {
    let server = Served::on();
    let send = |txn_id| server.notify(&server.admin, &server.alice.id, Some(txn_id)).ok();
    let [once, again, other] = ["1", "1", "2"].map(send);
    assert_eq!(once, again);
    assert_ne!(once, other);
    assert_eq!(server.invites().len(), 1);
}

#[test]
fn a_notice_that_cannot_be_said_invites_nobody() {
    let server = Served::on();
    let (scene, alice) = (&server.scene, &server.alice);
    let line = "POST /_synapse/admin/v1/send_server_notice";
    for (content, status, errcode) in
        [(json!(5), 400, "M_BAD_JSON"), (json!({ "body": "x".repeat(70_000) }), 413, "M_TOO_LARGE")]
    {
        let body = json!({ "user_id": alice.id, "content": content });
        scene.call(Some(&server.admin), line, &body).refused(status, errcode);
        assert!(server.invites().is_empty());
    }
    // Nobody is put into the room, or out of it, by a notice.
    let out = json!({ "user_id": alice.id, "type": "m.room.member", "state_key": SENDER,
                      "content": { "membership": "leave" } });
    scene.call(Some(&server.admin), line, &out).refused(400, "M_INVALID_PARAM");
    // The same notice again is no new one.
    let send = |txn_id| server.notify(&server.admin, &alice.id, Some(txn_id)).ok();
    send("1");
    let room = server.invites()[0].0.clone();
    scene.act(alice, &room, "join", &json!({})).ok();
    scene.act(alice, &room, "leave", &json!({})).ok();
    send("1");
    assert!(server.invites().is_empty());
    send("2");
    assert_eq!(server.invites().len(), 1);
}

#[test]
fn an_invite_is_declined_by_no_delayed_event_and_ends_with_the_account() {
    let server = Served::on();
    let (scene, alice) = (&server.scene, &server.alice);
    server.tell_alice();
    let room = server.invites()[0].0.clone();
    scene.act(alice, &room, "join", &json!({})).ok();
    let delayed = format!(
        "PUT /_matrix/client/v3/rooms/{room}/state/m.room.member/{}?org.matrix.msc4140.delay=60000",
        encode(&alice.id)
    );
    scene.call(Some(alice), &delayed, &json!({ "membership": "leave" })).ok();
    scene.act(alice, &room, "leave", &json!({})).ok();
    server.tell_alice();
    scene.pass(120_000);
    assert_eq!(server.invites().len(), 1);
    let gone = json!({ "auth": { "type": "m.login.password", "password": PASSWORD,
                                 "identifier": { "type": "m.id.user", "user": "alice" } } });
    scene.call(Some(alice), "POST /_matrix/client/v3/account/deactivate", &gone).ok();
    scene.pass(120_000);
    let address = room_object(&RoomId::parse(room).unwrap());
    let query = "SELECT membership FROM locals WHERE user = ?";
    let held = scene.server.sql(&address).unwrap();
    let held = held.row(query, values![alice.id.as_str()], |row| row.text(0)).unwrap();
    assert_ne!(held.as_deref(), Some("invite"));
}

#[test]
fn what_the_server_says_is_heard_whoever_is_ignored() {
    let server = Served::on();
    let path = format!("user/{}/account_data/m.ignored_user_list", encode(&server.alice.id));
    let line = format!("PUT /_matrix/client/v3/{path}");
    let list = json!({ "ignored_users": { SENDER: {} } });
    server.scene.call(Some(&server.alice), &line, &list).ok();
    server.tell_alice();
    assert_eq!(server.invites().len(), 1);
}

#[test]
fn whose_invites_a_user_wants_is_for_other_users() {
    let server = Served::on();
    let path = format!("user/{}/account_data/m.invite_permission_config", encode(&server.alice.id));
    let nobody = json!({ "default_action": "block" });
    server.scene.call(Some(&server.alice), &format!("PUT /_matrix/client/v3/{path}"), &nobody).ok();
    server.tell_alice();
    assert_eq!(server.invites().len(), 1);
}

#[test]
fn only_operators_write_in_the_name_of_the_server_and_only_to_users_there_are() {
    let server = Served::on();
    let Served { scene, admin, alice } = &server;
    server.notify(alice, &admin.id, None).refused(403, "M_FORBIDDEN");
    server.notify(admin, "@bob:example.org", None).refused(404, "M_NOT_FOUND");
    server.notify(admin, "@bob:other.test", None).refused(400, "M_INVALID_PARAM");
    server.notify(admin, "bob", None).refused(400, "M_BAD_JSON");
    let line = "POST /_matrix/client/v3/register";
    scene.call(None, line, &registration("_server")).refused(400, "M_USER_IN_USE");
    scene.register("bob");
    // Nor does anybody invite that user.
    let room = scene.room(alice, &json!({}));
    let invite = json!({ "user_id": SENDER });
    scene.act(alice, &room, "invite", &invite).refused(403, "M_INVITE_BLOCKED");
    // Somebody may have the name from the time before there were notices.
    let update = "UPDATE accounts SET localpart = ? WHERE localpart = ?";
    scene.simulation.run(scene.server.world().d1().run(update, values!["_server", "bob"])).unwrap();
    server.notify(admin, &alice.id, None).refused(400, "M_INVALID_PARAM");
    // Where there is no such user, nobody is told, and anybody may have the name.
    let server = Served::new(&[]);
    server.notify(&server.admin, &server.alice.id, None).refused(400, "M_INVALID_PARAM");
    server.scene.call(None, line, &registration("_server")).ok();
}
