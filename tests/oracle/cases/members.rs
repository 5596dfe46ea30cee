//! What might someone do to a membership?

use serde_json::{Value, json};
use tombolo_protocol::{json::canonical_object, membership::Membership, signing::SigningKey};

use crate::{
    deeds::{Deed, state},
    world::{Branch, USERS, World},
};

fn member(aim: &'static str, sender: &str, target: &str, membership: &str) -> Deed {
    state(aim, sender, ("m.room.member", target), json!({ "membership": membership }))
}

/// A join, sometimes with someone who vouches for it, seldom on behalf of another.
pub fn join(world: &World, branch: &Branch) -> Deed {
    let dice = &world.dice;
    let (joined, others): (Vec<_>, Vec<_>) =
        USERS.into_iter().partition(|user| world.is_joined(branch, user));
    let or_anyone = |users: &[&'static str]| match users.is_empty() || dice.percent(20) {
        true => world.user(),
        false => *dice.one(users),
    };
    let user = or_anyone(&others);
    let sender = if dice.percent(5) { world.user() } else { user };
    let mut deed = member("join", sender, user, "join");
    if dice.percent(40) {
        deed.aim = "authorised join";
        deed.content["join_authorised_via_users_server"] = or_anyone(&joined).into();
    }
    if dice.percent(6) {
        let junk = [
            json!(5),
            Value::Null,
            json!("evil"),
            json!("@evil"),
            json!([USERS[0]]),
            json!("@a:a b"),
            json!("@:a.example"),
        ];
        deed.content["join_authorised_via_users_server"] = dice.one(&junk).clone();
    }
    if dice.percent(10) {
        deed.content["displayname"] = dice.one(&[json!(5), Value::Null, json!("x")]).clone();
    }
    deed
}

/// An invite.
pub fn invite(world: &World, _: &Branch) -> Deed {
    let mut deed = member("invite", world.user(), world.user(), "invite");
    if world.dice.percent(5) {
        let junk = [
            json!({}),
            json!(5),
            Value::Null,
            json!("x"),
            json!([]),
            json!({ "signed": null }),
            json!({ "signed": {} }),
            json!({ "signed": { "token": 5 } }),
            json!({ "signed": { "token": "token0" } }),
        ];
        deed.aim = "junk third-party invite";
        deed.content["third_party_invite"] = world.dice.one(&junk).clone();
    }
    deed
}

/// Someone leaves.
pub fn leave(world: &World, _: &Branch) -> Deed {
    let user = world.user();
    member("leave", user, user, "leave")
}

/// Someone is removed, or allowed in again.
pub fn remove(world: &World, branch: &Branch) -> Deed {
    let is_banned = |user: &&str| {
        let found = world.at(&branch.state, "m.room.member", user);
        found.is_some_and(|found| found.membership() == Some(Membership::Ban))
    };
    let banned: Vec<_> = USERS.into_iter().filter(is_banned).collect();
    let anyone = banned.is_empty() || world.dice.percent(50);
    let target = if anyone { world.user() } else { *world.dice.one(&banned) };
    let joined: Vec<_> = USERS.into_iter().filter(|user| world.is_joined(branch, user)).collect();
    let anyone = joined.is_empty() || world.dice.percent(30);
    let sender = if anyone { world.user() } else { *world.dice.one(&joined) };
    member("remove", sender, target, "leave")
}

/// Someone is banned, perhaps by themselves.
pub fn ban(world: &World, _: &Branch) -> Deed {
    member("ban", world.user(), world.user(), "ban")
}

/// Someone knocks.
pub fn knock(world: &World, _: &Branch) -> Deed {
    let user = world.user();
    let sender = if world.dice.percent(10) { world.user() } else { user };
    member("knock", sender, user, "knock")
}

/// A membership that is none.
pub fn formless(world: &World, _: &Branch) -> Deed {
    let user = world.user();
    let mut deed = member("formless membership", user, user, "join");
    let junk = [
        json!({}),
        json!({ "membership": 5 }),
        json!({ "membership": ["join"] }),
        json!({ "membership": null }),
        json!({ "membership": "admin" }),
        json!({ "membership": "" }),
        json!({ "membership": "Join" }),
        json!({ "membership": {} }),
    ];
    deed.content = world.dice.one(&junk).clone();
    deed
}

/// A membership of what is no user.
pub fn nobody(world: &World, _: &Branch) -> Deed {
    let dice = &world.dice;
    let membership = *dice.one(&["join", "invite", "ban", "leave", "knock"]);
    let mut deed = member("membership of nobody", world.user(), "", membership);
    let keys = [
        "",
        "alice",
        "@alice",
        "alice:a.example",
        "@:a.example",
        "@a:",
        "@a:b c",
        "@a:a.example:99999",
        "@a:a.example:x",
        ":",
        "@new:d.example",
        "@new:a.example",
    ];
    deed.state_key = if dice.percent(10) { None } else { Some((*dice.one(&keys)).into()) };
    deed
}

/// The identity server's key, or another.
fn identity_key(wrong: bool) -> SigningKey {
    SigningKey::from_seed("ed25519:0", [if wrong { 99 } else { 98 }; 32]).unwrap()
}

/// The keys in an event about a third-party invite.
pub fn identity_keys(world: &World) -> Value {
    let (right, wrong) = (identity_key(false), identity_key(true));
    let (right, wrong) = (right.public_key_base64(), wrong.public_key_base64());
    let entry = |key: &str| json!({ "public_key": key });
    let choices = [
        json!({ "public_key": right }),
        json!({ "public_key": right, "public_keys": [] }),
        json!({ "public_key": wrong, "public_keys": [entry(&right)] }),
        json!({ "public_keys": [entry(&wrong), entry(&right)] }),
        json!({ "public_keys": [entry(&right)], "key_validity_url": "https://id.example/valid" }),
        json!({ "public_key": wrong }),
        json!({ "public_keys": [] }),
        json!({}),
    ];
    let junk = [
        json!({ "public_key": 5 }),
        json!({ "public_key": null, "public_keys": [entry(&right)] }),
        json!({ "public_key": "%%", "public_keys": [entry(&right)] }),
        json!({ "public_keys": [{}, entry(&right)] }),
        json!({ "public_keys": [entry("AAAA"), entry(&right)] }),
        json!({ "public_keys": entry(&right) }),
        json!({ "public_keys": [5] }),
        json!({ "public_keys": null, "public_key": right }),
    ];
    let chosen = if world.tame || world.dice.percent(85) { &choices[..] } else { &junk[..] };
    world.dice.one(chosen).clone()
}

/// The invite that results from a third-party invite.
pub fn third_party(world: &World, branch: &Branch) -> Deed {
    let dice = &world.dice;
    let target = world.user();
    let token = format!("token{}", dice.below(3));
    let about = world.at(&branch.state, "m.room.third_party_invite", &token);
    let inviter = about.map(|event| event.sender.to_string());
    let sender = inviter.filter(|_| dice.percent(75)).unwrap_or_else(|| world.user().to_owned());
    let mxid = if dice.percent(90) { target } else { world.user() };
    let mut signed =
        canonical_object(json!({ "mxid": mxid, "token": token, "sender": sender })).unwrap();
    identity_key(dice.percent(15)).sign_json(&mut signed, "id.example");
    let mut signed: Value = serde_json::to_value(&signed).unwrap();
    if !world.tame && dice.percent(25) {
        spoil(world, &mut signed);
    }
    let mut deed = member("third-party invite", &sender, target, "invite");
    deed.content["third_party_invite"] = json!({ "display_name": "x", "signed": signed });
    if dice.percent(3) {
        deed.content["membership"] = "join".into();
    }
    deed
}

fn spoil(world: &World, signed: &mut Value) {
    let dice = &world.dice;
    let good = signed["signatures"]["id.example"]["ed25519:0"].clone();
    let padded = format!("{}==", good.as_str().unwrap());
    let signatures = [
        json!({}),
        json!({ "id.example": {} }),
        json!({ "id.example": { "ed25519:0": "AAAA" } }),
        json!({ "id.example": { "ed25519:0": 5 } }),
        json!({ "id.example": 5 }),
        json!({ "id.example": { "rsa:0": good } }),
        json!({ "id.example": { "ed25519:other": good } }),
        json!({ "other.example": { "ed25519:1": "AAAA", "ed25519:0": good } }),
        json!({ "id.example": { "ed25519:0": padded } }),
        json!({ "id.example": { "ed25519": good } }),
        json!([]),
        Value::Null,
    ];
    let removed = ["mxid", "token", "signatures", "sender"];
    let values = [json!(5), Value::Null, json!("x"), json!([])];
    match dice.below(4) {
        0 => {
            signed.as_object_mut().unwrap().remove(*dice.one(&removed));
        }
        1 => signed[*dice.one(&removed)] = dice.one(&values).clone(),
        2 => signed["added"] = json!(true),
        _ => signed["signatures"] = dice.one(&signatures).clone(),
    }
}
