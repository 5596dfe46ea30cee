//! Does a user's stream end where it ended, however long it is and however often its object sleeps?

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, RoomId};
use tombolo_platform::{AnyAddress, Isolate, Memory, Message, Moment, Object, Sql, values};
use tombolo_protocol::membership::Membership;

use super::{answer, messages::*};
use crate::{objects::room::messages::UserNews, shell::Question};

struct Scene {
    sql: Sql,
    memory: Memory,
    isolate: Isolate,
}

impl Scene {
    fn ask<M: Message>(&self, message: &M) -> Result<M::Reply, M::Refusal> {
        let address = AnyAddress::new("user_sync", "@alice:ours.test");
        let variables = BTreeMap::from([
            ("SERVER_NAME", "ours.test"),
            ("SIGNING_KEY", "ed25519 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ("TOKEN_SECRET", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ]);
        let read = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let (sql, memory, shared) = (&self.sql, &self.memory, &self.isolate);
        let object = Object { address: &address, sql, memory, variables: &read, shared };
        let moment = Moment::new(1, [7; 32]);
        let body = serde_json::to_string(message).unwrap();
        let question = Question { object: &object, moment: &moment, message: M::NAME, body: &body };
        serde_json::from_str(&answer(&question).unwrap().reply).unwrap()
    }

    fn news(&self, room: &str, to: i64) {
        let news = UserNews {
            user: "@alice:ours.test".try_into().unwrap(),
            to,
            membership: Membership::Join,
            stripped: None,
        };
        self.ask(&News { room_id: RoomId::parse(room).unwrap(), news }).unwrap();
    }

    /// As if a token had named the end of the stream.
    fn sleep(&self) {
        self.memory.clear();
    }

    fn rooms(&self) -> Vec<OwnedRoomId> {
        self.ask(&JoinedRooms {}).unwrap()
    }
}

#[test]
fn a_long_stream_is_not_read_from_its_beginning() {
    let scene = Scene {
        sql: Sql::open_in_memory().unwrap(),
        memory: Memory::default(),
        isolate: Isolate::default(),
    };
    scene.news("!quiet:ours.test", 1);
    for to in 1..=1500 {
        scene.sleep();
        scene.news("!busy:ours.test", to);
    }
    let room = |name: &str| RoomId::parse(name).unwrap();
    let both = [room("!busy:ours.test"), room("!quiet:ours.test")];
    scene.sleep();
    assert_eq!(scene.rooms(), both);
    // What the checkpoint covers is not looked at again.
    let removed = scene.sql.run("DELETE FROM stream WHERE pos < 900", values![]).unwrap();
    assert!(removed >= 899, "{removed}");
    scene.sleep();
    assert_eq!(scene.rooms(), both);
    let end = RoomPosition { room_id: both[0].clone(), at: 10_000 };
    assert_eq!(scene.ask(&end).unwrap(), 1500);
    let quiet = RoomPosition { room_id: both[1].clone(), at: 10_000 };
    assert_eq!(scene.ask(&quiet).unwrap(), 1);
}
