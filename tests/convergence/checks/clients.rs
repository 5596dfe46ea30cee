//! Does each client know the room's state? A client applies `state`, then the timeline, in order, or `state_after` alone,
//! or what a sliding sync has; after every answer it must have the state its server holds at the position up to which the
//! answer tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tombolo_platform::{Sql, values};

use super::copies;
use crate::{
    copy::{Copy, Key, Membership},
    scenario::Run,
    story::Synced,
};

/// What the second client of a user asks for; which of these, the user's number and the seed decide.
const FILTERS: &[&str] = &[
    r#"{"room":{"timeline":{"limit":1}}}"#,
    r#"{"room":{"timeline":{"limit":2},"state":{"lazy_load_members":true}}}"#,
    r#"{"room":{"timeline":{"types":["m.room.message"],"limit":3}}}"#,
    r#"{"room":{"timeline":{"not_types":["m.room.member"]},"state":{"lazy_load_members":true}}}"#,
];

/// A prime that does not divide what else is chosen by the seed's remainder: so every filter meets every other choice.
const FILTER_CYCLE: u64 = 97;

/// The filter of a user's second client.
pub fn filter(seed: u64, user: usize) -> &'static str {
    FILTERS[(usize::try_from(seed % FILTER_CYCLE).unwrap() + user) % FILTERS.len()]
}

/// Every client's answers about a room.
pub fn of_room(run: &Run, room: usize) -> Vec<String> {
    let mut findings = Vec::new();
    let (copies, id) = (copies(run, room), run.story.room(room).id);
    let late: BTreeMap<usize, [BTreeSet<Key>; 2]> = copies
        .iter()
        .map(|(server, copy)| (*server, [copy.verified_late(), copy.joined_with_late()]))
        .collect();
    for (user, named) in run.network.users.iter().enumerate() {
        let (Some(copy), Some(stream)) =
            (copies.get(&named.server), run.network.user(named.server, &named.id))
        else {
            continue;
        };
        let filter = filter(run.seed, user);
        let chains = [
            (run.story.syncs.borrow()[user].clone(), "no filter"),
            (run.story.filtered.borrow()[user].clone(), filter),
            (run.story.slid.borrow()[user].clone(), "a sliding sync"),
        ];
        for (syncs, filter) in chains {
            let mut client = Client {
                user: &named.id,
                lazy: filter.contains("lazy"),
                late: &late[&named.server],
                state: BTreeMap::new(),
            };
            for synced in &syncs {
                let Some(held) = client.take(synced, &id, (copy, &stream)) else { continue };
                if let Some(wrong) = client.differs(copy, &held) {
                    findings.push(format!(
                        "client: room {room} {} with {filter} after {:?} up to {}: {wrong}",
                        named.id, synced.since, synced.next
                    ));
                    break;
                }
            }
        }
    }
    findings
}

/// What one client knows of one room.
struct Client<'a> {
    user: &'a str,
    lazy: bool,
    /// What no answer can say: what was verified after it; the second where the client knows nothing of it.
    late: &'a [BTreeSet<Key>; 2],
    state: BTreeMap<Key, String>,
}

impl Client<'_> {
    /// Applies an answer; answers the state that the client must have now.
    fn take(
        &mut self,
        synced: &Synced,
        room: &str,
        (copy, stream): (&Copy, &Sql),
    ) -> Option<BTreeMap<Key, String>> {
        if !self.apply(synced, room) {
            return None;
        }
        let told = |token: &str| -> Option<i64> {
            let pos = token.rsplit(['s', '_']).next()?;
            let pos: i64 = pos.parse().unwrap();
            let query =
                "SELECT upto FROM stream WHERE room = ? AND pos <= ? ORDER BY pos DESC LIMIT 1";
            stream.row(query, values![room, pos], |row| row.int(0)).unwrap()
        };
        let to = told(&synced.next)?;
        let from = synced.since.as_deref().and_then(told).unwrap_or_default();
        let stays = copy.membership_history(self.user);
        let own = ("m.room.member".to_owned(), self.user.to_owned());
        // Who was out all the time learns only what they are now.
        let was_in = |stay: &Membership| {
            let overlaps = stay.since <= to && stay.until.is_none_or(|until| until > from);
            stay.membership == "join" && overlaps
        };
        if from > 0 && !stays.iter().any(was_in) {
            let changed = stays.iter().any(|stay| from < stay.since && stay.since <= to);
            let now = copy.mainline(to).into_iter().filter(|(key, _)| changed && *key == own);
            return Some(now.collect());
        }
        let mut stays = stays.iter().filter(|stay| stay.membership == "join" && stay.since <= to);
        let end = stays.next_back().map(|stay| stay.until.map_or(to, |until| until.min(to)))?;
        let mut needed = copy.mainline(end);
        // Of what comes after a stay, the user learns what it made of them; an invite is shown elsewhere.
        if ["invite", "knock"].iter().all(|name| synced.body["rooms"][name][room].is_null()) {
            needed.extend(copy.mainline(to).remove_entry(&own));
        }
        Some(needed)
    }

    /// Applies an answer; answers whether it says anything of the room.
    fn apply(&mut self, synced: &Synced, room: &str) -> bool {
        let rooms = &synced.body["rooms"];
        let mut sections = ["join", "leave"].iter().map(|name| &rooms[name][room]);
        let news = sections.find(|news| news.is_object()).unwrap_or(&rooms[room]);
        // An invite says nothing of the room's state.
        if !news.is_object() || news["stripped_state"].is_array() {
            return false;
        }
        if news["initial"] == true {
            self.state.clear();
        }
        let mut events = Vec::new();
        match (&news["required_state"], synced.after) {
            (Value::Array(state), _) => events.extend(state),
            (_, true) => {
                events.extend(news["state_after"]["events"].as_array().into_iter().flatten())
            }
            (_, false) => {
                for part in ["state", "timeline"] {
                    events.extend(news[part]["events"].as_array().into_iter().flatten());
                }
            }
        }
        for event in events {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let Some(key) = event["state_key"].as_str() else { continue };
            let key = (text("type"), key.to_owned());
            // A sliding sync says so that there is such state no more.
            match event["event_id"].is_null() {
                true => _ = self.state.remove(&key),
                false => _ = self.state.insert(key, text("event_id")),
            }
        }
        true
    }

    /// In what the client's state is not the server's.
    fn differs(&self, copy: &Copy, server: &BTreeMap<Key, String>) -> Option<String> {
        let needed = |key: &&Key| !self.lazy || key.0 != "m.room.member" || key.1 == self.user;
        let known: BTreeSet<&Key> = server.keys().filter(needed).chain(self.state.keys()).collect();
        let wrong = known.into_iter().find(|key| {
            let held = server.get(*key);
            let known = self.state.get(*key);
            let [late, joined_with] = self.late;
            let is_late = late.contains(*key) || known.is_none() && joined_with.contains(*key);
            held.is_some() && held != known && !is_late
        })?;
        let (held, known) = (&server[wrong], self.state.get(wrong));
        let content = |id: &String| copy.events.get(id).map(|held| held.pdu["content"].clone());
        let known = known.map(|id| (id, content(id).unwrap_or(Value::Null)));
        Some(format!("{wrong:?} is {held} {:?}, the client has {known:?}", content(held)))
    }
}
