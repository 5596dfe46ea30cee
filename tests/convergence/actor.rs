//! What does one user do in a scenario?

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use http::Method;
use serde_json::{Value, json};
use tombolo_platform::simulated::Simulation;
use tombolo_support::{Answer, Dice, encode};

use crate::{
    copy::Copy,
    network::Network,
    secrets,
    story::{Acknowledged, Story},
};

/// A user and what they believe about themselves.
pub struct Actor<'a> {
    pub simulation: &'a Simulation,
    pub network: &'a Network,
    pub story: &'a Story,
    pub dice: Dice,
    pub user: usize,
    /// What the user's second client asks for.
    pub filter: &'static str,
    pub joined: RefCell<BTreeSet<usize>>,
    /// Events they know of, by room.
    pub seen: RefCell<Vec<(usize, String)>>,
}

/// The kinds of thing a member does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Say,
    State,
    Power,
    JoinRule,
    Visibility,
    Invite,
    Remove,
    Leave,
    Redact,
    Typing,
    Receipt,
    Sync,
    Read,
}

/// How often each is done.
const DEEDS: &[(usize, Deed)] = &[
    (30, Deed::Say),
    (8, Deed::State),
    (4, Deed::Power),
    (3, Deed::JoinRule),
    (2, Deed::Visibility),
    (5, Deed::Invite),
    (6, Deed::Remove),
    (3, Deed::Leave),
    (5, Deed::Redact),
    (3, Deed::Typing),
    (4, Deed::Receipt),
    (14, Deed::Sync),
    (5, Deed::Read),
];

impl<'a> Actor<'a> {
    pub fn new(
        (simulation, network, story): (&'a Simulation, &'a Network, &'a Story),
        dice: Dice,
        user: usize,
        filter: &'static str,
    ) -> Self {
        Self {
            simulation,
            network,
            story,
            dice,
            user,
            filter,
            joined: RefCell::default(),
            seen: RefCell::default(),
        }
    }

    /// So many deeds, with pauses.
    pub async fn act(&self, deeds: usize) {
        for _ in 0..deeds {
            self.pause(2500).await;
            let rooms = self.story.rooms.borrow().len();
            let room = self.dice.below(rooms);
            if self.joined.borrow().contains(&room) || self.dice.percent(20) {
                let deed = self.dice.weighted(DEEDS);
                self.perform(deed, room).await;
            } else if self.dice.percent(50) {
                self.join(room).await;
            } else {
                self.sync(0).await;
            }
        }
    }

    async fn pause(&self, most: usize) {
        let time = Duration::from_millis(self.dice.below(most) as u64);
        self.network.servers[0].world().sleep(time).await;
    }

    async fn perform(&self, deed: Deed, room: usize) {
        match deed {
            Deed::Say => self.say(room).await,
            Deed::State => self.state(room).await,
            Deed::Power => self.power(room).await,
            Deed::JoinRule => self.join_rule(room).await,
            Deed::Visibility => self.visibility(room).await,
            Deed::Invite => self.member(room, "invite", self.other()).await,
            Deed::Remove => {
                let how = *self.dice.one(&["kick", "ban", "unban"]);
                self.member(room, how, self.other()).await;
            }
            Deed::Leave => self.leave(room).await,
            Deed::Redact => self.redact(room).await,
            Deed::Typing => self.typing(room).await,
            Deed::Receipt => self.receipt(room).await,
            Deed::Sync => self.sync(self.dice.below(3) * 2000).await,
            Deed::Read => self.read(room).await,
        }
    }

    /// Says something that nobody else ever said.
    pub async fn say(&self, room: usize) {
        let secret = self.story.secret();
        let content = json!({ "msgtype": "m.text", "body": secrets::plant(secret) });
        let path = format!("{}/send/m.room.message/{}", self.path(room), self.story.transaction());
        self.event(room, Method::PUT, &path, content).await;
    }

    async fn state(&self, room: usize) {
        let word = format!("{} of {}", self.dice.below(1000), self.user);
        let (kind, key, content) = match self.dice.below(3) {
            0 => ("m.room.name", String::new(), json!({ "name": word })),
            1 => ("m.room.topic", String::new(), json!({ "topic": word })),
            _ => ("org.example.thing", format!("k{}", self.dice.below(3)), json!({ "word": word })),
        };
        self.put_state(room, kind, &key, content).await;
    }

    /// Raises or lowers somebody's level, or the level that sending state needs.
    async fn power(&self, room: usize) {
        let held = self
            .call(Method::GET, &format!("{}/state/m.room.power_levels/", self.path(room)), None)
            .await;
        if !held.is_ok() {
            return;
        }
        let (mut content, level) = (held.body, *self.dice.one(&[0, 50, 50, 75, 100]));
        match self.dice.below(4) {
            0 => content["events"]["org.example.thing"] = json!(level.min(50)),
            1 => content["redact"] = json!(level),
            _ => content["users"][&self.network.users[self.other()].id] = json!(level),
        }
        self.put_state(room, "m.room.power_levels", "", content).await;
    }

    async fn join_rule(&self, room: usize) {
        let rooms = self.story.rooms.borrow().clone();
        let other = &rooms[self.dice.below(rooms.len())].id;
        let version: u32 = rooms[room].version.parse().unwrap();
        let content = match self.dice.below(4) {
            0 if version >= 8 => {
                json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": other }] })
            }
            1 => json!({ "join_rule": "invite" }),
            _ => json!({ "join_rule": "public" }),
        };
        self.put_state(room, "m.room.join_rules", "", content).await;
    }

    async fn visibility(&self, room: usize) {
        let visibility = *self.dice.one(&["shared", "joined", "invited", "world_readable"]);
        self.put_state(
            room,
            "m.room.history_visibility",
            "",
            json!({ "history_visibility": visibility }),
        )
        .await;
    }

    /// Invites, kicks, bans, unbans.
    pub async fn member(&self, room: usize, how: &str, whom: usize) {
        let content = json!({ "user_id": self.network.users[whom].id });
        self.call(Method::POST, &format!("{}/{how}", self.path(room)), Some(content)).await;
    }

    /// Joins by the room's ID, through servers that may be in it.
    pub async fn join(&self, room: usize) {
        let place = self.story.room(room);
        let via = [
            self.network.home(place.creator),
            self.network.home(self.other()),
            self.network.home(self.other()),
        ];
        let via: Vec<String> =
            via.iter().map(|name| format!("server_name={}", encode(name))).collect();
        let path = format!("/_matrix/client/v3/join/{}?{}", encode(&place.id), via.join("&"));
        if self.call(Method::POST, &path, Some(json!({}))).await.is_ok() {
            self.joined.borrow_mut().insert(room);
        }
    }

    pub async fn leave(&self, room: usize) {
        let path = format!("{}/leave", self.path(room));
        if self.call(Method::POST, &path, Some(json!({}))).await.is_ok() {
            self.joined.borrow_mut().remove(&room);
        }
    }

    async fn redact(&self, room: usize) {
        let Some(event_id) = self.known(room) else { return };
        if self.breaks_rules(room, &event_id) {
            return;
        }
        let path = format!(
            "{}/redact/{}/{}",
            self.path(room),
            encode(&event_id),
            self.story.transaction()
        );
        self.event(room, Method::PUT, &path, json!({ "reason": "regret" })).await;
    }

    async fn typing(&self, room: usize) {
        let path =
            format!("{}/typing/{}", self.path(room), encode(&self.network.users[self.user].id));
        self.call(
            Method::PUT,
            &path,
            Some(json!({ "typing": self.dice.percent(70), "timeout": 4000 })),
        )
        .await;
    }

    async fn receipt(&self, room: usize) {
        let Some(event_id) = self.known(room) else { return };
        let path = format!("{}/receipt/m.read/{}", self.path(room), encode(&event_id));
        self.call(Method::POST, &path, Some(json!({}))).await;
    }

    async fn read(&self, room: usize) {
        let path = match self.dice.below(4) {
            0 => format!("{}/messages?dir=b&limit=20", self.path(room)),
            1 => format!("{}/state", self.path(room)),
            2 => format!("{}/members", self.path(room)),
            _ => match self.known(room) {
                Some(event_id) => format!("{}/event/{}", self.path(room), encode(&event_id)),
                None => return,
            },
        };
        self.call(Method::GET, &path, None).await;
    }

    async fn put_state(&self, room: usize, kind: &str, key: &str, content: Value) {
        let path = format!("{}/state/{kind}/{}", self.path(room), encode(key));
        self.event(room, Method::PUT, &path, content).await;
    }

    /// A request that makes an event.
    async fn event(&self, room: usize, method: Method, path: &str, content: Value) {
        let answer = self.call(method, path, Some(content)).await;
        if let Some(event_id) = answer.text("event_id").filter(|_| answer.is_ok()) {
            let server = self.network.users[self.user].server;
            self.story.acknowledge(Acknowledged { room, server, event_id: event_id.clone() });
            self.seen.borrow_mut().push((room, event_id));
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let began = self.simulation.now();
        let shown =
            format!("{method} {path} {}", body.as_ref().map(Value::to_string).unwrap_or_default());
        let answer = self.network.insist(self.user, method, path, body).await;
        let count = match answer.status {
            400..=499 => Some(&self.story.refused),
            0 | 500.. => Some(&self.story.failed),
            _ => None,
        };
        if let Some(count) = count {
            count.set(count.get() + 1);
        }
        let said: String = answer.body.to_string().chars().take(300).collect();
        let name = &self.network.users[self.user].id;
        self.story.note(format!(
            "{began}–{} {name} {shown} → {} {said}",
            self.simulation.now(),
            answer.status
        ));
        answer
    }

    /// An event of a room that the user knows of.
    fn known(&self, room: usize) -> Option<String> {
        let seen = self.seen.borrow();
        let known: Vec<&String> =
            seen.iter().filter(|(at, _)| *at == room).map(|(_, event_id)| event_id).collect();
        (!known.is_empty()).then(|| (*self.dice.one(&known)).clone())
    }

    /// Whether a redaction leaves less of an event than the rules of its room version read, which a later version mends:
    /// who gets the event only afterwards judges by less, whatever a server does.
    fn breaks_rules(&self, room: usize, event_id: &str) -> bool {
        let place = self.story.room(room);
        let version: u32 = place.version.parse().unwrap();
        let server = self.network.users[self.user].server;
        let sql = self.network.room(server, &place.id);
        let held = sql.and_then(Copy::read).and_then(|mut copy| copy.events.remove(event_id));
        held.is_some_and(|held| match held.pdu["type"].as_str() {
            // Version 9 keeps who authorised a restricted join.
            Some("m.room.member") => version == 8,
            // Version 11 keeps the level for invites.
            Some("m.room.power_levels") => version < 11,
            _ => false,
        })
    }

    fn other(&self) -> usize {
        let step = self.dice.between(1, self.network.users.len() - 1);
        (self.user + step) % self.network.users.len()
    }

    fn path(&self, room: usize) -> String {
        format!("/_matrix/client/v3/rooms/{}", encode(&self.story.room(room).id))
    }
}
