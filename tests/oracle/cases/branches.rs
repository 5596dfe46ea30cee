//! What becomes of a room whose branches grew apart?

use std::{collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};
use tombolo_protocol::{
    event::Pdu,
    room_version::RoomVersion,
    state_resolution::{StateMap, resolve_known},
};

use crate::{
    deeds::{self, Deed, state},
    founding, levels,
    world::{Branch, USERS, World},
};

/// Most branches of a room.
const BRANCHES: usize = 4;

/// A case: the events, the states, and what they resolve to.
pub fn tell(version: &'static RoomVersion, seed: u64) -> String {
    let mut world = World::new(version, seed);
    world.tame = true;
    let first = found(&mut world);
    let lax = world.dice.percent(8);
    let branches = grow(&mut world, first, &Growth { lax, meets_alone: true });
    let mut rejected = Vec::new();
    if world.dice.percent(15) {
        rejected = reject(&mut world);
    }
    let mut sets: Vec<StateMap> = branches.into_iter().map(|branch| branch.state).collect();
    if world.dice.percent(10) {
        forget(&world, &mut sets);
    }
    let resolved = resolve_known(version, &sets, &world.events);
    let ours = match &resolved {
        Ok(state) => json!(state.values().collect::<Vec<_>>()),
        Err(fault) => json!({ "fault": fault.to_string() }),
    };
    case(&world, seed, (&rejected, sets), &ours)
}

/// A line of the comparison: some of the events may be marked as rejected.
pub fn case(
    world: &World,
    seed: u64,
    (rejected, sets): (&[String], Vec<StateMap>),
    ours: &Value,
) -> String {
    let events: BTreeMap<_, _> =
        world.events.iter().map(|(id, event)| (id.to_string(), &event.json)).collect();
    let sets: Vec<Vec<_>> = sets.iter().map(|set| set.values().collect()).collect();
    json!({
        "seed": seed, "version": world.version.id, "room_id": world.room_id, "events": events,
        "rejected": rejected, "sets": sets, "ours": ours,
    })
    .to_string()
}

/// A room, its creator, and who came first.
pub fn found(world: &mut World) -> Branch {
    let mut branch = founding::nothing();
    world.room_id = founding::name(world, "room");
    let mut create = founding::create(world);
    create.content.as_object_mut().unwrap().remove("m.federate");
    if create.content.get("creator").is_some() {
        create.content["creator"] = USERS[0].into();
    }
    let created = world.happen(&mut branch, &create);
    world.room_id = Some(created.room_id.clone());
    let join =
        |user: &str| state("join", user, ("m.room.member", user), json!({ "membership": "join" }));
    world.happen(&mut branch, &join(USERS[0]));
    if world.dice.percent(85) {
        let content = Value::Object(levels::usual(world));
        let deed = state("power levels", USERS[0], ("m.room.power_levels", ""), content);
        if world.allows(&branch, &deed) {
            world.happen(&mut branch, &deed);
        }
    }
    if world.dice.percent(90) {
        let rule = *world.dice.one(&["public", "public", "public", "restricted", "knock"]);
        let content = json!({ "join_rule": rule });
        let deed = state("join rules", USERS[0], ("m.room.join_rules", ""), content);
        world.happen(&mut branch, &deed);
        for user in [USERS[1], USERS[2], USERS[4]] {
            if world.allows(&branch, &join(user)) {
                world.happen(&mut branch, &join(user));
            }
        }
    }
    branch
}

/// How branches grow.
pub struct Growth {
    /// Whether some servers let in what they should not.
    pub lax: bool,
    /// Whether branches may meet without an event that cites them: a room knows no such state.
    pub meets_alone: bool,
}

/// Branches that grow apart and meet.
pub fn grow(world: &mut World, first: Branch, growth: &Growth) -> Vec<Branch> {
    let mut branches = vec![first];
    let count = 10 + world.dice.below(50);
    for _ in 0..count {
        if branches.len() < BRANCHES && (branches.len() == 1 || world.dice.percent(10)) {
            let fork = world.dice.one(&branches).clone();
            branches.push(fork);
        }
        let chosen = world.dice.below(branches.len());
        let apart = branches[chosen].clone();
        if world.dice.percent(5) {
            merge(world, &mut branches, chosen);
        }
        let deed = chosen_deed(world, &branches[chosen]);
        let wanted = world.allows(&branches[chosen], &deed);
        if wanted || (growth.lax && has_form(&deed)) {
            let mut branch = branches[chosen].clone();
            world.happen(&mut branch, &deed);
            branches[chosen] = branch;
        } else if !growth.meets_alone {
            branches[chosen] = apart;
        }
    }
    branches
}

/// Something that is allowed, as a rule; seldom no state.
fn chosen_deed(world: &World, branch: &Branch) -> Deed {
    loop {
        let deed = deeds::sought(world, branch, true);
        if deed.kind != "m.room.create" && (deed.state_key.is_some() || world.dice.percent(20)) {
            return deed;
        }
    }
}

/// Whether a deed is an event at all, so that another server may have let it in.
fn has_form(deed: &Deed) -> bool {
    let is_user = |value: &Value| value.as_str().is_some_and(|user| USERS.contains(&user));
    let authoriser = deed.content.get("join_authorised_via_users_server");
    match deed.kind.as_str() {
        "m.room.create" | "m.room.power_levels" => false,
        "m.room.member" => {
            deed.state_key.as_ref().is_some_and(is_user)
                && deed.content.get("membership").is_some_and(Value::is_string)
                && deed.content.get("third_party_invite").is_none()
                && authoriser.is_none_or(is_user)
        }
        _ => deed.state_key.as_ref().is_none_or(Value::is_string),
    }
}

fn merge(world: &mut World, branches: &mut [Branch], into: usize) {
    let sets: Vec<_> = branches.iter().map(|branch| branch.state.clone()).collect();
    let state = resolve_known(world.version, &sets, &world.events).unwrap();
    let extremities = branches.iter().flat_map(|branch| branch.extremities.clone()).collect();
    let depth = branches.iter().map(|branch| branch.depth).max().unwrap_or(1);
    branches[into] = Branch { state, extremities, depth };
}

/// Marks events as rejected, whether or not others cite them.
fn reject(world: &mut World) -> Vec<String> {
    let ids: Vec<_> = world
        .events
        .values()
        .filter(|event| event.kind() != "m.room.create")
        .map(|event| event.event_id.clone())
        .collect();
    let count = 1 + world.dice.below(3);
    let mut rejected = Vec::new();
    for _ in 0..count {
        let id = world.dice.one(&ids).clone();
        if let Some(event) = world.events.get(&id) {
            let mut event = Pdu::clone(event);
            event.rejected = true;
            world.events.insert(id.clone(), Rc::new(event));
            rejected.push(id.to_string());
        }
    }
    rejected
}

/// Lets one state lack something.
fn forget(world: &World, sets: &mut [StateMap]) {
    let index = world.dice.below(sets.len());
    let keys: Vec<_> =
        sets[index].keys().filter(|(kind, _)| kind != "m.room.create").cloned().collect();
    if !keys.is_empty() {
        sets[index].remove(world.dice.one(&keys));
    }
}
