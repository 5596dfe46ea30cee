//! Does every client know the devices of those with whom its user shares a room, and was it told of nobody else?
//! ([tracking the device list](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user))

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use crate::{
    client::{keys_of, list},
    keys,
    network::{Session, insist},
    scenario::Run,
};

/// What a user's own server says.
struct Truth {
    /// By room that the user has joined: who has joined it, and who is invited.
    rooms: BTreeMap<String, [BTreeSet<String>; 2]>,
    keys: Value,
}

pub async fn exact(run: &Run) -> Vec<String> {
    let mut truths = BTreeMap::new();
    for (user, named) in run.network.users.iter().enumerate() {
        truths.insert(named.id.clone(), truth(run, user).await);
    }
    let mut findings = Vec::new();
    for device in 0..run.network.devices.len() {
        findings.extend(of_device(run, device, &truths));
        let Some(session) = run.session(device) else { continue };
        findings.extend(of_client(run, &session, &truths));
        findings.extend(privacy(run, &session));
        findings.extend(of_changes(run, &session, &truths).await);
    }
    findings
}

async fn truth(run: &Run, user: usize) -> Truth {
    let session = run.network.login(user, "TRUTH").await.unwrap();
    let get = async |path: &str| insist(&session, &Method::GET, path, None).await.ok();
    let mut rooms = BTreeMap::new();
    let joined = get("/_matrix/client/v3/joined_rooms").await;
    for room in list(&joined["joined_rooms"]).filter_map(Value::as_str) {
        let members = get(&format!("/_matrix/client/v3/rooms/{room}/members")).await;
        let with = |membership: &str| {
            let events = list(&members["chunk"]);
            let with = events.filter(|event| event["content"]["membership"] == membership);
            with.filter_map(|event| Some(event["state_key"].as_str()?.to_owned())).collect()
        };
        rooms.insert(room.to_owned(), [with("join"), with("invite")]);
    }
    let (path, body) =
        ("/_matrix/client/v3/keys/query", json!({ "device_keys": { &session.id: [] } }));
    let answer = insist(&session, &Method::POST, path, Some(&body)).await.ok();
    Truth { rooms, keys: keys_of(&answer, &session.id) }
}

/// A device that is logged in and has published keys is shown with these, and one that is gone is not shown. Nobody knows
/// of one that may not have logged out.
fn of_device(run: &Run, device: usize, truths: &BTreeMap<String, Truth>) -> Option<String> {
    let (lives, owner) = (run.story.lives.borrow(), run.network.owner(device));
    let id = &run.network.devices[device].id;
    let shown = truths[&owner.id].keys["devices"].get(id);
    let (number, life) = lives.iter().enumerate().rev().find(|(_, life)| life.device == device)?;
    let is_right = match (life.ended, shown) {
        (None, Some(shown)) => shown["keys"] == keys::identity(&owner.id, id, number)["keys"],
        (None, None) => life.uploaded.is_none(),
        (Some(_), shown) => !life.is_gone || shown.is_none(),
    };
    (!is_right).then(|| format!("life {number} of {id} of {} is shown as {shown:?}", owner.id))
}

/// Whether a client's user shares a room with another; `None` where servers disagree, or where the other is invited
/// only: their server need not know that the user is there, and tells nothing.
fn sharing(truths: &BTreeMap<String, Truth>, user: &str, other: &str) -> Option<bool> {
    let (of_user, of_other) = (&truths[user].rooms, &truths[other].rooms);
    let mut may_share = user == other;
    for (room, [joined, invited]) in of_user {
        if joined.contains(other)
            && of_other.get(room).is_some_and(|[joined, _]| joined.contains(user))
        {
            return Some(true);
        }
        may_share |= joined.contains(other) || invited.contains(other);
    }
    if user == other { Some(true) } else { (!may_share).then_some(false) }
}

/// What a client holds of each user is what the user's server says now, and it holds nothing of those with whom its user
/// shares no room.
fn of_client(run: &Run, session: &Session, truths: &BTreeMap<String, Truth>) -> Vec<String> {
    let (life, user) = (session.0, &session.1.id);
    let mut findings = Vec::new();
    for (other, truth) in truths {
        let held =
            run.story.client(life, |client| client.tracked.get(other).map(|of| of.keys.clone()));
        // The names of devices are told on their own server only.
        let same_server =
            user.split_once(':').map(|of| of.1) == other.split_once(':').map(|of| of.1);
        let shown = |keys: &Value| if same_server { keys.clone() } else { nameless(keys) };
        match (sharing(truths, user, other), held) {
            (Some(true), None) => {
                findings.push(format!("life {life} of {user} does not track {other}"))
            }
            (Some(true), Some(held)) => {
                let parts = ["devices", "master", "self_signing"].into_iter();
                let (held, is) = (shown(&held), shown(&truth.keys));
                findings.extend(parts.filter(|part| held[part] != is[part]).map(|part| {
                    let (held, is) = (&held[part], &is[part]);
                    format!("life {life} of {user}: {part} of {other}: it holds {held}, not {is}")
                }));
            }
            (Some(false), Some(_)) => {
                findings.push(format!("life {life} of {user} still tracks {other}"))
            }
            _ => {}
        }
    }
    findings
}

/// Keys without the names of devices.
fn nameless(keys: &Value) -> Value {
    let mut keys = keys.clone();
    for device in keys["devices"].as_object_mut().into_iter().flatten() {
        device.1.as_object_mut().unwrap().remove("unsigned");
    }
    keys
}

/// A client was told of nobody with whom its user was never in a room, or invited to one.
fn privacy(run: &Run, session: &Session) -> Vec<String> {
    let (life, user) = (session.0, &session.1.id);
    let insiders = run.story.insiders.borrow();
    let told = run.story.client(life, |client| client.told.keys().cloned().collect::<Vec<_>>());
    let met = |other: &String| insiders.values().any(|of| of.contains(user) && of.contains(other));
    let strangers = told.into_iter().filter(|other| other != user && !met(other));
    strangers.map(|other| format!("life {life} of {user} was told of {other}")).collect()
}

/// `/keys/changes` between a client's first token and its last names nobody whom its syncs did not name, and everybody
/// who matters: who came, whose keys changed, who left.
async fn of_changes(run: &Run, session: &Session, truths: &BTreeMap<String, Truth>) -> Vec<String> {
    let (life, user) = (session.0, &session.1);
    let [first, last] =
        run.story.client(life, |client| [&client.first, &client.since].map(Clone::clone));
    let path =
        format!("/_matrix/client/v3/keys/changes?from={}&to={}", first.unwrap(), last.unwrap());
    let answer = insist(user, &Method::GET, &path, None).await.ok();
    let [changed, left]: [BTreeSet<&str>; 2] =
        ["changed", "left"].map(|kind| list(&answer[kind]).filter_map(Value::as_str).collect());
    let insiders = run.story.insiders.borrow();
    let met =
        |other: &String| insiders.values().any(|of| of.contains(&user.id) && of.contains(other));
    let mut findings = Vec::new();
    for other in truths.keys() {
        let (changed, left) = (changed.contains(&**other), left.contains(&**other));
        let is_right = run.story.client(life, |client| {
            let told = client.told.contains_key(other);
            let keys = client.tracked.get(other).map(|tracked| &tracked.keys);
            let was_there = client.initial.contains(other);
            match sharing(truths, &user.id, other) {
                // The own user is named when others come to know them. That may be so of the whole and of no part.
                Some(true) if *other == user.id => {
                    !left && (changed || client.first_keys.get(other) == keys)
                }
                // Who is tracked from the first sync on may come and go between the two, and matters only with new keys.
                Some(true) => {
                    let matters = !was_there || client.first_keys.get(other) != keys;
                    !left && if matters { changed } else { told || !changed }
                }
                // Of who came and went between the two nothing need be said. That somebody went may be said of whose coming
                // their server was told too late, but of nobody who never met the user.
                Some(false) => !changed && if was_there { left } else { met(other) || !left },
                None => true,
            }
        });
        if !is_right {
            let id = &user.id;
            findings.push(format!(
                "life {life} of {id}: between its tokens {other} changed: {changed}, left: {left}"
            ));
        }
    }
    findings
}
