//! Does D1's copy say who is in which room, and does each client know with whom its user shares one?

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;
use tombolo_platform::{Row, values};

use super::copies;
use crate::{copy::Copy, scenario::Run, story::Synced};

/// Every server's D1, compared with its rooms.
pub fn of_copies(run: &Run) -> Vec<String> {
    let mut findings = Vec::new();
    let rooms: Vec<_> = (0..run.story.rooms.borrow().len())
        .map(|room| (run.story.room(room).id, copies(run, room)))
        .collect();
    for (number, server) in run.network.servers.iter().enumerate() {
        let ours = |user: &str| user.split_once(':').is_some_and(|(_, name)| name == server.name());
        let mut expected = BTreeSet::new();
        for (room, copies) in &rooms {
            let Some(members) = copies.get(&number).map(members) else { continue };
            if members.iter().any(|(user, joined)| *joined && ours(user)) {
                let row = |(user, joined)| (room.clone(), user, joined);
                expected.extend(members.into_iter().map(row));
            }
        }
        let query = "SELECT room_id, user, joined, local FROM room_members";
        let read =
            |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?, row.int(2)? != 0, row.int(3)? != 0));
        let rows = server.d1().rows(query, values![], read).unwrap();
        let wrong = rows.iter().filter(|(_, user, _, local)| *local != ours(user));
        findings.extend(wrong.map(|row| format!("copy: {} holds {row:?}", server.name())));
        let held: BTreeSet<_> =
            rows.into_iter().map(|(room, user, joined, _)| (room, user, joined)).collect();
        for row in expected.symmetric_difference(&held) {
            let how = if held.contains(row) { "has" } else { "lacks" };
            findings.push(format!("copy: {} {how} {row:?}", server.name()));
        }
    }
    findings
}

/// Who is joined (`true`) or invited.
fn members(copy: &Copy) -> BTreeMap<String, bool> {
    let users = copy.state.keys().filter(|(kind, _)| kind == "m.room.member");
    let members = users.map(|(_, user)| (user.clone(), copy.membership(user)));
    members
        .filter(|(_, membership)| matches!(membership.as_str(), "join" | "invite"))
        .map(|(user, membership)| (user, membership == "join"))
        .collect()
}

/// Every client, once it has synced.
pub async fn of_clients(run: &Run) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, user) in run.network.users.iter().enumerate() {
        let mut syncs = run.story.syncs.borrow()[number].clone();
        let Some(since) = syncs.last().map(|synced| synced.next.clone()) else { continue };
        let path = format!("/_matrix/client/v3/sync?since={since}");
        let body = run.network.insist(number, Method::GET, &path, None).await.body;
        syncs.push(Synced { since: Some(since), next: String::new(), after: false, body });
        let known = known(&syncs, &user.id);
        let mut sharing = BTreeSet::new();
        for room in 0..run.story.rooms.borrow().len() {
            let members = copies(run, room).get(&user.server).map(members).unwrap_or_default();
            if members.get(&user.id) == Some(&true) {
                sharing.extend(members.into_keys().filter(|other| *other != user.id));
            }
        }
        for other in sharing.symmetric_difference(&known) {
            let how = if known.contains(other) { "knows" } else { "does not know" };
            findings.push(format!("devices: {} {how} {other}", user.id));
        }
    }
    findings
}

/// Whose devices a client knows: of all in the rooms of its first sync, and then by what it is told.
fn known(syncs: &[Synced], user: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for Synced { since, body, .. } in syncs {
        if since.is_none() {
            known.extend(in_rooms(body));
        }
        let users = |name: &str| {
            let users = body["device_lists"][name].as_array().into_iter().flatten();
            users.filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<String>>()
        };
        known.extend(users("changed"));
        let left = users("left");
        known.retain(|other| !left.contains(other));
    }
    known.remove(user);
    known
}

/// Who is joined or invited in the joined rooms of a sync.
fn in_rooms(body: &Value) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for room in body["rooms"]["join"].as_object().into_iter().flat_map(|rooms| rooms.values()) {
        let mut memberships = BTreeMap::new();
        for part in ["state", "timeline"] {
            let events = room[part]["events"].as_array().into_iter().flatten();
            let members = events.filter(|event| event["type"] == "m.room.member");
            for member in members {
                let membership = member["content"]["membership"].as_str().unwrap_or_default();
                memberships.insert(member["state_key"].as_str().unwrap_or_default(), membership);
            }
        }
        let there = memberships.into_iter().filter(|(_, is)| matches!(*is, "join" | "invite"));
        known.extend(there.map(|(user, _)| user.to_owned()));
    }
    known
}
