//! What might someone do next?

use serde_json::{Value, json};

use crate::{
    founding, levels, members,
    world::{Branch, SERVERS, USERS, World},
};

/// What someone does.
#[derive(Clone)]
pub struct Deed {
    /// What it is about, for reports.
    pub aim: &'static str,
    /// Who does it.
    pub sender: String,
    /// The type of the event.
    pub kind: String,
    /// The state key; not always a string.
    pub state_key: Option<Value>,
    /// The content; not always an object.
    pub content: Value,
    /// What stands at the top level as redacted.
    pub redacts: Option<Value>,
    /// Whether the room goes on with it.
    pub keep: bool,
}

/// A state event.
pub fn state(
    aim: &'static str,
    sender: &str,
    (kind, state_key): (&str, &str),
    content: Value,
) -> Deed {
    Deed {
        aim,
        sender: sender.to_owned(),
        kind: kind.to_owned(),
        state_key: Some(state_key.into()),
        content,
        redacts: None,
        keep: true,
    }
}

type Choice = fn(&World, &Branch) -> Deed;

const CHOICES: [(usize, Choice); 16] = [
    (10, members::join),
    (8, members::invite),
    (6, members::leave),
    (6, members::remove),
    (6, members::ban),
    (4, members::knock),
    (2, members::formless),
    (2, members::nobody),
    (4, members::third_party),
    (16, levels::change),
    (7, join_rules),
    (4, third_party_invite),
    (8, some_state),
    (4, message),
    (4, redaction),
    (3, |world, _| founding::another(world)),
];

/// Anything.
pub fn any(world: &World, branch: &Branch) -> Deed {
    world.dice.weighted(&CHOICES)(world, branch)
}

/// Something that is allowed, or is not, as far as some tries find it.
pub fn sought(world: &World, branch: &Branch, allowed: bool) -> Deed {
    let mut deed = any(world, branch);
    for _ in 0..6 {
        if world.allows(branch, &deed) == allowed {
            break;
        }
        deed = any(world, branch);
    }
    deed
}

fn join_rules(world: &World, _: &Branch) -> Deed {
    let dice = &world.dice;
    let rule = dice.weighted(&[
        (5, "public"),
        (4, "invite"),
        (3, "knock"),
        (5, "restricted"),
        (5, "knock_restricted"),
        (1, "private"),
        (1, "org.example.rule"),
    ]);
    let mut content = json!({ "join_rule": rule, "allow": [{ "room_id": world.text() }] });
    if dice.percent(6) {
        let junk = [
            json!({}),
            json!({ "join_rule": 5 }),
            json!({ "join_rule": null }),
            json!({ "join_rule": ["public"] }),
        ];
        content = dice.one(&junk).clone();
    }
    let key = dice.weighted(&[(30, ""), (1, "x")]);
    state("join rules", world.user(), ("m.room.join_rules", key), content)
}

fn some_state(world: &World, _: &Branch) -> Deed {
    let dice = &world.dice;
    let sender = world.user();
    let kinds = [
        "m.room.topic",
        "m.room.name",
        "m.room.history_visibility",
        "m.room.server_acl",
        "m.room.tombstone",
        "m.room.aliases",
        "m.room.encryption",
        "org.example.state",
        "m.room.message",
        "",
    ];
    let keys =
        ["", "", "", "", sender, world.user(), "@", "@nobody", "x", SERVERS[0], SERVERS[1], "@_"];
    let content =
        json!({ world.text(): world.text(), "topic": world.text(), "aliases": [world.text()] });
    state("state", sender, (*dice.one(&kinds), *dice.one(&keys)), content)
}

fn message(world: &World, _: &Branch) -> Deed {
    let content = json!({ "body": world.text(), world.text(): { world.text(): [null, true, -5, 9_007_199_254_740_991_i64] } });
    let kind = world.dice.weighted(&[
        (5, "m.room.message"),
        (1, "org.example.state"),
        (1, "m.room.topic"),
        (1, "m.room.member"),
    ]);
    let mut deed = state("message", world.user(), (kind, ""), content);
    deed.state_key = None;
    deed
}

fn redaction(world: &World, branch: &Branch) -> Deed {
    let dice = &world.dice;
    let targets: Vec<Value> = world.events.keys().map(|id| id.as_str().into()).collect();
    let target = dice.one(&targets).clone();
    let top = [target.clone(), json!("$unknown"), json!(5), Value::Null, json!("evil")];
    let mut deed = message(world, branch);
    deed.aim = "redaction";
    deed.kind = "m.room.redaction".to_owned();
    deed.content = json!({ "reason": world.text() });
    if dice.percent(80) {
        deed.redacts = Some(dice.one(&top).clone());
    }
    if dice.percent(60) {
        deed.content["redacts"] = dice.one(&top).clone();
    }
    deed
}

/// The event that a third-party invite refers to. Its content gets the keys in [`members`].
fn third_party_invite(world: &World, _: &Branch) -> Deed {
    let token = format!("token{}", world.dice.below(3));
    let content = members::identity_keys(world);
    let key = world.dice.weighted(&[(20, token.as_str()), (1, "")]);
    let sender = world.dice.weighted(&[(3, USERS[0]), (2, world.user())]);
    state("third-party invite event", sender, ("m.room.third_party_invite", key), content)
}
