//! Does a user's stream end in the same place after every eviction of its object, however long it is, and does it say
//! once where somebody came or went?

use std::{collections::BTreeMap, rc::Rc};

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId,
    push::{NewSimplePushRule, Ruleset},
};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use tombolo_platform::{AnyAddress, Message, values};
use tombolo_protocol::membership::Membership;
use tombolo_support::{LoneObject, Secrets};

use super::{PUSH_RULES, messages::*};
use crate::{
    app::Tombolo,
    objects::room::messages::{RequiredState, Traits, UserNews},
};

/// The object of alice.
struct Stream(LoneObject);

impl Stream {
    fn ask<M: Message>(&self, message: &M) -> Result<M::Reply, M::Refusal> {
        self.0.ask(1, message)
    }

    fn news(&self, room: &str, to: i64) {
        let user = "@alice:ours.test".try_into().unwrap();
        let news = UserNews::of(user, to, Membership::Join);
        self.ask(&News { room_id: RoomId::parse(room).unwrap(), news }).unwrap();
    }

    /// Evicts the object. When it wakes, all its rows count as covered by a token.
    fn sleep(&self) {
        self.0.evict();
    }

    fn log_in(&self) {
        let (user, session) = ("@alice:ours.test".try_into().unwrap(), "S".to_owned());
        let login = Login { user, device_id: None, display_name: None, session, refresh: None };
        self.ask(&login).unwrap();
    }

    fn shares(&self, room: &str, from: i64, to: i64) {
        let room_id = RoomId::parse(room).unwrap();
        self.ask(&Shares { room_id, from, to }).unwrap();
    }

    fn pull(&self, since: Option<i64>) -> Pulled {
        let (session, hold, include_leave, full_state) = ("S".to_owned(), false, false, false);
        let (messages_since, presence, goes_on) = (None, None, false);
        let pull = Pull {
            session,
            since,
            hold,
            include_leave,
            full_state,
            messages_since,
            presence,
            goes_on,
        };
        self.ask(&pull).unwrap()
    }

    fn rooms(&self) -> Vec<OwnedRoomId> {
        self.ask(&JoinedRooms {}).unwrap()
    }
}

fn alice() -> Stream {
    let address = AnyAddress::new("user_sync", "@alice:ours.test");
    Stream(LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1)))
}

/// Ranges of rooms, as an answer has them.
fn ranges(of: &[(&str, i64, i64)]) -> Vec<(OwnedRoomId, i64, i64)> {
    of.iter().map(|(room, from, to)| (RoomId::parse(room).unwrap(), *from, *to)).collect()
}

const ONE: &str = "!one:ours.test";
const TWO: &str = "!two:ours.test";

#[test]
fn a_range_grows_until_a_token_covers_it() {
    let stream = alice();
    stream.log_in();
    stream.shares(ONE, 10, 20);
    stream.shares(ONE, 20, 30);
    stream.shares(TWO, 0, 5);
    let first = stream.pull(Some(0));
    assert_eq!(first.shares, ranges(&[(ONE, 10, 30), (TWO, 0, 5)]));
    stream.shares(ONE, 35, 40);
    assert_eq!(stream.pull(Some(first.next)).shares, ranges(&[(ONE, 35, 40)]));
    assert_eq!(stream.pull(Some(0)).shares, ranges(&[(ONE, 10, 40), (TWO, 0, 5)]));
    let between = ChangesBetween { from: 0, to: first.next };
    assert_eq!(stream.ask(&between).unwrap().shares, first.shares, "what is covered stays");
}

/// Invites of a user to so many rooms.
fn invite(stream: &Stream, inviter: &str, rooms: usize) {
    for number in 0..rooms {
        let user: OwnedUserId = "@alice:ours.test".try_into().unwrap();
        let member = json!({
            "type": "m.room.member",
            "state_key": user,
            "sender": inviter,
            "content": { "membership": "invite" },
        });
        let stripped = Some(to_raw_value(&[member]).unwrap());
        let news = UserNews { stripped, ..UserNews::of(user, 1, Membership::Invite) };
        let room_id = RoomId::parse(format!("!{number}:{}", &inviter[1..])).unwrap();
        stream.ask(&News { room_id, news }).unwrap();
    }
}

#[test]
fn invites_that_are_not_shown_keep_out_nobody_elses() {
    let stream = alice();
    stream.log_in();
    let content = to_raw_value(&json!({ "ignored_users": { "@evil:x.test": {} } })).unwrap();
    let event_type = "m.ignored_user_list".to_owned();
    stream.ask(&SetAccountData { room_id: None, event_type, content }).unwrap();
    let may = |inviter: &str| {
        let room_id = RoomId::parse("!new:x.test").unwrap();
        let inviter = Some(inviter.try_into().unwrap());
        stream.ask(&MayInvite { room_id, inviter }).is_ok()
    };
    invite(&stream, "@evil:x.test", 500);
    assert_eq!(["@evil:x.test", "@good:x.test"].map(may), [false, true]);
    invite(&stream, "@good:x.test", 500);
    assert_eq!(["@evil:x.test", "@good:x.test"].map(may), [false, false]);
}

/// An invite with so many bytes of a room type.
fn invite_of_type(stream: &Stream, number: usize, length: usize) {
    let user: OwnedUserId = "@alice:ours.test".try_into().unwrap();
    let content = json!({ "type": "x".repeat(length) });
    let create = json!({ "type": "m.room.create", "state_key": "", "content": content });
    let stripped = Some(to_raw_value(&[create]).unwrap());
    let news = UserNews { stripped, ..UserNews::of(user, 1, Membership::Invite) };
    let room_id = RoomId::parse(format!("!{number}:x.test")).unwrap();
    stream.ask(&News { room_id, news }).unwrap();
}

#[test]
fn no_invite_makes_a_row_too_long() {
    let stream = alice();
    stream.log_in();
    (0..60).for_each(|number| invite_of_type(&stream, number, 60_000));
    let longest = |table: &str, column: &str| {
        let query = format!("SELECT max(length({column})) FROM {table}");
        stream.0.sql.row(&query, &[], |row| row.int(0)).unwrap().unwrap()
    };
    assert!(longest("stream", "traits") < 500);
    // Nor does what was noted of rooms before there was a limit.
    let room_type = Some("x".repeat(60_000));
    let traits = Traits { room_type, ..Traits::default() };
    let rooms = (0..60).map(|number| RoomId::parse(format!("!{number}:x.test")).unwrap());
    let rooms = rooms.map(|room| (room, traits.clone())).collect();
    stream.ask(&NoteTraits { rooms }).unwrap();
    for to in 1..=1000 {
        stream.sleep();
        stream.news(ONE, to);
    }
    assert!(longest("checkpoint", "rooms") < 1_100_000);
    let rooms = |stream: &Stream| stream.pull(None).rooms.len();
    assert_eq!(rooms(&stream), 61);
    stream.sleep();
    assert_eq!(rooms(&stream), 61);
}

#[test]
fn many_long_invites_come_in_several_responses() {
    let stream = alice();
    stream.log_in();
    (0..100).for_each(|number| invite_of_type(&stream, number, 60_000));
    let room = RoomWanted { limit: 1, required: RequiredState::default() };
    let list = ListWanted { ranges: None, filter: ListFilter::default(), room };
    let mut slide = Slide {
        session: "S".to_owned(),
        connection: String::new(),
        pos: None,
        kept: None,
        hold: false,
        waits_on: false,
        lists: [("all".to_owned(), list)].into(),
        subscriptions: BTreeMap::new(),
        extensions: Extensions::default(),
        without_counts: true,
        goes_on: false,
        presence: None,
    };
    let mut shown = Vec::new();
    for _ in 0..3 {
        let slid = stream.ask(&slide).unwrap();
        shown.push(slid.rooms.len());
        (slide.pos, slide.kept) = (slid.pos, slid.pos);
    }
    assert!(shown[0] < 80 && shown[0] + shown[1] == 100 && shown[2] == 0, "{shown:?}");
}

#[test]
fn up_to_where_a_room_was_told_is_known_of_every_position() {
    let stream = alice();
    let mut told = Vec::new();
    let ask = |at: i64| {
        let position = |room| RoomPosition { room_id: RoomId::parse(room).unwrap(), at };
        [ONE, TWO].map(|room| stream.ask(&position(room)).ok())
    };
    for to in 1..=20 {
        stream.sleep();
        stream.news(if to % 5 == 0 { TWO } else { ONE }, to);
        told.push(ask(to));
    }
    assert_eq!((told[0], told[9]), ([Some(1), None], [Some(9), Some(10)]));
    let again: Vec<_> = (1..=20).map(ask).collect();
    assert_eq!(again, told);
}

#[test]
fn what_is_told_again_is_noted_once() {
    let stream = alice();
    stream.log_in();
    stream.shares(ONE, 10, 20);
    let first = stream.pull(Some(0)).next;
    for (from, to) in [(10, 20), (5, 15), (10, 20)] {
        stream.shares(ONE, from, to);
    }
    assert_eq!((stream.pull(Some(first)).next, stream.pull(Some(first)).shares), (first, vec![]));
    stream.shares(ONE, 10, 30);
    assert_eq!(stream.pull(Some(first)).shares, ranges(&[(ONE, 20, 30)]));
}

#[test]
fn an_initial_sync_names_no_range_and_goes_on_after_those_there_are() {
    let stream = alice();
    stream.log_in();
    stream.news(ONE, 20);
    stream.shares(ONE, 10, 20);
    let first = stream.pull(None);
    assert!(first.shares.is_empty());
    assert!(stream.pull(Some(first.next)).shares.is_empty());
    stream.sleep();
    stream.shares(TWO, 0, 5);
    let after = stream.pull(Some(first.next));
    assert_eq!((after.next, after.shares), (first.next + 1, ranges(&[(TWO, 0, 5)])));
}

#[test]
fn a_long_stream_is_not_read_from_its_beginning() {
    let stream = alice();
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

#[test]
fn no_position_is_given_twice_though_the_messages_at_the_end_of_the_stream_go() {
    let stream = alice();
    stream.log_in();
    let user = "@alice:ours.test".try_into().unwrap();
    let (device_id, session) = (Some("GONE".to_owned()), "T".to_owned());
    let login = Login { user, device_id, display_name: None, session, refresh: None };
    stream.ask(&login).unwrap();
    let sender: OwnedUserId = "@bob:ours.test".try_into().unwrap();
    let content = RawValue::from_string("{}".to_owned()).unwrap();
    let messages = [("GONE".to_owned(), content)].into();
    let (id, kind) = ("1".to_owned(), "m.test".to_owned());
    stream.ask(&Deposit { id, sender: sender.clone(), kind, messages }).unwrap();
    let end = stream.pull(Some(0)).next;
    stream.sleep();
    stream.ask(&RemoveDevices { device_ids: vec!["GONE".to_owned()] }).unwrap();
    stream.ask(&DevicesChanged { users: vec![sender.clone()] }).unwrap();
    assert_eq!(stream.pull(Some(end)).devices_changed, [sender].into());
}

#[test]
fn there_are_no_more_push_rules_than_a_user_needs() {
    let alice = alice();
    alice.log_in();
    let add = |number: usize| {
        let rule_id = RoomId::parse(format!("!{number}:ours.test")).unwrap();
        let rule = NewRule::Room(NewSimplePushRule::new(rule_id, Vec::new()));
        let change = PushRulesChange::Add { rule, before: None, after: None };
        alice.ask(&ChangePushRules { change })
    };
    add(0).unwrap();
    let content = alice.ask(&AccountData { room_id: None, event_type: PUSH_RULES.to_owned() });
    let mut content: Value = serde_json::from_str(content.unwrap().get()).unwrap();
    let default: Ruleset = serde_json::from_value(content["global"].clone()).unwrap();
    let default = default.iter().count() - 1;
    let rule = content["global"]["room"][0].clone();
    let numbered = |number: usize| {
        let mut rule = rule.clone();
        rule["rule_id"] = format!("!{number}:ours.test").into();
        rule
    };
    content["global"]["room"] = (1..10_000 - default).map(numbered).collect();
    let update = "UPDATE account_data SET content = ? WHERE type = 'm.push_rules'";
    let content = content.to_string();
    alice.0.sql.run(update, values![&content]).unwrap();
    add(0).unwrap();
    assert_eq!(add(20_000), Err(Refusal::Invalid("these are too many rules".to_owned())));
    add(0).unwrap();
}

#[test]
fn a_new_thread_takes_the_place_of_one_that_was_unsubscribed_from() {
    let alice = alice();
    alice.log_in();
    let room_id: OwnedRoomId = ONE.try_into().unwrap();
    let root = |number: usize| -> OwnedEventId { format!("${number}").try_into().unwrap() };
    let subscribe = |number: usize| {
        alice.ask(&Subscribe { room_id: room_id.clone(), root: root(number), cause: None })
    };
    subscribe(0).unwrap();
    let fill = "INSERT INTO thread_subscriptions (room, root, pos, automatic)
                SELECT ?, '$' || value, value + 100, 0 FROM json_each(?)";
    let numbers: Vec<u64> = (1..10_000).collect();
    alice.0.sql.run(fill, values![ONE, &json!(numbers).to_string()]).unwrap();
    alice.sleep();
    assert!(matches!(subscribe(10_000), Err(Refusal::Forbidden(_))));
    let unsubscribe = Unsubscribe { room_id: room_id.clone(), root: root(5), newest: 1 };
    alice.ask(&unsubscribe).unwrap();
    assert_eq!(subscribe(10_000), Ok(true));
    assert!(matches!(subscribe(10_001), Err(Refusal::Forbidden(_))));
    assert_eq!(subscribe(5), subscribe(10_001), "it is forgotten");
}

#[test]
fn a_forgotten_rooms_subscriptions_leave_their_positions_behind() {
    let alice = alice();
    alice.log_in();
    alice.news(TWO, 1);
    let room_id: OwnedRoomId = ONE.try_into().unwrap();
    let user: OwnedUserId = "@alice:ours.test".try_into().unwrap();
    let news = UserNews::of(user, 1, Membership::Leave);
    alice.ask(&News { room_id: room_id.clone(), news }).unwrap();
    let root: OwnedEventId = "$1".try_into().unwrap();
    alice.ask(&Subscribe { room_id: room_id.clone(), root, cause: None }).unwrap();
    let end = alice.pull(None).next;
    alice.ask(&Forget { room_id }).unwrap();
    alice.sleep();
    alice.news(TWO, 2);
    assert!(alice.pull(None).next > end, "no position is given twice");
}
