//! How does a seed become a scenario, and the scenario a run?

use std::{future::Future, pin::Pin};

use futures_util::future::{join_all, join3};
use http::Method;
use serde_json::{Value, json};
use tombolo_platform::simulated::Simulation;
use tombolo_support::{Bridge, Dice, faults, trouble};

use crate::{
    actor::Actor,
    bridge, checks,
    network::Network,
    story::{Place, Story},
};

const VERSIONS: [&str; 7] = ["6", "7", "8", "9", "10", "11", "12"];

/// How long everything may take to come to rest once nothing goes wrong any more (ms): a day.
const REST: u64 = 86_400_000;

/// A run, once it is over.
pub struct Run {
    pub simulation: Simulation,
    pub network: Network,
    pub story: Story,
    /// The application service of the first server, in some seeds.
    pub bridge: Option<Bridge>,
    pub seed: u64,
}

/// Runs a seed; answers also what is wrong with what came of it.
pub fn run(seed: u64, record: bool) -> (Run, Vec<String>) {
    let dice = Dice::new(seed, 0);
    let simulation = Simulation::new(seed);
    if record {
        simulation.record();
    }
    let mut network = Network::new(&simulation, &dice, dice.between(4, 6));
    let story = Story::default();
    simulation.run(register(&mut network, &dice));
    story.syncs.borrow_mut().resize(network.users.len(), Vec::new());
    story.filtered.borrow_mut().resize(network.users.len(), Vec::new());
    story.slid.borrow_mut().resize(network.users.len(), Vec::new());
    let bridge = bridge::begin(&simulation, &network, seed);
    simulation.run(open_rooms(&network, &story, &dice, seed));
    simulation.settle(REST);
    let run = Run { simulation, network, story, bridge, seed };
    run.simulation.run(gather(&run));
    let (faults, names) = faults(&dice);
    run.simulation.faults(faults);
    run.simulation.run(live(&run, &dice));
    run.simulation.settle(REST);
    run.story.note(format!("faults: {}", names.join(", ")));
    let findings = checks::after(&run);
    (run, findings)
}

async fn register(network: &mut Network, dice: &Dice) {
    for server in 0..network.servers.len() {
        network.register(server, dice.between(1, 3)).await;
    }
}

/// One or two rooms; some users are trusted, some invited.
async fn open_rooms(network: &Network, story: &Story, dice: &Dice, seed: u64) {
    for number in 0..dice.between(1, 2) {
        let creator = dice.below(network.users.len());
        let version = VERSIONS[(usize::try_from(seed % 7).unwrap() + 3 * number) % VERSIONS.len()];
        let body = create_request(network, dice, version, creator);
        let answer =
            network.call(creator, Method::POST, "/_matrix/client/v3/createRoom", Some(body)).await;
        let Some(id) = answer.text("room_id") else {
            panic!("no room of version {version}: {answer:?}")
        };
        story.note(format!("{} made {id} of version {version}", network.users[creator].id));
        story.rooms.borrow_mut().push(Place { id, version, creator });
    }
}

fn create_request(network: &Network, dice: &Dice, version: &str, creator: usize) -> Value {
    let mut users = serde_json::Map::new();
    // A creator of version 12 is above all levels, and may not be named among them.
    if version != "12" {
        users.insert(network.users[creator].id.clone(), json!(100));
    }
    for _ in 0..2 {
        let trusted = dice.below(network.users.len());
        if trusted != creator {
            users.insert(network.users[trusted].id.clone(), json!(*dice.one(&[50, 100])));
        }
    }
    let visibility = *dice.one(&["shared", "shared", "joined", "invited", "world_readable"]);
    let others: Vec<usize> = (0..network.users.len()).filter(|user| *user != creator).collect();
    let invite: Vec<&String> =
        others.iter().filter(|_| dice.percent(30)).map(|user| &network.users[*user].id).collect();
    json!({
        "room_version": version,
        "preset": if dice.percent(70) { "public_chat" } else { "private_chat" },
        "power_level_content_override": { "users": users },
        "initial_state": [{ "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": visibility } }],
        "invite": invite,
    })
}

/// Before anything goes wrong, about half of the users join.
async fn gather(run: &Run) {
    let joins = (0..run.network.users.len()).map(|user| async move {
        let actor = run.actor(user, 1);
        actor.sync(0).await;
        let rooms = run.story.rooms.borrow().len();
        for room in 0..rooms {
            if actor.dice.percent(60) {
                actor.join(room).await;
            }
        }
        actor.sync(0).await;
    });
    join_all(joins).await;
}

/// Everybody acts at once while things go wrong.
async fn live(run: &Run, dice: &Dice) {
    let deeds = dice.between(10, 16);
    let actors: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = (0..run.network.users.len())
        .map(|user| {
            let acting = async move { run.actor(user, 2).act(deeds).await };
            Box::pin(acting) as Pin<Box<dyn Future<Output = ()> + '_>>
        })
        .collect();
    let trouble = trouble(&run.simulation, &run.network.servers, dice, |line| run.story.note(line));
    join3(join_all(actors), trouble, bridge::live(run)).await;
}

impl Run {
    /// A user in some part of the run.
    pub fn actor(&self, user: usize, part: u64) -> Actor<'_> {
        let dice = Dice::new(self.seed, 1000 * part + user as u64 + 1);
        let filter = checks::clients::filter(self.seed, user);
        Actor::new((&self.simulation, &self.network, &self.story), dice, user, filter)
    }
}
