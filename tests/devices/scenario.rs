//! How does a seed become a scenario, and the scenario a run?

use std::{future::Future, pin::Pin};

use futures_util::future::{join, join_all};
use http::Method;
use serde_json::json;
use tombolo_platform::simulated::Simulation;
use tombolo_support::{Dice, encode, faults, trouble};

use crate::{
    actor::Actor,
    checks,
    network::{Network, Session, insist},
    story::Story,
};

const VERSIONS: [&str; 3] = ["10", "11", "12"];

/// How long everything may take to come to rest once nothing goes wrong any more (ms): a day.
pub const REST: u64 = 86_400_000;

/// A run.
pub struct Run {
    pub simulation: Simulation,
    pub network: Network,
    /// The IDs of the rooms, and the number of the user who made each.
    pub rooms: Vec<(String, usize)>,
    pub story: Story,
    seed: u64,
}

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a seed; answers also what is wrong with what came of it.
pub fn run(seed: u64, record: bool) -> (Run, Vec<String>) {
    let (simulation, dice) = (Simulation::new(seed), Dice::new(seed, 0));
    if record {
        simulation.record();
    }
    let network = simulation.run(Network::new(&simulation, &dice));
    let mut run = Run { simulation, network, rooms: Vec::new(), story: Story::default(), seed };
    run.rooms = run.simulation.run(open_rooms(&run, &dice));
    run.simulation.run(gather(&run));
    run.simulation.settle(REST);
    let (faults, names) = faults(&dice);
    run.story.note(format!("{} faults: {}", run.simulation.now(), names.join(", ")));
    run.simulation.faults(faults);
    run.simulation.run(live(&run, &dice));
    run.story.note(format!("{} all is well", run.simulation.now()));
    run.simulation.settle(REST);
    run.simulation.run(say_once_more(&run));
    run.simulation.settle(REST);
    let findings = run.simulation.run(checks::after(&run));
    (run, findings)
}

/// One to three rooms, each made by any user on a device of its own.
async fn open_rooms(run: &Run, dice: &Dice) -> Vec<(String, usize)> {
    let mut rooms = Vec::new();
    for _ in 0..dice.between(1, 3) {
        let creator = dice.below(run.network.users.len());
        let session = run.network.login(creator, "MAKER").await.unwrap();
        let body = json!({ "room_version": dice.one(&VERSIONS), "preset": "public_chat" });
        let path = "/_matrix/client/v3/createRoom";
        let answer = insist(&session, &Method::POST, path, Some(&body)).await;
        let room = answer.text("room_id").unwrap_or_else(|| panic!("no room: {answer:?}"));
        insist(&session, &Method::POST, "/_matrix/client/v3/logout", Some(&json!({}))).await;
        run.story.enters(&room, &session.id);
        rooms.push((room, creator));
    }
    rooms
}

/// Before anything goes wrong, most devices log in, and some users join.
async fn gather(run: &Run) {
    let gathering = (0..run.network.devices.len()).map(|device| async move {
        let actor = run.actor(device, 1);
        if actor.dice.percent(70) {
            actor.log_in().await;
        }
        let Some(session) = run.session(device) else { return };
        if actor.dice.percent(30) {
            actor.join(&session).await;
        }
        actor.sync(&session, 0).await;
        actor.query(&session).await;
    });
    join_all(gathering).await;
}

/// Every device acts at once while things go wrong.
async fn live(run: &Run, dice: &Dice) {
    let deeds = dice.between(10, 18);
    let actors: Vec<Boxed<'_>> = (0..run.network.devices.len())
        .map(|device| {
            let acting = async move { run.actor(device, 2).act(deeds).await };
            Box::pin(acting) as Boxed<'_>
        })
        .collect();
    let note = |line| run.story.note(line);
    join(join_all(actors), trouble(&run.simulation, &run.network.servers, dice, note)).await;
}

/// Everybody says something in every room, so that servers that miss events learn of it.
async fn say_once_more(run: &Run) {
    for (number, _) in run.network.users.iter().enumerate() {
        let session = run.network.login(number, "MAKER").await.unwrap();
        for (room, _) in &run.rooms {
            let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/end", encode(room));
            let body = json!({ "msgtype": "m.text", "body": "the end" });
            insist(&session, &Method::PUT, &path, Some(&body)).await;
        }
        insist(&session, &Method::POST, "/_matrix/client/v3/logout", Some(&json!({}))).await;
    }
}

impl Run {
    /// A device in some part of the run.
    pub fn actor(&self, device: usize, part: u64) -> Actor<'_> {
        let dice = Dice::new(self.seed, 1000 * part + device as u64 + 1);
        Actor { run: self, device, dice }
    }

    /// The session of a device that is logged in, with the number of its life.
    pub fn session(&self, device: usize) -> Option<Session> {
        let device = &self.network.devices[device];
        Some((device.life.get()?, device.session.borrow().clone()?))
    }
}
