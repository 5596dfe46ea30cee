//! What happens in a room, one verdict after the other?

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_protocol::{room_version::RoomVersion, server_keys::KeyRing};

use crate::{
    deeds::{self, Deed, state},
    founding,
    judge::judge,
    levels, twists,
    world::{Branch, USERS, World, text_of},
};

/// How many things happen in a room after its founding.
const DEEDS: usize = 40;

struct Story {
    world: World,
    ring: KeyRing,
    now: Branch,
    past: Vec<Branch>,
    steps: Vec<Value>,
}

/// A case with its verdicts, and how many they are.
pub fn tell(version: &'static RoomVersion, seed: u64) -> (String, usize) {
    let world = World::new(version, seed);
    let ring = world.ring();
    let mut story =
        Story { world, ring, now: founding::nothing(), past: Vec::new(), steps: Vec::new() };
    story.found_other_room();
    story.found();
    for _ in 0..DEEDS {
        story.go_on();
    }
    let count = story.steps.len();
    let line = json!({ "seed": seed, "version": version.id, "steps": story.steps });
    (line.to_string(), count)
}

impl Story {
    /// A room of which events may be cited wrongly.
    fn found_other_room(&mut self) {
        self.world.room_id = founding::name(&self.world, "other");
        let deed = founding::create(&self.world);
        self.step(&deed, false, None);
        let join = join(USERS[0]);
        self.step(&join, false, None);
        self.world.foreign = self.world.events.keys().cloned().collect();
        self.now = founding::nothing();
        self.past.clear();
    }

    fn found(&mut self) {
        self.world.room_id = founding::name(&self.world, "room");
        for deed in [founding::create(&self.world), join(USERS[0])] {
            self.step(&deed, false, None);
        }
        if self.world.dice.percent(80) {
            let content = Value::Object(levels::usual(&self.world));
            let deed = state("power levels", USERS[0], ("m.room.power_levels", ""), content);
            self.step(&deed, false, None);
        }
        if self.world.dice.percent(80) {
            let rule =
                *self.world.dice.one(&["public", "public", "restricted", "knock_restricted"]);
            let content = json!({ "join_rule": rule });
            let deed = state("join rules", USERS[0], ("m.room.join_rules", ""), content);
            self.step(&deed, false, None);
            for user in [USERS[1], USERS[2], USERS[4]] {
                self.step(&join(user), false, None);
            }
        }
    }

    fn go_on(&mut self) {
        let from_past = !self.past.is_empty() && self.world.dice.percent(15);
        let past = from_past.then(|| self.world.dice.one(&self.past).clone());
        let branch = past.as_ref().unwrap_or(&self.now);
        let deed = match self.world.dice.below(10) {
            0..7 => deeds::sought(&self.world, branch, true),
            7 | 8 => deeds::sought(&self.world, branch, false),
            _ => deeds::any(&self.world, branch),
        };
        let twisted = self.world.dice.percent(22);
        self.step(&deed, twisted, past);
    }

    /// One event and the verdicts on it.
    fn step(&mut self, deed: &Deed, twisted: bool, past: Option<Branch>) {
        let is_now = past.is_none();
        let mut branch = past.unwrap_or_else(|| self.now.clone());
        let mut parts = self.world.parts(&branch, deed);
        if deed.aim == "create" || (deed.aim == "another create" && self.world.dice.percent(80)) {
            twists::begin_room(&self.world, &mut parts);
        }
        let (mut aim, mut keep) = (deed.aim.to_owned(), deed.keep);
        let text = if twisted {
            let twist = twists::twist(&self.world, &branch, &mut parts);
            aim = format!("{aim} / {}", twist.aim);
            keep &= twist.keep;
            twist.text
        } else {
            text_of(&self.world.seal(&parts))
        };
        let judged = judge(&self.world, &branch, &self.ring, &text);
        let kept = keep && judged.pdu.is_some();
        let state: Vec<_> = branch.state.values().cloned().collect();
        self.steps.push(json!({
            "aim": aim, "text": text, "state": state, "keep": kept, "rejected": !judged.allowed,
            "ours": judged.record,
        }));
        let Some(mut pdu) = judged.pdu.filter(|_| kept) else { return };
        pdu.rejected = !judged.allowed;
        let pdu = Rc::new(pdu);
        if pdu.rejected {
            self.world.refused.push(pdu.event_id.clone());
            self.world.events.insert(pdu.event_id.clone(), pdu);
            return;
        }
        if pdu.kind() == "m.room.create" {
            self.world.room_id = Some(pdu.room_id.clone());
        }
        self.past.push(branch.clone());
        self.world.follow(&mut branch, &pdu);
        if is_now {
            self.now = branch;
        }
    }
}

fn join(user: &str) -> Deed {
    state("join", user, ("m.room.member", user), json!({ "membership": "join" }))
}
