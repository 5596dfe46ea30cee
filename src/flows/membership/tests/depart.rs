//! Does a deactivated user leave all rooms, whatever becomes of the request that asked for it?

use ruma::UserId;
use serde_json::{json, value::RawValue};
use tombolo_platform::AskError;

use crate::{
    flows::tests::{meet, membership, two_servers},
    objects::{
        keys_object,
        user_keys::messages::{Backup, CreateBackup, Refusal},
        user_object,
        user_sync::messages::{Deactivate, SetAccountData},
    },
    stores::{accounts, profiles},
};

#[test]
fn the_alarm_does_what_the_request_did_not_live_to_do() {
    let two = two_servers();
    let room = meet(&two);
    let invited = two.scene.room(&two.alice, &json!({ "invite": [two.bob.id] }));
    two.cut(600_000);
    let bob = UserId::parse(two.bob.id.as_str()).unwrap();
    let world = two.bob.server.world();
    let (address, deactivate) = (user_object(&bob), Deactivate { erase: true });
    two.scene.simulation.run(world.ask(&address, &deactivate)).unwrap();
    two.scene.pass(5_000);
    let account = two.scene.simulation.run(accounts::find(&world, "bob")).unwrap().unwrap();
    assert!(account.deactivated && account.password_hash.is_none());
    let is = |room: &str| membership(&two.scene, &two.alice, room, &two.bob.id);
    assert_eq!((is(&room).as_deref(), is(&invited).as_deref()), (Some("join"), Some("invite")));
    two.scene.simulation.settle(86_400_000);
    assert_eq!((is(&room).as_deref(), is(&invited).as_deref()), (Some("leave"), Some("leave")));
}

#[test]
fn an_account_without_rooms_is_finished_too() {
    let two = two_servers();
    let bob = UserId::parse(two.bob.id.as_str()).unwrap();
    let world = two.bob.server.world();
    let (address, deactivate) = (user_object(&bob), Deactivate { erase: true });
    two.scene.simulation.run(world.ask(&address, &deactivate)).unwrap();
    two.scene.simulation.settle(600_000);
    let account = two.scene.simulation.run(accounts::find(&world, "bob")).unwrap().unwrap();
    assert!(account.deactivated && account.password_hash.is_none());
    // An invite that comes afterwards is refused to another server, and declined here.
    let dora = two.scene.register_on(&two.bob.server, "dora");
    for (inviter, then) in [(&two.alice, None), (&dora, Some("leave"))] {
        let room = two.scene.room(inviter, &json!({ "invite": [two.bob.id] }));
        two.scene.simulation.settle(600_000);
        assert_eq!(membership(&two.scene, inviter, &room, &two.bob.id).as_deref(), then);
    }
}

#[test]
fn what_was_under_way_brings_nothing_of_a_user_back() {
    let two = two_servers();
    let bob = UserId::parse(two.bob.id.as_str()).unwrap();
    let world = two.bob.server.world();
    let address = user_object(&bob);
    let run = &two.scene.simulation;
    run.run(world.ask(&address, &Deactivate { erase: true })).unwrap();
    run.settle(600_000);
    run.run(profiles::set_displayname(&world, "bob", Some("Bob"))).unwrap();
    run.run(profiles::set_avatar_url(&world, "bob", Some("mxc://ours.test/a"))).unwrap();
    assert_eq!(run.run(profiles::find(&world, "bob")).unwrap(), None);
    let field = json!("Europe/Vienna");
    assert!(!run.run(profiles::save_field(&world, "bob", ("m.tz", &field))).unwrap());
    let content = RawValue::from_string("{}".to_owned()).unwrap();
    let data = SetAccountData { room_id: None, event_type: "org.example".to_owned(), content };
    assert!(matches!(run.run(world.ask(&address, &data)), Err(AskError::Refused(_))));
}

#[test]
fn the_backups_of_a_user_are_deleted() {
    let two = two_servers();
    let bob = UserId::parse(two.bob.id.as_str()).unwrap();
    let world = two.bob.server.world();
    let auth_data = RawValue::from_string("{}".to_owned()).unwrap();
    let create = CreateBackup { algorithm: "m.example".to_owned(), auth_data };
    let run = &two.scene.simulation;
    run.run(world.ask(&keys_object(&bob), &create)).unwrap();
    let backup = || run.run(world.ask(&keys_object(&bob), &Backup { version: None }));
    assert!(backup().is_ok());
    run.run(world.ask(&user_object(&bob), &Deactivate { erase: false })).unwrap();
    run.settle(600_000);
    assert!(matches!(backup(), Err(AskError::Refused(Refusal::NotFound))));
}
