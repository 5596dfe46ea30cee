//! What does the simulator promise beyond the contract: faults, crashes, other servers, and the same run again?

use std::{cell::Cell, future::pending, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::future::{join, join_all};
use http::Request;
use tombolo_platform::{
    Address, AskError, Limits, Waited, World,
    simulated::{Faults, Server, Simulation},
};

use super::suite::{Contract, messages::*};

const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: 1000 };

fn add(simulation: &Simulation, name: &str) -> Server {
    let origin = format!("https://{name}");
    simulation.server(name, Rc::new(Contract), &[("ORIGIN", &origin)], &[])
}

fn alone(seed: u64) -> (Simulation, Server) {
    let simulation = Simulation::new(seed);
    let server = add(&simulation, "one.example");
    (simulation, server)
}

fn shelf(name: &str) -> Address<Shelf> {
    Address::new(name)
}

fn put(key: impl ToString) -> Put {
    Put { key: key.to_string(), then: Then::Reply }
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

async fn count(world: &World, name: &str) -> i64 {
    world.ask(&shelf(name), &Count {}).await.unwrap()
}

/// Writes until it is acknowledged, from several places at once.
async fn write_stubbornly(server: Server, name: &str, keys: std::ops::Range<u32>) {
    let writes = keys.map(|key| {
        let server = server.clone();
        async move {
            while server.world().ask(&shelf(name), &put(key)).await.is_err() {}
            server.world().fetch(get("https://two.example/echo"), LIMITS).await.ok();
        }
    });
    join_all(writes).await;
}

fn harsh_run(seed: u64) -> (String, i64) {
    let (simulation, one) = alone(seed);
    let two = add(&simulation, "two.example");
    simulation.record();
    simulation.faults(Faults::HARSH);
    simulation.run(join(
        write_stubbornly(one.clone(), "shared", 0..10),
        write_stubbornly(two.clone(), "shared", 0..10),
    ));
    simulation.settle(60_000);
    let counted =
        simulation.run(join(count(&one.world(), "shared"), count(&two.world(), "shared")));
    (simulation.transcript(), counted.0.min(counted.1))
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(harsh_run(1), harsh_run(1));
    assert_ne!(harsh_run(1).0, harsh_run(2).0);
}

#[test]
fn what_was_acknowledged_survives_every_fault() {
    for seed in 0..50 {
        assert_eq!(harsh_run(seed).1, 10, "seed {seed}");
    }
}

#[test]
fn a_crash_keeps_databases_and_takes_memory() {
    let (simulation, server) = alone(1);
    simulation.run(async {
        let world = server.world();
        world.ask(&shelf("a"), &put("kept")).await.unwrap();
        world.ask(&shelf("a"), &Remember { refuse: false }).await.unwrap();
        world.isolate(|_| Cell::new(1)).set(2);
        server.crash();
        let world = server.world();
        assert_eq!(count(&world, "a").await, 1);
        assert_eq!(world.ask(&shelf("a"), &Remember { refuse: false }).await, Ok(1));
        assert_eq!(world.isolate(|_| Cell::new(1)).get(), 1);
    });
}

#[test]
fn an_eviction_takes_hot_state_and_leaves_held_waits() {
    let (simulation, server) = alone(1);
    simulation.run(async {
        let world = server.world();
        world.ask(&shelf("a"), &Remember { refuse: false }).await.unwrap();
        let wait =
            async { world.wait(&shelf("a"), &Listen { since: 0, fault: false }, u64::MAX).await };
        let evict = async {
            world.sleep(Duration::from_secs(1)).await;
            server.evict();
            assert_eq!(world.ask(&shelf("a"), &Remember { refuse: false }).await, Ok(1));
            world.ask(&shelf("a"), &Tell {}).await.unwrap();
        };
        assert_eq!(join(wait, evict).await.0, Ok(Waited::Woken));
    });
}

#[test]
fn a_crash_ends_what_is_in_flight() {
    let (simulation, server) = alone(1);
    let outcome = simulation.run(async {
        let world = server.world();
        let wait =
            async { world.wait(&shelf("a"), &Listen { since: 0, fault: false }, u64::MAX).await };
        let crash = async {
            server.world().sleep(Duration::from_secs(1)).await;
            server.crash();
        };
        let slow = server.request(get("/slow/5000"));
        let ((wait, slow), ()) = join(join(wait, slow), crash).await;
        (wait, slow.is_err())
    });
    // Whoever waits, and is still there, asks again.
    assert_eq!(outcome, (Ok(Waited::Woken), true));
}

#[test]
fn an_alarm_survives_a_crash() {
    let (simulation, server) = alone(1);
    simulation.run(async {
        let at = server.world().now() + 5000;
        server
            .world()
            .ask(&shelf("a"), &Arm { at, first: First::Succeed, refuse: false })
            .await
            .unwrap();
        server.crash();
        assert_eq!(server.alarm(&shelf("a")), Some(at));
    });
    simulation.settle(60_000);
    assert_eq!(simulation.run(server.world().ask(&shelf("a"), &Rung {})).unwrap().len(), 1);
}

#[test]
fn an_alarm_that_a_crash_interrupts_fires_again() {
    let (simulation, server) = alone(1);
    simulation.run(async {
        let at = server.world().now() + 1000;
        server
            .world()
            .ask(&shelf("a"), &Arm { at, first: First::Dawdle, refuse: false })
            .await
            .unwrap();
        server.world().sleep(Duration::from_millis(1500)).await;
        server.crash();
    });
    simulation.settle(60_000);
    assert_eq!(simulation.run(server.world().ask(&shelf("a"), &Rung {})).unwrap().len(), 2);
}

#[test]
fn an_alarm_can_fire_twice() {
    let (simulation, server) = alone(1);
    simulation.faults(Faults { repeated_alarm: 1000, ..Faults::NONE });
    let rung = simulation.run(async {
        let at = server.world().now();
        server
            .world()
            .ask(&shelf("a"), &Arm { at, first: First::Succeed, refuse: false })
            .await
            .unwrap();
        server.world().sleep(Duration::from_secs(1)).await;
        server.world().ask(&shelf("a"), &Rung {}).await.unwrap()
    });
    assert_eq!(rung.len(), 2);
}

#[test]
fn settling_goes_as_far_as_the_limit() {
    let (simulation, server) = alone(1);
    simulation.run(async {
        let now = server.world().now();
        for (name, after) in [("soon", 1000), ("late", 100_000)] {
            let arm = Arm { at: now + after, first: First::Succeed, refuse: false };
            server.world().ask(&shelf(name), &arm).await.unwrap();
        }
    });
    simulation.settle(50_000);
    assert_eq!(server.alarm(&shelf("soon")), None);
    assert!(server.alarm(&shelf("late")).is_some());
}

#[test]
fn an_object_that_was_only_asked_does_not_exist() {
    let (simulation, server) = alone(1);
    simulation.run(async {
        let world = server.world();
        assert_eq!(count(&world, "asked").await, 0);
        let refused =
            world.ask(&shelf("refused"), &Put { key: String::new(), then: Then::Refuse }).await;
        assert!(matches!(refused, Err(AskError::Refused(_))));
        let faulted =
            world.ask(&shelf("faulted"), &Put { key: String::new(), then: Then::Fault }).await;
        assert!(matches!(faulted, Err(AskError::Unreachable(_))));
        world.ask(&shelf("written"), &put("a")).await.unwrap();
    });
    assert_eq!(server.objects(), [shelf("written").any()]);
    assert!(server.sql(&shelf("asked")).is_none());
}

#[test]
fn an_ask_can_arrive_twice() {
    let (simulation, server) = alone(1);
    simulation.faults(Faults { repeated_ask: 1000, ..Faults::NONE });
    assert_eq!(simulation.run(server.world().ask(&shelf("a"), &Tell {})), Ok(1));
    simulation.settle(0);
    let listen = Listen { since: 0, fault: false };
    assert_eq!(simulation.run(server.world().ask(&shelf("a"), &listen)), Ok(2));
}

#[test]
fn a_lost_ask_may_have_taken_effect_or_not() {
    let mut seen = [false, false];
    for seed in 0..20 {
        let (simulation, server) = alone(seed);
        simulation.faults(Faults { lost_ask: 500, ..Faults::NONE });
        let lost = simulation.run(server.world().ask(&shelf("a"), &put("a"))).is_err();
        simulation.faults(Faults::NONE);
        let counted = simulation.run(count(&server.world(), "a"));
        assert!(lost || counted == 1, "seed {seed}");
        seen[usize::try_from(counted).unwrap()] |= lost;
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn servers_reach_each_other_at_any_port() {
    let (simulation, one) = alone(1);
    add(&simulation, "two.example");
    add(&simulation, "three.example:4433");
    for url in [
        "https://two.example/echo",
        "https://two.example:8448/echo",
        "https://three.example:4433/echo",
    ] {
        let response = simulation.run(one.world().fetch(get(url), LIMITS)).unwrap();
        assert_eq!(response.status(), 201, "{url}");
    }
    assert!(simulation.run(one.world().fetch(get("https://three.example/echo"), LIMITS)).is_err());
}

#[test]
fn nothing_passes_a_partition_until_it_heals() {
    let (simulation, one) = alone(1);
    let two = add(&simulation, "two.example");
    simulation.partition("two.example", "one.example", u64::MAX);
    let there = one.world();
    let back = two.world();
    let both = || {
        join(
            there.fetch(get("https://two.example/echo"), LIMITS),
            back.fetch(get("https://one.example/echo"), LIMITS),
        )
    };
    let (to, from) = simulation.run(both());
    assert!(to.is_err() && from.is_err());
    simulation.heal();
    let (to, from) = simulation.run(both());
    assert!(to.is_ok() && from.is_ok());
}

#[test]
fn a_fetch_can_arrive_twice_late_or_never() {
    let (simulation, one) = alone(1);
    let two = add(&simulation, "two.example");
    simulation.faults(Faults { repeated_fetch: 1000, ..Faults::NONE });
    simulation.run(one.world().fetch(get("https://two.example/echo"), LIMITS)).unwrap();
    simulation.settle(60_000);
    assert_eq!(two.world().units().requests, 2);
    simulation.faults(Faults { lost_fetch: 1000, ..Faults::NONE });
    let begin = simulation.now();
    assert!(simulation.run(one.world().fetch(get("https://two.example/echo"), LIMITS)).is_err());
    assert_eq!(simulation.now() - begin, 10_000);
}

#[test]
fn fetches_overtake_each_other() {
    let overtaken = (0..20).filter(|seed| {
        let (simulation, one) = alone(*seed);
        add(&simulation, "two.example");
        simulation.faults(Faults { latency: 1000, ..Faults::NONE });
        simulation.record();
        let world = one.world();
        simulation
            .run(join(
                world.fetch(get("https://two.example/echo/first"), LIMITS),
                world.fetch(get("https://two.example/echo/second"), LIMITS),
            ))
            .0
            .unwrap();
        let transcript = simulation.transcript();
        let arrived = |what: &str| {
            transcript.find(&format!("two.example ← GET https://two.example/echo/{what}")).unwrap()
        };
        arrived("second") < arrived("first")
    });
    assert!((1..20).contains(&overtaken.count()));
}

#[test]
fn six_fetches_run_at_once_and_the_seventh_waits() {
    let took = |count: usize| {
        let (simulation, one) = alone(1);
        let (world, begin) = (one.world(), simulation.now());
        let responses =
            (0..count).map(|_| world.fetch(get("https://one.example/slow/1000"), LIMITS));
        let responses = simulation.run(join_all(responses));
        assert!(responses.iter().all(Result::is_ok));
        simulation.now() - begin
    };
    assert!((1000..2000).contains(&took(6)));
    assert!((2000..3000).contains(&took(7)));
}

#[test]
fn a_value_expires_in_kv() {
    let (simulation, server) = alone(1);
    simulation.run(async {
        let (world, kv) = (server.world(), server.world().kv());
        kv.put("key", b"value", Some(60)).await.unwrap();
        world.sleep(Duration::from_secs(59)).await;
        assert!(kv.get("key").await.unwrap().is_some());
        world.sleep(Duration::from_secs(1)).await;
        assert_eq!(kv.get("key").await, Ok(None));
    });
}

#[test]
fn a_value_in_kv_may_be_stale_for_a_minute() {
    let (simulation, server) = alone(1);
    simulation.faults(Faults { stale_kv: 1000, ..Faults::NONE });
    simulation.run(async {
        let (world, kv) = (server.world(), server.world().kv());
        kv.put("key", b"value", None).await.unwrap();
        assert_eq!(kv.get("key").await, Ok(None));
        world.sleep(Duration::from_secs(60)).await;
        assert_eq!(kv.get("key").await, Ok(Some("value".into())));
    });
}

#[test]
fn a_request_may_meet_a_fresh_isolate() {
    let (simulation, server) = alone(1);
    server.world().isolate(|_| Cell::new(1)).set(2);
    simulation.run(server.request(get("/echo"))).unwrap();
    assert_eq!(server.world().isolate(|_| Cell::new(1)).get(), 2);
    simulation.faults(Faults { fresh_isolate: 1000, ..Faults::NONE });
    simulation.run(server.request(get("/echo"))).unwrap();
    assert_eq!(server.world().isolate(|_| Cell::new(1)).get(), 1);
}

#[test]
fn migrations_make_the_tables_of_d1() {
    let simulation = Simulation::new(1);
    let migrations = [
        ("0001.sql", "CREATE TABLE a (x)"),
        ("0002.sql", "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)"),
    ];
    let server = simulation.server("one.example", Rc::new(Contract), &[], &migrations);
    let count = server.d1().row("SELECT count(*) FROM a", &[], |row| row.int(0));
    assert_eq!(count, Ok(Some(2)));
}

#[test]
#[should_panic(expected = "seed 7: the future waits for what never comes")]
fn a_run_that_cannot_end_names_its_seed() {
    let (simulation, _server) = alone(7);
    simulation.run(pending::<()>());
}
