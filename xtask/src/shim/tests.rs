//! Do the entry module and the launcher name the objects that `wrangler.toml` declares?

use super::*;

const WRANGLER: &str = r#"
name = "x"
[[durable_objects.bindings]]
name = "ROOM"
class_name = "RoomObject"
[[durable_objects.bindings]]
name = "USER_SYNC"
class_name = "UserSyncObject"
"#;

#[test]
fn the_declared_classes_are_read_in_order() {
    assert_eq!(declared(WRANGLER).unwrap(), ["RoomObject", "UserSyncObject"]);
}

#[test]
fn a_configuration_without_objects_is_refused() {
    assert!(declared("name = \"x\"").is_err());
    assert!(declared("[[durable_objects.bindings]]\nname = \"ROOM\"").is_err());
}

#[test]
fn every_class_is_exported_wrapped() {
    let text = entry(&["RoomObject".to_owned()]);
    assert!(text.contains("export const RoomObject = objectClass(wasm.RoomObject);"));
    assert!(text.contains("export { default } from \"./worker.js\";"));
}

#[test]
fn a_binding_is_the_class_in_capitals_without_its_suffix() {
    assert_eq!(binding("RoomObject"), "ROOM");
    assert_eq!(binding("UserSyncObject"), "USER_SYNC");
    assert_eq!(binding("Counter"), "COUNTER");
}

#[test]
fn the_bindings_of_the_real_configuration_follow_from_its_classes() {
    let table: toml::Table = include_str!("../../../wrangler.toml").parse().unwrap();
    for one in table["durable_objects"]["bindings"].as_array().unwrap() {
        assert_eq!(binding(one["class_name"].as_str().unwrap()), one["name"].as_str().unwrap());
    }
}
