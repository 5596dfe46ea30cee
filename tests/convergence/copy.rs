//! What does one server hold of a room? Read from its tables, not from what it says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tombolo::objects::room::Verdict;
use tombolo_platform::{Row, Sql, SqlError, values};

/// A type and a state key.
pub type Key = (String, String);

/// An event as a server holds it.
#[derive(Clone, Debug)]
pub struct Held {
    pub id: String,
    pub pos: Option<i64>,
    pub verdict: Verdict,
    pub reason: Option<String>,
    /// Whether the state before it was the mainline's.
    pub linear: bool,
    pub redacted: bool,
    pub pdu: Value,
}

/// A membership that a user had on the mainline.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The event that says so.
    pub id: String,
    pub membership: String,
    pub since: i64,
    /// Exclusive.
    pub until: Option<i64>,
}

/// One server's copy of one room.
pub struct Copy {
    pub life: String,
    pub events: BTreeMap<String, Held>,
    pub state: BTreeMap<Key, String>,
    pub extremities: BTreeSet<String>,
    pub parked: usize,
    sql: Sql,
}

impl Copy {
    /// Reads the copy; `None` where the object never got as far as having a room.
    pub fn read(sql: Sql) -> Option<Self> {
        let life = sql.row("SELECT life FROM room", &[], |row| row.text(0)).ok()??;
        let rows = sql.rows(EVENTS, &[], |row| Ok((row.int(0)?, held(row)?))).unwrap();
        let ids: BTreeMap<i64, String> =
            rows.iter().map(|(sn, held)| (*sn, held.id.clone())).collect();
        let events = rows.into_iter().map(|(_, held)| (held.id.clone(), held)).collect();
        let state = sql.rows("SELECT type, key, sn FROM now", &[], |row| {
            Ok(((row.text(0)?, row.text(1)?), row.int(2)?))
        });
        let state = state.unwrap().into_iter().map(|(key, sn)| (key, ids[&sn].clone())).collect();
        let packed = sql.row("SELECT tips FROM room", &[], |row| row.blob(0)).unwrap().unwrap();
        let extremities = packed
            .as_chunks::<4>()
            .0
            .iter()
            .map(|sn| ids[&i64::from(u32::from_le_bytes(*sn))].clone())
            .collect();
        let parked = sql.rows("SELECT id FROM parked", &[], |row| row.text(0)).unwrap().len();
        Some(Self { life, events, state, extremities, parked, sql })
    }

    /// Each membership that a user had on the mainline, in order.
    pub fn membership_history(&self, user: &str) -> Vec<Membership> {
        let query = "SELECT e.json, m.since, m.until, e.id FROM events e JOIN (
                         SELECT sn, since, until FROM past WHERE type = 'm.room.member' AND key = ?1
                         UNION ALL SELECT sn, since, NULL FROM now WHERE type = 'm.room.member' AND key = ?1
                     ) m ON m.sn = e.sn ORDER BY m.since";
        let read =
            |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?, row.int_or_null(2)?, row.text(3)?));
        let rows = self.sql.rows(query, values![user], read).unwrap();
        let membership = |json: &str| {
            json_of(json)["content"]["membership"].as_str().unwrap_or_default().to_owned()
        };
        rows.into_iter()
            .map(|(json, since, until, id)| Membership {
                id,
                membership: membership(&json),
                since,
                until,
            })
            .collect()
    }

    /// The state on the mainline at a position.
    pub fn mainline(&self, at: i64) -> BTreeMap<Key, String> {
        let query = "SELECT n.type, n.key, e.id FROM (
                         SELECT type, key, sn FROM now WHERE since <= ?1
                         UNION ALL SELECT type, key, sn FROM past WHERE since <= ?1 AND until > ?1
                     ) n JOIN events e ON e.sn = n.sn";
        let read = |row: &Row<'_>| Ok(((row.text(0)?, row.text(1)?), row.text(2)?));
        self.sql.rows(query, values![at], read).unwrap().into_iter().collect()
    }

    /// The keys of the state that got a value of the past later, by an event that could not be verified when a server
    /// gave it.
    pub fn verified_late(&self) -> BTreeSet<Key> {
        let query = "SELECT p.type, p.key FROM past p JOIN (
                         SELECT type, key, sn, since FROM now UNION ALL SELECT type, key, sn, since FROM past
                     ) n ON n.type = p.type AND n.key = p.key AND n.sn = p.sn AND n.since = p.until";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
        self.sql.rows(query, values![], read).unwrap().into_iter().collect()
    }

    /// The keys that got a value in the state with which the server joined later, where a resolution had set them
    /// meanwhile: that of the value says nothing of when it was verified.
    pub fn joined_with_late(&self) -> BTreeSet<Key> {
        let query = "WITH held AS (SELECT type, key, sn, since FROM now UNION ALL SELECT type, key, sn, since FROM past)
                     SELECT p.type, p.key FROM past p JOIN held n ON n.type = p.type AND n.key = p.key AND n.since = p.until
                     JOIN events e ON e.sn = n.sn
                     WHERE p.since = (SELECT min(since) FROM held) AND (e.pos IS NULL OR e.pos <> n.since)";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
        self.sql.rows(query, &[], read).unwrap().into_iter().collect()
    }

    /// Whether a user who is joined was out before.
    pub fn came_back(&self, user: &str) -> bool {
        let stays = self.membership_history(user);
        let mut since_joined = stays.iter().skip_while(|stay| stay.membership != "join");
        let is_in = stays.last().is_some_and(|stay| stay.membership == "join");
        is_in && since_joined.any(|stay| stay.membership != "join")
    }

    /// Whether clients are told of an event when it comes: a redaction is told of where it takes content at once.
    pub fn is_told(&self, held: &Held) -> bool {
        if held.pdu["type"] != "m.room.redaction" {
            // It says nothing.
            return held.pdu["type"] != "org.matrix.dummy_event";
        }
        let query = "SELECT count(*) AS n FROM events t JOIN events r ON r.sn = t.redacted_by WHERE r.id = ? AND t.sn < r.sn";
        self.sql.row(query, values![held.id.as_str()], |row| row.int(0)).unwrap() != Some(0)
    }

    /// Whether a user was joined at a position of the mainline.
    pub fn was_joined(&self, user: &str, pos: i64) -> bool {
        self.membership_history(user).iter().any(|stay| {
            let covers = stay.since <= pos && stay.until.is_none_or(|until| pos < until);
            stay.membership == "join" && covers
        })
    }

    /// Whether events alone made a user's membership what it was: a resolution may take a join away and give it back,
    /// and of that no event tells.
    pub fn by_events(&self, user: &str) -> bool {
        let query = "SELECT count(*) AS n FROM events e JOIN (
                         SELECT sn, since FROM past WHERE type = 'm.room.member' AND key = ?1
                         UNION ALL SELECT sn, since FROM now WHERE type = 'm.room.member' AND key = ?1
                     ) m ON m.sn = e.sn WHERE e.pos IS NULL OR e.pos <> m.since";
        let moved = self.sql.row(query, values![user], |row| row.int(0)).unwrap().unwrap_or(0);
        let stays = self.membership_history(user);
        let unbroken = stays.windows(2).all(|pair| pair[0].until == Some(pair[1].since));
        let ends = stays.last().is_none_or(|last| last.until.is_none());
        // The first may have come with the room.
        let first = stays.first().is_some_and(|first| first.since % (1 << 20) != 0);
        // An invite to a room they were in before hides what they have not seen of it.
        let query = "SELECT count(*) AS n FROM out_of_band WHERE user = ?";
        let invited = self.sql.row(query, values![user], |row| row.int(0)).unwrap().unwrap_or(0);
        let back = stays.iter().skip_while(|stay| stay.membership != "join");
        let invited_back = back.into_iter().any(|stay| stay.membership == "invite");
        moved <= i64::from(first) && unbroken && ends && invited == 0 && !invited_back
    }

    /// Whether a resolution, and no event that names them, ever ended a user's stay.
    pub fn lost_by_resolution(&self, user: &str) -> bool {
        let names = |pos: i64| {
            let mut there = self.events.values().filter(|held| held.pos == Some(pos));
            there.any(|held| held.pdu["type"] == "m.room.member" && held.pdu["state_key"] == user)
        };
        let stays = self.membership_history(user);
        let mut stays = stays.iter().filter(|stay| stay.membership == "join");
        stays.any(|stay| stay.until.is_some_and(|until| !names(until)))
    }

    /// The events that the forward extremities build on, and these.
    pub fn past(&self) -> BTreeSet<&str> {
        let mut past = BTreeSet::new();
        let mut next: Vec<&str> = self.extremities.iter().map(String::as_str).collect();
        while let Some(id) = next.pop() {
            let Some(held) = self.events.get(id).filter(|_| past.insert(id)) else { continue };
            let prev = held.pdu["prev_events"].as_array().into_iter().flatten();
            next.extend(prev.filter_map(Value::as_str));
        }
        past
    }

    /// The state before an event that has a place in the graph.
    pub fn state_before(&self, id: &str) -> Option<BTreeMap<Key, String>> {
        let query = "SELECT at, fork FROM events WHERE id = ? AND at IS NOT NULL";
        let place = self.sql.row(query, values![id], |row| Ok((row.int(0)?, row.int_or_null(1)?)));
        let (at, fork) = place.unwrap()?;
        let mut state = self.mainline(at);
        let query = "WITH RECURSIVE chain (fork, parent, level) AS (
                         SELECT fork, parent, 0 FROM fork WHERE fork = ?
                         UNION ALL SELECT f.fork, f.parent, c.level + 1 FROM fork f JOIN chain c ON f.fork = c.parent
                     ) SELECT f.type, f.key, e.id FROM chain c JOIN forks f ON f.fork = c.fork
                       LEFT JOIN events e ON e.sn = f.sn ORDER BY c.level DESC";
        let read = |row: &Row<'_>| Ok(((row.text(0)?, row.text(1)?), row.text_or_null(2)?));
        for (key, value) in self.sql.rows(query, values![fork], read).unwrap() {
            match value {
                Some(id) => state.insert(key, id),
                None => state.remove(&key),
            };
        }
        Some(state)
    }

    /// A user's membership now.
    pub fn membership(&self, user: &str) -> String {
        let member = self.state.get(&("m.room.member".to_owned(), user.to_owned()));
        let content = member.map(|id| &self.events[id].pdu["content"]["membership"]);
        content.and_then(Value::as_str).unwrap_or("leave").to_owned()
    }

    /// Every membership a user ever had in any event we hold.
    pub fn memberships_ever(&self, user: &str) -> BTreeSet<String> {
        let of =
            |held: &&Held| held.pdu["type"] == "m.room.member" && held.pdu["state_key"] == user;
        let membership =
            |held: &Held| held.pdu["content"]["membership"].as_str().unwrap_or_default().to_owned();
        self.events.values().filter(of).map(membership).collect()
    }

    /// Every history visibility that was ever set.
    pub fn visibilities_ever(&self) -> BTreeSet<String> {
        let set =
            self.events.values().filter(|held| held.pdu["type"] == "m.room.history_visibility");
        set.map(|held| {
            held.pdu["content"]["history_visibility"].as_str().unwrap_or("shared").to_owned()
        })
        .collect()
    }

    /// The timeline, oldest first.
    pub fn timeline(&self) -> Vec<&Held> {
        let mut timeline: Vec<&Held> =
            self.events.values().filter(|held| held.pos.is_some()).collect();
        timeline.sort_by_key(|held| held.pos);
        timeline
    }

    /// The graph, one line an event, to read when a seed fails.
    pub fn drawn(&self) -> String {
        let mut events: Vec<&Held> = self.events.values().collect();
        events.sort_by_key(|held| (held.pdu["depth"].as_u64(), held.pos, &held.id));
        let short = |id: &str| id.chars().take(7).collect::<String>();
        let line = |held: &&Held| {
            let pdu = &held.pdu;
            let prev: Vec<String> = pdu["prev_events"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(short)
                .collect();
            let key = pdu["state_key"].as_str().map(|key| format!("[{key}]")).unwrap_or_default();
            let content: String = pdu["content"].to_string().chars().take(90).collect();
            format!(
                "{:>4} {} {:?}{} pos {:?}{} ← {} {}{key} of {} {content} {}",
                pdu["depth"],
                short(&held.id),
                held.verdict,
                if held.redacted { " redacted" } else { "" },
                held.pos.map(|pos| (pos - (1 << 40)) as f64 / f64::from(1 << 20)),
                if held.linear { "" } else { " fork" },
                prev.join(" "),
                pdu["type"].as_str().unwrap_or_default(),
                pdu["sender"].as_str().unwrap_or_default(),
                held.reason.as_deref().unwrap_or_default()
            )
        };
        let extremities: Vec<String> = self.extremities.iter().map(|id| short(id)).collect();
        let lines: Vec<String> = events.iter().map(line).collect();
        let query = "SELECT id || ' by ' || via || ' ' || attempts FROM joining";
        let joining = self.sql.rows(query, &[], |row| row.text(0)).unwrap();
        format!(
            "{}, {} parked, joining {joining:?}, extremities {}\n{}",
            self.life,
            self.parked,
            extremities.join(" "),
            lines.join("\n")
        )
    }

    /// The text of everything the object holds.
    pub fn everything(&self) -> String {
        let tables =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
        let mut text = String::new();
        for table in self.sql.rows(tables, &[], |row| row.text(0)).unwrap() {
            text.push_str(&table_text(&self.sql, &table));
        }
        text
    }
}

/// The text of everything in a table.
pub fn table_text(sql: &Sql, table: &str) -> String {
    let columns = sql.columns(&format!("SELECT * FROM {table}")).unwrap();
    let cast: Vec<String> =
        columns.iter().map(|column| format!("coalesce(CAST({column} AS TEXT), '')")).collect();
    let query = format!("SELECT {} FROM {table}", cast.join(" || ' ' || "));
    // A blob that is no text holds numbers, not words.
    sql.rows(&query, &[], |row| Ok(row.text(0).unwrap_or_default())).unwrap().join("\n")
}

const EVENTS: &str = "SELECT sn, id, pos, verdict, reason, at, fork, redacted_by, json FROM events";

fn held(row: &Row<'_>) -> Result<Held, SqlError> {
    let (pos, at, fork) = (row.int_or_null(2)?, row.int_or_null(5)?, row.int_or_null(6)?);
    Ok(Held {
        id: row.text(1)?,
        pos,
        verdict: Verdict::of(row.int(3)?).unwrap(),
        reason: row.text_or_null(4)?,
        linear: fork.is_none() && at.is_some() && at.map(|at| at + 1) == pos,
        redacted: row.int_or_null(7)?.is_some(),
        pdu: json_of(&row.text(8)?),
    })
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
