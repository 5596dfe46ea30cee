//! Is the list that is held of another server's user good?

use std::rc::Rc;

use serde_json::value::RawValue;
use tombolo_platform::Message;
use tombolo_support::{LoneObject, Secrets};

use super::messages::*;
use crate::{app::Tombolo, objects::keys_object};

const SHARED_SINCE: u64 = 10;

struct Held(LoneObject);

impl Held {
    /// A list up to this change, asked for at 100.
    fn new(stream_id: i64) -> Self {
        let user = ruma::user_id!("@bob:theirs.test");
        let address = (&keys_object(user)).into();
        let held = Self(LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1)));
        held.hold(100, 100, stream_id);
        held
    }

    fn ask<M>(&self, now: u64, message: &M) -> M::Reply
    where
        M: Message,
        M::Refusal: std::fmt::Debug,
    {
        self.0.ask(now, message).unwrap()
    }

    fn hold(&self, now: u64, asked_at: u64, stream_id: i64) {
        let list = UserKeysShown { master_key: Some(raw("1")), ..UserKeysShown::default() };
        self.ask(now, &HoldList { stream_id, asked_at, list });
    }

    fn note(&self, stream_id: i64, prev_ids: &[i64], keys: Option<Box<RawValue>>) {
        let (device, prev_ids) = ("PHONE".to_owned(), prev_ids.to_vec());
        let (deleted, display_name) = (false, None);
        self.ask(200, &NoteDevice { device, stream_id, prev_ids, keys, deleted, display_name });
    }

    fn is_good(&self) -> bool {
        self.ask(300, &HeldList { shared_since: SHARED_SINCE }).is_some()
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn a_change_that_follows_keeps_it_good() {
    let held = Held::new(5);
    held.note(6, &[5], Some(raw("{}")));
    held.note(6, &[5], Some(raw("{}")));
    assert!(held.is_good());
}

#[test]
fn what_does_not_follow_or_says_too_little_makes_it_bad() {
    for (stream_id, prev_ids, keys) in [
        (7, vec![6], Some(raw("{}"))),
        (6, vec![], Some(raw("{}"))),
        (6, vec![4], Some(raw("{}"))),
        // Its server has lost count, or it came late.
        (3, vec![], Some(raw("{}"))),
        (4, vec![3], Some(raw("{}"))),
        (6, vec![5], None),
    ] {
        let held = Held::new(5);
        held.note(stream_id, &prev_ids, keys);
        assert!(!held.is_good(), "{stream_id} after {prev_ids:?}");
        // What is asked for then is good again.
        held.hold(210, 205, stream_id);
        assert!(held.is_good(), "{stream_id} after {prev_ids:?}");
    }
}

#[test]
fn a_list_that_was_asked_for_before_a_change_is_not_good() {
    let held = Held::new(5);
    held.note(6, &[5], Some(raw("{}")));
    held.hold(210, 205, 5);
    assert!(held.is_good(), "the change is in what was held");
    let signing = NoteSigning { master_key: Some(raw("2")), self_signing_key: None };
    held.ask(250, &signing);
    held.hold(260, 240, 7);
    assert!(!held.is_good(), "the keys may be those of before");
    held.hold(270, 265, 7);
    assert!(held.is_good());
}

#[test]
fn a_list_is_good_while_the_sharing_goes_on() {
    let held = Held::new(5);
    assert!(held.ask(300, &HeldList { shared_since: 101 }).is_none());
}

#[test]
fn one_asks_at_a_time() {
    let held = Held::new(5);
    assert!(held.ask(300, &BeginAsk { until: 400 }));
    assert!(!held.ask(310, &BeginAsk { until: 410 }));
    held.ask(320, &EndAsk {});
    assert!(held.ask(330, &BeginAsk { until: 430 }));
    held.hold(340, 330, 5);
    assert!(held.ask(350, &BeginAsk { until: 450 }));
    assert!(held.ask(450, &BeginAsk { until: 550 }), "nothing was heard of that one");
}
