//! Does each user see the whole timeline, each event once, in order?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tombolo_support::encode;

use super::{copies, member};
use crate::{copy::Copy, scenario::Run, story::Synced};

/// More syncs or pages than this mean that they never end.
const MOST_PAGES: usize = 60;

/// Every user syncs until there is nothing new.
pub async fn catch_up(run: &Run) {
    for user in 0..run.network.users.len() {
        let actor = run.actor(user, 20);
        for _ in 0..MOST_PAGES {
            let before = run.story.token(user);
            actor.sync(0).await;
            if run.story.token(user) == before {
                break;
            }
        }
    }
}

/// A member on each server pages back as far as there is anything, so that their server fetches what it lacks.
pub async fn fill_gaps(run: &Run, room: usize) {
    for server in 0..run.network.servers.len() {
        if let Some(user) = member(run, room, server) {
            page_back(run, room, user, "", &BTreeSet::new()).await;
        }
    }
}

/// What each user saw of a room by syncs and by paging where they were limited.
pub async fn of_room(run: &Run, room: usize) -> Vec<String> {
    let mut findings = Vec::new();
    let copies = copies(run, room);
    for user in 0..run.network.users.len() {
        let Some(copy) = copies.get(&run.network.users[user].server) else { continue };
        let named = &run.network.users[user].id;
        if !copy.by_events(named) || was_invited_back(run, room, user, copy) {
            continue;
        }
        let mut known = Vec::new();
        for (syncs, how) in [(&run.story.syncs, "sync"), (&run.story.slid, "sliding sync")] {
            let (told, limited, twice) = told(run, room, (user, &syncs.borrow()[user]));
            findings.extend(twice);
            let mut seen: BTreeSet<String> = told.into_iter().collect();
            for token in limited {
                let (events, _) = page_back(run, room, user, &token, &seen).await;
                seen.extend(events);
            }
            known.push((seen, how));
        }
        let (paged, failure) = page_back(run, room, user, "", &BTreeSet::new()).await;
        let name = &run.network.users[user].id;
        let distinct: BTreeSet<String> = paged.iter().cloned().collect();
        if distinct.len() != paged.len() {
            findings.push(format!("pages: room {room} {name} sees an event twice in /messages"));
        }
        if copy.membership(name) == "join" {
            findings.extend(failure.map(|failure| format!("pages: room {room} {name}: {failure}")));
        }
        known.push((distinct, "pages"));
        for missing in must_see(copy, name) {
            for (seen, how) in &known {
                // Who is out cannot page back, and a sliding sync does not show them what it never showed.
                let is_out = copy.membership(name) != "join" && *how != "sync";
                let there = seen.contains(&missing) || is_out;
                if !there {
                    let held = &copy.events[&missing];
                    let what = (held.pdu["type"].to_string(), held.pos, held.linear);
                    findings.push(format!(
                        "gap: room {room} {name} never saw {missing} {what:?} by {how}"
                    ));
                }
            }
        }
    }
    findings
}

/// Whether a user came back by an invite that their syncs showed: it hides what they had not seen of the room before.
fn was_invited_back(run: &Run, room: usize, user: usize, copy: &Copy) -> bool {
    let id = run.story.room(room).id;
    let syncs = run.story.syncs.borrow();
    let shown = syncs[user].iter().any(|synced| synced.body["rooms"]["invite"][&id].is_object());
    let stays = copy.membership_history(&run.network.users[user].id);
    shown && stays.iter().filter(|stay| stay.membership == "join").count() > 1
}

/// The same token twice gives the same answer, the age of events apart.
pub async fn the_same_token_twice(run: &Run) -> Vec<String> {
    let mut findings = Vec::new();
    for user in 0..run.network.users.len() {
        let named = &run.network.users[user];
        let moved = |room: usize| {
            copies(run, room).get(&named.server).is_some_and(|copy| !copy.by_events(&named.id))
        };
        if (0..run.story.rooms.borrow().len()).any(moved) {
            continue;
        }
        let syncs = run.story.syncs.borrow()[user].clone();
        for synced in syncs.iter().filter(|synced| synced.since.is_some()).step_by(3) {
            let path = format!(
                "/_matrix/client/v3/sync?since={}",
                synced.since.as_deref().unwrap_or_default()
            );
            let (once, again) =
                (run.network.get(user, &path).await, run.network.get(user, &path).await);
            if once.status != 200 || ageless(&once.body) != ageless(&again.body) {
                findings.push(format!(
                    "token: {} {path} is not answered twice the same",
                    run.network.users[user].id
                ));
            }
            let same_end = once.text("next_batch").as_ref() == Some(&synced.next);
            let (was, is) = (timelines(&synced.body), timelines(&once.body));
            if same_end && !tells_the_same(&was, &is) {
                findings.push(format!(
                    "token: {} {path} told {was:?}, later {is:?}",
                    run.network.users[user].id
                ));
            }
        }
    }
    findings
}

/// Events in the order in which they came, the tokens before which something was left out, and what came twice.
fn told(
    run: &Run,
    room: usize,
    (user, syncs): (usize, &[Synced]),
) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut events, mut limited, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    let mut stay: BTreeSet<String> = BTreeSet::new();
    let id = run.story.room(room).id;
    for synced in syncs {
        let slid = &synced.body["rooms"][&id];
        let (timeline, prev_batch, cut) = match news(synced, &id) {
            Some((_, news)) => {
                let timeline = &news["timeline"];
                (&timeline["events"], &timeline["prev_batch"], &timeline["limited"])
            }
            None => (&slid["timeline"], &slid["prev_batch"], &slid["limited"]),
        };
        if slid["initial"] == true {
            stay.clear();
        }
        for id in ids(timeline) {
            if !stay.insert(id.clone()) {
                let name = &run.network.users[user].id;
                findings.push(format!("sync: room {room} {name} was told {id} twice"));
            }
            events.push(id);
        }
        if *cut == true {
            limited.extend(prev_batch.as_str().map(str::to_owned));
        }
        // A user who comes back is told the room anew.
        if news(synced, &id).is_some_and(|(section, _)| section == "leave") {
            stay.clear();
        }
    }
    (events, limited, findings)
}

/// Pages backwards until something is known, or there is no more; also says why it ended before.
async fn page_back(
    run: &Run,
    room: usize,
    user: usize,
    from: &str,
    known: &BTreeSet<String>,
) -> (Vec<String>, Option<String>) {
    let (mut events, mut from) = (Vec::new(), from.to_owned());
    for _ in 0..MOST_PAGES {
        let room_id = encode(&run.story.room(room).id);
        let query = if from.is_empty() { String::new() } else { format!("&from={from}") };
        let path = format!("/_matrix/client/v3/rooms/{room_id}/messages?dir=b&limit=7{query}");
        let answer = run.network.get(user, &path).await;
        if !answer.is_ok() {
            return (events, Some(format!("{path} → {answer:?}")));
        }
        let page = ids(&answer.body["chunk"]);
        let met = page.iter().any(|id| known.contains(id));
        events.extend(page);
        match answer.text("end") {
            Some(end) if end == from => {
                return (events, Some(format!("paging stands still at {path}")));
            }
            Some(end) if !met => from = end,
            _ => return (events, None),
        }
    }
    (events, Some("paging never ends".to_owned()))
}

/// What a user must have seen: what happened while they were joined, where nobody ever hid history from members.
fn must_see(copy: &Copy, user: &str) -> Vec<String> {
    let hidden = copy
        .visibilities_ever()
        .iter()
        .any(|visibility| visibility == "joined" || visibility == "invited");
    let stays = copy.membership_history(user);
    let during = |pos: i64| {
        let mut stays = stays.iter().filter(|stay| stay.membership == "join");
        stays.any(|stay| stay.since <= pos && stay.until.is_none_or(|until| pos <= until))
    };
    let timeline = copy.timeline();
    let must = timeline
        .into_iter()
        .filter(|held| held.pos.is_some_and(during) && (held.linear || !hidden))
        .filter(|held| copy.is_told(held));
    must.map(|held| held.id.clone()).collect()
}

fn news<'a>(synced: &'a Synced, room: &str) -> Option<(&'static str, &'a Value)> {
    ["join", "leave"]
        .into_iter()
        .map(|section| (section, &synced.body["rooms"][section][room]))
        .find(|(_, news)| news.is_object())
}

fn ids(events: &Value) -> Vec<String> {
    let events = events.as_array().into_iter().flatten();
    events.filter_map(|event| event["event_id"].as_str().map(str::to_owned)).collect()
}

/// What an answer tells of one room's timeline. Redactions are counted apart: they are told of once they take content,
/// whenever that is.
#[derive(Debug)]
struct Timeline {
    events: Vec<String>,
    redactions: usize,
    limited: bool,
}

fn timelines(body: &Value) -> BTreeMap<String, Timeline> {
    let sections =
        ["join", "leave"].into_iter().filter_map(|section| body["rooms"][section].as_object());
    sections
        .flatten()
        .map(|(room, news)| {
            let events = news["timeline"]["events"].as_array().into_iter().flatten().cloned();
            let (redactions, told): (Vec<Value>, Vec<Value>) =
                events.partition(|event| event["type"] == "m.room.redaction");
            let timeline = Timeline {
                events: ids(&Value::Array(told)),
                redactions: redactions.len(),
                limited: news["timeline"]["limited"] == true,
            };
            (room.clone(), timeline)
        })
        .collect()
}

/// Whether a second answer tells what the first told. Where the limit cuts the timeline, a redaction that is told of
/// now may take the place of the oldest event.
fn tells_the_same(was: &BTreeMap<String, Timeline>, is: &BTreeMap<String, Timeline>) -> bool {
    let same = |was: &Timeline, is: &Timeline| {
        let displaced = was.events.len().saturating_sub(is.events.len());
        let more = is.redactions.saturating_sub(was.redactions);
        was.events.ends_with(&is.events) && (displaced == 0 || is.limited && displaced <= more)
    };
    was.keys().eq(is.keys()) && was.iter().zip(is.values()).all(|((_, was), is)| same(was, is))
}

fn ageless(body: &Value) -> Value {
    match body {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "age")
            .map(|(name, value)| (name.clone(), ageless(value)))
            .collect(),
        Value::Array(items) => items.iter().map(ageless).collect(),
        other => other.clone(),
    }
}
