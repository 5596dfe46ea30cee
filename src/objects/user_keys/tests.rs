//! Is the list that is held of another server's user good, and what stays of a device's keys?

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
        let held = Self::nothing();
        held.hold(100, 100, stream_id);
        held
    }

    /// No list was asked for yet.
    fn nothing() -> Self {
        let address = (&keys_object(ruma::user_id!("@bob:theirs.test"))).into();
        Self(LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1)))
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

    fn note(&self, stream_id: i64, prev_ids: &[i64], keys: Option<Box<RawValue>>) -> Option<i64> {
        let (device, prev_ids) = ("PHONE".to_owned(), prev_ids.to_vec());
        let (deleted, display_name) = (false, None);
        let change = NoteDevice { device, stream_id, prev_ids, keys, deleted, display_name };
        self.ask(200, &NoteChange { change: Change::Device(change) })
    }

    /// Notes a change of a device with keys.
    fn noted(&self, stream_id: i64, prev_ids: &[i64]) -> Option<i64> {
        self.note(stream_id, prev_ids, Some(raw("{}")))
    }

    fn is_good(&self) -> bool {
        self.ask(300, &HeldList { shared_since: SHARED_SINCE }).is_some()
    }
}

/// The master key changed.
fn signing() -> NoteChange {
    let signing = NoteSigning { master_key: Some(raw("2")), self_signing_key: None };
    NoteChange { change: Change::Signing(signing) }
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
    let signing = signing();
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
    assert!(held.ask(300, &BeginAsk { until: 400 }).is_some());
    assert!(held.ask(310, &BeginAsk { until: 410 }).is_none());
    held.ask(320, &EndAsk {});
    assert!(held.ask(330, &BeginAsk { until: 430 }).is_some());
    held.hold(340, 330, 5);
    assert!(held.ask(350, &BeginAsk { until: 450 }).is_some());
    assert!(held.ask(450, &BeginAsk { until: 550 }).is_some(), "nothing was heard of that one");
}

#[test]
fn a_change_is_told_when_it_comes_though_a_list_that_was_asked_for_has_it() {
    let held = Held::new(5);
    let note = || held.noted(6, &[5]);
    held.hold(150, 140, 6);
    let upto = note().unwrap();
    held.ask(200, &ChangesTold { upto });
    assert_eq!(note(), None);
}

#[test]
fn a_change_is_told_once_however_often_it_comes() {
    let held = Held::new(5);
    let note = |stream_id: i64| held.noted(stream_id, &[stream_id - 1]);
    let master = signing;
    assert_eq!((note(6), note(6)), (Some(2), Some(2)), "nobody was told yet");
    held.ask(200, &ChangesTold { upto: 2 });
    assert_eq!((note(6), note(7)), (None, Some(3)));
    held.ask(200, &ChangesTold { upto: 3 });
    assert_eq!(held.ask(200, &master()), Some(4));
    held.ask(200, &ChangesTold { upto: 4 });
    assert_eq!(held.ask(200, &master()), None);
    // What cannot be read is told once, too, until the list is asked for again.
    held.hold(210, 205, 7);
    assert_eq!(held.ask(220, &NoteChange { change: Change::Unread }), Some(6));
    assert!(!held.is_good());
    held.ask(220, &ChangesTold { upto: 6 });
    assert_eq!(held.ask(220, &NoteChange { change: Change::Unread }), None);
}

#[test]
fn an_introduction_is_no_change() {
    let held = Held::nothing();
    let note = |stream_id: i64, prev_id: i64| held.note(stream_id, &[prev_id], None);
    assert_eq!((note(5, 5), note(5, 5)), (None, None));
    assert!(!held.is_good());
    assert_eq!(note(6, 5), Some(2));
    // Of what was missed before it, ours have to know.
    assert_eq!(note(8, 8), Some(3));
    held.ask(200, &ChangesTold { upto: 3 });
    held.hold(210, 205, 8);
    assert_eq!(note(8, 8), None, "the list that is held has it");
    assert!(held.is_good());
}

#[test]
fn a_change_is_told_though_an_introduction_or_the_first_list_overtook_it() {
    for is_held in [false, true] {
        let held = Held::nothing();
        // Somebody may have been told of the devices before the change, when nothing was held.
        if is_held {
            held.hold(150, 140, 6);
        } else {
            assert_eq!(held.noted(6, &[6]), None);
        }
        let upto = held.noted(6, &[5]).unwrap();
        held.ask(200, &ChangesTold { upto });
        assert_eq!(held.noted(6, &[5]), None);
        assert_eq!(held.is_good(), is_held);
    }
}

/// The keys of a user of ours.
struct Own(LoneObject);

impl Own {
    fn new() -> Self {
        let address = (&keys_object(ruma::user_id!("@alice:ours.test"))).into();
        Self(LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1)))
    }

    /// Uploads the device PHONE with this identity key, one-time keys and a fallback key of these names.
    fn upload(
        &self,
        born: i64,
        identity: Option<&str>,
        [one_time, fallback]: [&[&str]; 2],
    ) -> Result<Uploaded, Refusal> {
        let device_keys = identity.map(|key| {
            let keys = serde_json::json!({
                "user_id": "@alice:ours.test", "device_id": "PHONE", "algorithms": [],
                "keys": { "curve25519:PHONE": key }, "signatures": {},
            });
            raw(&keys.to_string())
        });
        let keys = |names: &[&str]| {
            let named = names.iter().map(|name| {
                let key = format!(r#"{{"key":"{name}","signatures":{{}}}}"#);
                (format!("signed_curve25519:{name}"), raw(&key))
            });
            named.collect()
        };
        let of = Born { device: "PHONE".to_owned(), born };
        let (one_time_keys, fallback_keys) = (keys(one_time), keys(fallback));
        let upload =
            UploadKeys { of, display_name: None, device_keys, one_time_keys, fallback_keys };
        self.0.ask(1, &upload)
    }

    fn claim(&self) -> Option<String> {
        let wanted = vec![("PHONE".to_owned(), "signed_curve25519".to_owned())];
        let claimed = self.0.ask(2, &ClaimKeys { wanted }).unwrap();
        claimed.into_iter().next().map(|claimed| claimed.key_id)
    }

    fn has_keys(&self) -> bool {
        let query = QueryKeys { devices: Vec::new(), own: true };
        !self.0.ask(3, &query).unwrap().devices.is_empty()
    }
}

#[test]
fn a_fallback_key_that_comes_again_stays_used() {
    let own = Own::new();
    let unused =
        |names: &[&str]| own.upload(1, None, [&[], names]).unwrap().counts.unused_fallback_keys;
    assert_eq!(unused(&["f"]), ["signed_curve25519"]);
    assert_eq!(own.claim().unwrap(), "signed_curve25519:f");
    assert!(unused(&["f"]).is_empty());
    assert_eq!(unused(&["g"]), ["signed_curve25519"]);
}

#[test]
fn a_device_with_another_identity_has_none_of_the_keys_of_before() {
    let own = Own::new();
    own.upload(1, Some("one"), [&["a"], &["f"]]).unwrap();
    own.upload(1, Some("one"), [&[], &[]]).unwrap();
    let counts = own.upload(1, Some("two"), [&["b"], &[]]).unwrap().counts;
    assert_eq!(counts.one_time_keys["signed_curve25519"], 1);
    assert_eq!((own.claim().unwrap(), own.claim()), ("signed_curve25519:b".to_owned(), None));
}

#[test]
fn a_younger_device_of_a_name_has_none_of_the_keys_of_the_older() {
    let own = Own::new();
    own.upload(1, Some("one"), [&["a"], &[]]).unwrap();
    own.upload(2, None, [&["b"], &[]]).unwrap();
    assert!(!own.has_keys());
    assert_eq!((own.claim().unwrap(), own.claim()), ("signed_curve25519:b".to_owned(), None));
    // The older one is late, the younger one is there.
    own.upload(1, None, [&["c"], &[]]).unwrap_err();
    own.upload(2, Some("two"), [&[], &[]]).unwrap();
    assert!(own.has_keys());
    own.0
        .ask(4, &DropDevices { devices: vec![Born { device: "PHONE".to_owned(), born: 2 }] })
        .unwrap();
    own.upload(2, Some("two"), [&[], &[]]).unwrap_err();
    assert!(!own.has_keys());
}

#[test]
fn what_comes_after_the_deactivation_is_refused() {
    let own = Own::new();
    own.0.ask(1, &DropKeys {}).unwrap();
    own.upload(1, Some("one"), [&[], &[]]).unwrap_err();
    let (algorithm, auth_data) = ("m.test".to_owned(), raw("{}"));
    own.0.ask(1, &CreateBackup { algorithm, auth_data }).unwrap_err();
    let (keys, proved, devices) = (CrossSigningKeys::default(), true, Vec::new());
    own.0.ask(1, &UploadCrossSigning { keys, proved, devices }).unwrap_err();
    own.0.ask(1, &AddSignatures { signed: Vec::new() }).unwrap_err();
}

#[test]
fn what_is_shown_is_copied_once_for_each_version() {
    let own = Own::new();
    let copy = || own.0.ask(5, &QueryKeys { devices: Vec::new(), own: false }).unwrap();
    assert_eq!(copy().version, Some(0));
    own.upload(1, Some("one"), [&[], &[]]).unwrap();
    assert_eq!((copy().version, copy().devices.len()), (Some(1), 1));
    let untold = || own.0.ask(6, &Untold {}).unwrap();
    assert!(untold().uncopied);
    let told = |copied: i64| {
        own.0.ask(6, &ListTold { version: 1, sent: Some(1), counts: Vec::new(), copied }).unwrap();
    };
    // A Worker that knew of no copy has told everybody, who may have found an older copy: they are told again.
    told(0);
    own.0.evict();
    assert!(untold().uncopied && untold().changed());
    own.0.evict();
    untold();
    assert!(own.0.alarm.get().is_some());
    told(1);
    own.0.evict();
    assert!(untold().is_empty());
    assert_eq!(own.0.alarm.get(), None);
    own.0.ask(7, &DropKeys {}).unwrap();
    assert!(copy().version > Some(1));
}

#[test]
fn the_longer_it_cannot_be_told_the_later_it_is_tried() {
    let own = Own::new();
    own.upload(1, Some("one"), [&[], &[]]).unwrap();
    let wait = |now: u64| {
        own.0.evict();
        let since = own.0.ask(now, &Untold {}).unwrap().since;
        (since, own.0.alarm.get().map(|alarm| alarm - now))
    };
    assert_eq!(wait(1_000), (Some(1), Some(5_000)));
    assert_eq!(wait(100_001), (Some(1), Some(100_000)));
    assert_eq!(wait(100_000_001), (Some(1), Some(3_600_000)));
}

#[test]
fn a_device_without_keys_takes_no_signatures_with_it() {
    let own = Own::new();
    own.upload(1, Some("one"), [&[], &[]]).unwrap();
    let insert = "INSERT INTO signatures (user, target, key, signature, version)
                  VALUES ('@alice:ours.test', 'PHONE', 'ed25519:KEY', 's', 1)";
    own.0.sql.run(insert, tombolo_platform::values![]).unwrap();
    let signed = || {
        let shown = own.0.ask(3, &QueryKeys { devices: Vec::new(), own: true }).unwrap();
        shown.devices["PHONE"].keys.get().contains("ed25519:KEY")
    };
    assert!(signed());
    let devices = vec![Born { device: "KEY".to_owned(), born: 5 }];
    own.0.ask(4, &DropDevices { devices }).unwrap();
    own.0
        .ask(
            5,
            &UploadKeys {
                of: Born { device: "KEY".to_owned(), born: 6 },
                display_name: None,
                device_keys: None,
                one_time_keys: Default::default(),
                fallback_keys: Default::default(),
            },
        )
        .unwrap();
    assert!(signed());
}
