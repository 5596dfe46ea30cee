//! What becomes of a response whose backup goes while it is sent?

use std::collections::BTreeMap;

use ruma::{RoomId, UInt, UserId};
use serde_json::value::RawValue;
use tombolo_platform::Unread;
use tombolo_support::Scene;

use super::Keys;
use crate::objects::{keys_object, user_keys::messages::*};

fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap()
}

#[test]
fn what_is_cut_short_is_no_whole_backup() {
    let scene = Scene::new(std::rc::Rc::new(crate::app::Tombolo), "example.org", &[]);
    let (world, run) = (scene.server.world(), &scene.simulation);
    let object = keys_object(&UserId::parse("@alice:example.org").unwrap());
    let create = CreateBackup { algorithm: "m.example".to_owned(), auth_data: empty() };
    let version = run.run(world.ask(&object, &create)).unwrap();
    let one = UInt::from(1_u32);
    let key = BackupKey {
        first_message_index: one,
        forwarded_count: one,
        is_verified: true,
        session_data: empty(),
    };
    let sessions = (0..1500).map(|number| (number.to_string(), key.clone())).collect();
    let keys = BTreeMap::from([(RoomId::parse("!a:example.org").unwrap(), sessions)]);
    let store = StoreBackupKeys { version: version.clone(), keys };
    run.run(world.ask(&object, &store)).unwrap();
    let next = BackupPage { version: version.clone(), room_id: None, after: None };
    let mut body = run.run(Keys::begin(world.clone(), object.clone(), next)).unwrap().body();
    assert!(matches!(run.run(body.next()), Some(Ok(begin)) if begin.len() > 1000));
    run.run(world.ask(&object, &DeleteBackup { version })).unwrap();
    assert!(matches!(run.run(body.next()), Some(Err(Unread::Broken(_)))));
}
