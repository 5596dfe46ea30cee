//! How might someone change the power levels?

use ruma::UserId;
use serde_json::{Map, Value, json};
use tombolo_protocol::power_levels::{Level, PowerLevels};

use crate::{
    deeds::{Deed, state},
    world::{Branch, USERS, World},
};

const FIELDS: [&str; 7] =
    ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];
const MAPS: [&str; 3] = ["users", "events", "notifications"];
const KINDS: [&str; 6] = [
    "m.room.topic",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.message",
    "org.example.state",
    "m.room.third_party_invite",
];
const MOST: i64 = 9_007_199_254_740_991;

/// Power levels that differ from those of now in a few places.
pub fn change(world: &World, branch: &Branch) -> Deed {
    let dice = &world.dice;
    let now = world.content(&branch.state, "m.room.power_levels", "");
    let mut content = now.unwrap_or_else(|| usual(world));
    let sender = changer(world, branch, &content);
    let own = own_level(world, branch, sender);
    for _ in 0..dice.weighted(&[(2, 0), (8, 1), (4, 2), (2, 4)]) {
        alter(world, &mut content, own);
    }
    let key = dice.weighted(&[(40, ""), (1, "x")]);
    let aim = "power levels";
    state(aim, sender, ("m.room.power_levels", key), Value::Object(content))
}

/// Someone who may change levels, as a rule.
fn changer(world: &World, branch: &Branch, content: &Map<String, Value>) -> &'static str {
    let may = |user: &&str| {
        let same = Value::Object(content.clone());
        world.allows(branch, &state("", user, ("m.room.power_levels", ""), same))
    };
    let able: Vec<_> = USERS.into_iter().filter(may).collect();
    if able.is_empty() || world.dice.percent(25) {
        world.user()
    } else {
        let chosen: &&str = world.dice.one(&able);
        chosen
    }
}

fn own_level(world: &World, branch: &Branch, sender: &str) -> i64 {
    let create = world.at(&branch.state, "m.room.create", "");
    let levels = world.at(&branch.state, "m.room.power_levels", "");
    let level = create.map(|create| {
        let levels = PowerLevels::of(world.version, &create, levels.as_deref());
        levels.user(&UserId::parse(sender).unwrap())
    });
    if let Some(Level::Finite(level)) = level { level } else { 100 }
}

/// What a client would set in a new room.
pub fn usual(world: &World) -> Map<String, Value> {
    let dice = &world.dice;
    let mut users = json!({ USERS[2]: 50, USERS[1]: 75, USERS[0]: 100 });
    let creators = world.creators();
    if dice.percent(97) {
        users.as_object_mut().unwrap().retain(|user, _| !creators.contains(user));
    }
    let content = json!({
        "users": users, "users_default": 0, "events": { "m.room.power_levels": dice.one(&[50, 50, 75, 100]), "m.room.topic": 25 },
        "state_default": 50, "events_default": 0, "ban": 50, "kick": 50, "redact": 50, "invite": dice.one(&[0, 25, 60]),
        "notifications": { "room": 50 },
    });
    let Value::Object(mut content) = content else { panic!("it is an object") };
    content.retain(|key, _| key == "users" || dice.percent(70));
    content
}

fn alter(world: &World, content: &mut Map<String, Value>, own: i64) {
    let dice = &world.dice;
    if dice.percent(55) {
        let field = *dice.one(&FIELDS);
        if dice.percent(25) {
            content.remove(field);
        } else {
            content.insert(field.to_owned(), level(world, own));
        }
        return;
    }
    let name = dice.weighted(&[(6, "users"), (5, "events"), (3, "notifications")]);
    if dice.percent(3) {
        let junk = [json!(5), Value::Null, json!([]), json!("x"), json!([["@a:a.example", 5]])];
        content.insert((*dice.one(&MAPS)).to_owned(), dice.one(&junk).clone());
        return;
    }
    let map = content.entry(name).or_insert_with(|| json!({}));
    let Some(map) = map.as_object_mut() else { return };
    let key = match name {
        "users" => user(world),
        "events" => *dice.one(&KINDS),
        _ => dice.one(&["room", "other"]),
    };
    if dice.percent(25) {
        map.remove(key);
    } else {
        map.insert(key.to_owned(), level(world, own));
    }
}

fn user(world: &World) -> &'static str {
    let odd = [
        "evil",
        "@evil",
        "",
        "@:a.example",
        "@a:",
        "@a:b c",
        "@a:a.example:99999",
        "a:a.example",
        "@a:[::1]",
    ];
    if world.dice.percent(4) {
        let chosen: &&str = world.dice.one(&odd);
        chosen
    } else {
        world.user()
    }
}

/// A level: mostly one that makes sense, often about as high as the sender's own.
fn level(world: &World, own: i64) -> Value {
    let dice = &world.dice;
    if dice.percent(35) && own.abs() < MOST {
        return (own + *dice.one(&[-1, 0, 1])).into();
    }
    match dice.below(14) {
        0 => odd(world),
        1 => (*dice.one(&[MOST, -MOST, -1, 101])).into(),
        2 if !world.version.rules.authorization.integer_power_levels => {
            dice.one(&["50", "0", "100"]).to_owned().into()
        }
        _ => (*dice.one(&[0, 0, 1, 25, 25, 50, 50, 50, 75, 99, 100])).into(),
    }
}

fn odd(world: &World) -> Value {
    let choices = [
        json!("50"),
        json!(" 50 "),
        json!("+50"),
        json!("-5"),
        json!("050"),
        json!("0"),
        json!("5_0"),
        json!("50.0"),
        json!("1e2"),
        json!(""),
        json!("abc"),
        json!("0x10"),
        json!("\u{ff15}\u{ff10}"),
        json!("\u{a0}50"),
        json!("\n50\t"),
        json!("- 5"),
        json!("9007199254740991"),
        json!("9007199254740992"),
        json!("99999999999999999999"),
        json!(true),
        json!(false),
        Value::Null,
        json!([]),
        json!({}),
        json!([50]),
    ];
    world.dice.one(&choices).clone()
}
