//! Was anybody told what they may not see? Only what is certain is asserted: of users who were never there, and of what
//! was taken back.

use std::collections::{BTreeMap, BTreeSet};

use tombolo::objects::room::Verdict;

use super::{Copies, copies};
use crate::{
    copy::{Held, table_text},
    scenario::Run,
    secrets,
};

/// Nobody who was never in the room, or invited to it, was told anything said in it, unless everybody might read it;
/// and where only members see what is said, nobody who was not joined then was told.
pub fn of_users(run: &Run, room: usize) -> Vec<String> {
    let copies = copies(run, room);
    let said = said(&copies);
    let readable = copies.values().any(|copy| copy.visibilities_ever().contains("world_readable"));
    let only_members = copies
        .values()
        .all(|copy| copy.visibilities_ever().iter().all(|visibility| visibility == "joined"));
    let mut findings = Vec::new();
    for user in run.network.users.iter() {
        let ever: BTreeSet<String> =
            copies.values().flat_map(|copy| copy.memberships_ever(&user.id)).collect();
        let stranger = !ever.contains("join") && !readable;
        for (secret, how) in
            user.told.borrow().iter().filter(|(secret, _)| said.contains_key(secret))
        {
            if stranger {
                findings.push(format!(
                    "privacy: room {room} {} was never joined but told secret {secret} by {how}",
                    user.id
                ));
            }
            let Some(held) =
                copies.get(&user.server).and_then(|copy| copy.events.get(&said[secret]))
            else {
                continue;
            };
            if only_members && held.linear && !was_joined(&copies, user.server, &user.id, held) {
                findings.push(format!(
                    "privacy: room {room} {} was not joined when told secret {secret} by {how}",
                    user.id
                ));
            }
        }
    }
    findings
}

fn was_joined(copies: &Copies, server: usize, user: &str, held: &Held) -> bool {
    let stays = copies[&server].membership_history(user);
    let pos = held.pos.unwrap_or_default();
    let mut stays = stays.iter().filter(|stay| stay.membership == "join");
    stays.any(|stay| stay.since <= pos && stay.until.is_none_or(|until| pos <= until))
}

/// No server holds anything said in a room in which none of its users ever was.
pub fn of_servers(run: &Run, room: usize) -> Vec<String> {
    let copies = copies(run, room);
    let said = said(&copies);
    let mut findings = Vec::new();
    for (server, copy) in &copies {
        let users = run.network.users.iter().filter(|user| user.server == *server);
        let ever: BTreeSet<String> = users
            .flat_map(|user| copies.values().flat_map(|copy| copy.memberships_ever(&user.id)))
            .collect();
        let held = secrets::found(&copy.everything());
        if !ever.contains("join") && held.iter().any(|secret| said.contains_key(secret)) {
            findings.push(format!(
                "privacy: room {room} a{server} was never in it and holds secrets {held:?}"
            ));
        }
    }
    findings
}

/// What was redacted is nowhere to be read where the redaction is known and applies, and all agree whether it does.
pub fn of_redacted(run: &Run, room: usize) -> Vec<String> {
    let copies = copies(run, room);
    let mut findings = Vec::new();
    let mut verdicts: BTreeMap<String, BTreeMap<bool, Vec<usize>>> = BTreeMap::new();
    for (server, copy) in &copies {
        let everything = secrets::found(&copy.everything());
        let said: BTreeMap<usize, String> = said(&copies);
        for held in copy.events.values().filter(|held| held.verdict == Verdict::Accepted) {
            let redactions = copy.events.values().filter(|event| {
                let target = event.pdu["redacts"]
                    .as_str()
                    .or_else(|| event.pdu["content"]["redacts"].as_str());
                event.pdu["type"] == "m.room.redaction"
                    && event.pos.is_some()
                    && target == Some(&held.id)
            });
            if redactions.count() > 0 {
                verdicts
                    .entry(held.id.clone())
                    .or_default()
                    .entry(held.redacted)
                    .or_default()
                    .push(*server);
            }
            let secret = said.iter().find(|(_, id)| **id == held.id).map(|(secret, _)| *secret);
            if let Some(secret) =
                secret.filter(|secret| held.redacted && everything.contains(secret))
            {
                findings
                    .push(format!("redacted: room {room} a{server} still holds secret {secret}"));
            }
        }
    }
    for (id, verdicts) in verdicts.iter().filter(|(_, verdicts)| verdicts.len() > 1) {
        findings.push(format!(
            "redacted: room {room} {id} is redacted at {:?}, not at {:?}",
            verdicts[&true], verdicts[&false]
        ));
    }
    findings.extend(beside_the_room(run, room));
    findings
}

/// No object but the room, and no table of D1, holds what was said.
fn beside_the_room(run: &Run, room: usize) -> Vec<String> {
    let mut findings = Vec::new();
    for server in run.network.servers.iter().filter(|_| room == 0) {
        let tables =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
        let mut holders = vec![("D1".to_owned(), server.d1())];
        let objects = server.objects().into_iter().filter(|address| address.class != "room");
        holders.extend(
            objects.filter_map(|address| Some((address.to_string(), server.sql(address)?))),
        );
        for (name, sql) in holders {
            let tables = sql.rows(tables, &[], |row| row.text(0)).unwrap();
            let held: BTreeSet<usize> =
                tables.iter().flat_map(|table| secrets::found(&table_text(&sql, table))).collect();
            if !held.is_empty() {
                findings
                    .push(format!("privacy: {name} at {} holds secrets {held:?}", server.name()));
            }
        }
    }
    findings
}

/// Which event says a secret.
fn said(copies: &Copies) -> BTreeMap<usize, String> {
    let events = copies.values().flat_map(|copy| copy.events.values());
    events
        .flat_map(|held| {
            secrets::found(&held.pdu["content"].to_string())
                .into_iter()
                .map(|secret| (secret, held.id.clone()))
        })
        .collect()
}
