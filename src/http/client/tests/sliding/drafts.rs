//! What becomes of what was noted and is not answered yet?

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join3;
use ruma::OwnedUserId;
use serde_json::json;
use tombolo_platform::{Address, AskError};
use tombolo_support::{Scene, User, encode};

use super::*;
use crate::{
    http::client::tokens,
    objects::{
        user_object,
        user_sync::{UserSyncClass, messages::*},
    },
};

/// A room with two in it, of whom one reads what the other said.
struct Read<'a> {
    scene: &'a Scene,
    alice: User,
    bob: User,
    room: String,
    events: Vec<String>,
}

impl<'a> Read<'a> {
    fn of(scene: &'a Scene) -> Self {
        let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        scene.act(&bob, &room, "join", &json!({})).ok();
        let events = (0..4).map(|n| scene.say(&alice, &room, &n.to_string())).collect();
        settle(scene);
        Self { scene, alice, bob, room, events }
    }

    fn line(&self, event: usize) -> String {
        let event = encode(&self.events[event]);
        format!("POST /_matrix/client/v3/rooms/{}/receipt/m.read/{event}", self.room)
    }

    fn reads(&self, event: usize) {
        self.scene.call(Some(&self.bob), &self.line(event), &json!({})).ok();
        settle(self.scene);
    }

    /// A connection of this name that was shown everything.
    fn connection(&self, name: &str) -> (String, ConnectionPos) {
        self.scene.pass(1000);
        let mut client = Client::of(self.scene, &self.alice, 5);
        client.body["conn_id"] = json!(name);
        client.next();
        client.next();
        (name.to_owned(), tokens::connection_pos(client.pos.as_deref().unwrap()).unwrap())
    }

    fn session(&self) -> String {
        let sql = self.scene.server.sql(&self.address()).unwrap();
        sql.row("SELECT session FROM sessions", &[], |row| row.text(0)).unwrap().unwrap()
    }

    fn address(&self) -> Address<UserSyncClass> {
        user_object(&OwnedUserId::try_from(self.alice.id.as_str()).unwrap())
    }

    fn slides(&self, (name, kept): &(String, ConnectionPos), waits_on: bool) -> Slid {
        let room = RoomWanted { limit: 5, ..RoomWanted::default() };
        let list = ListWanted { ranges: None, filter: ListFilter::default(), room };
        let slide = Slide {
            session: self.session(),
            connection: name.clone(),
            pos: Some(*kept),
            kept: Some(*kept),
            hold: false,
            waits_on,
            lists: BTreeMap::from([("all".to_owned(), list)]),
            subscriptions: BTreeMap::new(),
            extensions: Extensions::default(),
            without_counts: false,
            goes_on: false,
            presence: None,
        };
        let world = self.scene.server.world();
        self.scene.simulation.run(world.ask(&self.address(), &slide)).unwrap()
    }

    fn keeps(&self, (name, kept): &(String, ConnectionPos), draft: &Slid) -> Option<i64> {
        let (session, connection) = (self.session(), name.clone());
        let keep = KeepSent { session, connection, kept: kept.id, id: draft.pos.unwrap().id };
        let world = self.scene.server.world();
        match self.scene.simulation.run(world.ask(&self.address(), &keep)) {
            Ok(id) => Some(id),
            Err(AskError::Refused(Refusal::UnknownPos)) => None,
            Err(other) => panic!("{other}"),
        }
    }

    fn ids(&self) -> Vec<i64> {
        let sql = self.scene.server.sql(&self.address()).unwrap();
        sql.rows("SELECT id FROM connections ORDER BY id", &[], |row| row.int(0)).unwrap()
    }
}

#[test]
fn a_draft_that_is_kept_twice_is_one_row() {
    let scene = one_server();
    let read = Read::of(&scene);
    let connection = read.connection("main");
    read.reads(0);
    let draft = read.slides(&connection, true);
    let other = read.slides(&connection, false);
    assert_eq!((draft.is_draft, other.is_draft), (true, false));
    let ids = [connection.1.id, draft.pos.unwrap().id, other.pos.unwrap().id];
    for _ in 0..3 {
        assert_eq!(read.keeps(&connection, &draft), Some(ids[1]));
        assert_eq!(read.ids(), ids);
    }
}

#[test]
fn a_connection_has_one_draft() {
    let scene = one_server();
    let read = Read::of(&scene);
    let [one, other] = ["one", "other"].map(|name| read.connection(name));
    read.reads(0);
    let of_other = read.slides(&other, true);
    let before = read.slides(&one, true);
    let after = read.slides(&one, true);
    for (connection, draft) in [(&one, &after), (&other, &of_other)] {
        assert_eq!(read.keeps(connection, draft), Some(draft.pos.unwrap().id));
    }
    assert_eq!(read.keeps(&one, &before), None);
}

#[test]
fn where_drafts_are_many_a_row_is_written_at_once() {
    let scene = one_server();
    let read = Read::of(&scene);
    let connections: Vec<_> = (0..8).map(|n| read.connection(&n.to_string())).collect();
    read.reads(0);
    let drafts: Vec<_> =
        connections.iter().map(|connection| read.slides(connection, true)).collect();
    assert!(drafts.iter().all(|draft| draft.is_draft));
    let new = read.connection("new");
    read.reads(1);
    let is_draft = || read.slides(&new, true).is_draft;
    assert!(!is_draft());
    for (connection, draft) in connections[1..].iter().zip(&drafts[1..]) {
        assert!(read.keeps(connection, draft).is_some());
    }
    assert!(is_draft());
}

#[test]
fn of_two_requests_that_wait_on_one_connection_one_waits_on() {
    let scene = one_server();
    let read = Read::of(&scene);
    let mut client = Client::of(&scene, &read.alice, 5);
    client.next();
    client.next();
    let line = format!("{SYNC}?timeout=60000&pos={}", client.pos.as_deref().unwrap());
    let waits = || {
        let request = read.alice.request(("POST", &line), client.body.to_string());
        read.alice.server.request(request)
    };
    let says = format!("PUT /_matrix/client/v3/rooms/{}/send/m.room.message/n", read.room);
    let message = json!({ "msgtype": "m.text", "body": "two" });
    let mut deeds: Vec<_> = (0..4).map(|event| (read.line(event), json!({}))).collect();
    deeds.push((says, message));
    let world = scene.server.world();
    let doing = async {
        for (line, body) in deeds {
            world.sleep(Duration::from_secs(5)).await;
            let request = read.bob.request(line.split_once(' ').unwrap(), body.to_string());
            assert_eq!(read.bob.server.request(request).await.unwrap().status(), 200);
        }
    };
    let before = world.units().object_requests;
    let (one, other, ()) = scene.simulation.run(join3(waits(), waits(), doing));
    let asked = world.units().object_requests - before;
    assert!(asked < 150, "{asked}");
    let answers = [one, other].map(|answer| Answer::of(answer.unwrap()).ok());
    let mut shown = answers.map(|answer| said(&answer["rooms"][&read.room]));
    shown.sort();
    assert_eq!(shown, [vec![], vec!["two".to_owned()]]);
}
