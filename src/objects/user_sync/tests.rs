//! Does a user's stream end in the same place after every eviction of its object, however long it is?

use std::rc::Rc;

use ruma::{OwnedRoomId, RoomId};
use tombolo_platform::{AnyAddress, Message, values};
use tombolo_protocol::membership::Membership;
use tombolo_support::{LoneObject, Secrets};

use super::messages::*;
use crate::{app::Tombolo, objects::room::messages::UserNews};

/// The object of alice.
struct Stream(LoneObject);

impl Stream {
    fn ask<M: Message>(&self, message: &M) -> Result<M::Reply, M::Refusal> {
        self.0.ask(1, message)
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

    /// Evicts the object. When it wakes, all its rows count as covered by a token.
    fn sleep(&self) {
        self.0.evict();
    }

    fn rooms(&self) -> Vec<OwnedRoomId> {
        self.ask(&JoinedRooms {}).unwrap()
    }
}

#[test]
fn a_long_stream_is_not_read_from_its_beginning() {
    let address = AnyAddress::new("user_sync", "@alice:ours.test");
    let stream = Stream(LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1)));
    stream.news("!quiet:ours.test", 1);
    for to in 1..=1500 {
        stream.sleep();
        stream.news("!busy:ours.test", to);
    }
    let room = |name: &str| RoomId::parse(name).unwrap();
    let both = [room("!busy:ours.test"), room("!quiet:ours.test")];
    stream.sleep();
    assert_eq!(stream.rooms(), both);
    // What the checkpoint covers is not looked at again.
    let removed = stream.0.sql.run("DELETE FROM stream WHERE pos < 900", values![]).unwrap();
    assert!(removed >= 899, "{removed}");
    stream.sleep();
    assert_eq!(stream.rooms(), both);
    let end = RoomPosition { room_id: both[0].clone(), at: 10_000 };
    assert_eq!(stream.ask(&end).unwrap(), 1500);
    let quiet = RoomPosition { room_id: both[1].clone(), at: 10_000 };
    assert_eq!(stream.ask(&quiet).unwrap(), 1);
}
