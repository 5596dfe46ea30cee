//! Do clients learn what application services know of their networks?

use serde_json::{Value, json};
use tombolo_support::{Answer, Bridge, Manner};

use super::Bridged;

fn protocol(network: &str) -> Value {
    json!({
        "user_fields": ["nick"], "location_fields": ["channel"], "icon": "", "field_types": {},
        "instances": [{ "desc": network, "fields": {}, "network_id": network }],
    })
}

impl Bridged {
    fn third_party(&self, path: &str) -> Answer {
        self.scene.get(&self.alice, &format!("/_matrix/client/v3/thirdparty/{path}"))
    }
}

/// Two services that bridge to IRC; the second one listens, too.
fn bridged() -> (Bridged, Bridge) {
    let bridged = Bridged::with(&json!({ "protocols": ["irc", "gitter"] }));
    let other = Bridge::new(&bridged.scene.simulation, "other.test");
    bridged.register(&other.registration("other", "other_", &json!({ "protocols": ["irc"] })));
    (bridged, other)
}

#[test]
fn what_services_say_of_a_protocol_is_put_together() {
    let (bridged, other) = bridged();
    bridged.bridge.knows("/_matrix/app/v1/thirdparty/protocol/irc", protocol("freenode"));
    bridged.bridge.knows("/thirdparty/protocol/gitter", json!({ "instances": [] }));
    other.knows("/thirdparty/protocol/irc", protocol("oftc"));
    let irc = bridged.third_party("protocol/irc").ok();
    let instance = |service: &str, network: &str| {
        let id = format!("{service}|{network}");
        json!({ "desc": network, "fields": {}, "network_id": network, "instance_id": id })
    };
    assert_eq!(irc["instances"], json!([instance("other", "oftc"), instance("slack", "freenode")]));
    assert_eq!(irc["user_fields"], json!(["nick"]));
    // What says too little is no protocol, and it is remembered for an hour.
    assert_eq!(bridged.third_party("protocols").ok(), json!({ "irc": irc }));
    assert_eq!(other.pushed().len(), 1);
    bridged.third_party("protocol/none").refused(404, "M_NOT_FOUND");
    bridged.scene.pass(3_600_000);
    other.is(Manner::Answers(500));
    let alone = bridged.third_party("protocol/irc").ok();
    assert_eq!(alone["instances"], json!([instance("slack", "freenode")]));
    bridged.bridge.is(Manner::Answers(500));
    bridged.third_party("protocol/gitter").refused(408, "M_UNKNOWN");
    assert_eq!(bridged.third_party("protocols").ok(), json!({ "irc": alone }));
    let path = "/_matrix/client/v3/thirdparty/protocols";
    bridged.scene.call(None, &format!("GET {path}"), &Value::Null).refused(401, "M_MISSING_TOKEN");
}

#[test]
fn users_and_rooms_are_found_on_all_networks_of_a_protocol() {
    let (bridged, other) = bridged();
    let user = |name: &str| json!({ "userid": name, "protocol": "irc", "fields": {} });
    let room = json!({ "alias": "#a:b", "protocol": "irc", "fields": {} });
    // An older service knows the older path alone.
    bridged.bridge.is(Manner::Old);
    let given = json!([user("@a:b"), { "userid": 5 }]);
    bridged.bridge.knows("/unstable/thirdparty/user/irc?nick=a%26b", given);
    other.knows("/v1/thirdparty/user/irc?nick=a%26b", json!([user("@c:d")]));
    let found = bridged.third_party("user/irc?nick=a%26b&access_token=secret").ok();
    assert_eq!(found, json!([user("@c:d"), user("@a:b")]));
    other.knows("/v1/thirdparty/location?alias=%23a%3Ab", json!([room]));
    assert_eq!(bridged.third_party("location?alias=%23a:b").ok(), json!([room]));
    // One does not keep the others from answering.
    bridged.bridge.is(Manner::Answers(500));
    assert_eq!(bridged.third_party("user/irc?nick=a%26b").ok(), json!([user("@c:d")]));
    // Nor is it asked again at once.
    let asked = bridged.bridge.pushed().len();
    bridged.third_party("user/irc?nick=a%26b").ok();
    assert_eq!(bridged.bridge.pushed().len(), asked);
    // Whether there is one is not known then.
    bridged.third_party("user/irc?nick=z").refused(408, "M_UNKNOWN");
    bridged.bridge.is(Manner::Takes);
    bridged.scene.pass(30_000);
    for nothing in ["user/none?nick=a", "user/irc?nick=z", "user?userid=x", "location/irc"] {
        bridged.third_party(nothing).refused(404, "M_NOT_FOUND");
    }
    for bare in ["user", "location?userid=x"] {
        bridged.third_party(bare).refused(400, "M_MISSING_PARAM");
    }
    let sent = other.pushed();
    assert!(sent.iter().all(|sent| !sent.path.contains("none")));
}
