//! How does a wait end?

use std::time::Duration;

use futures_util::future::{join, join_all};
use tombolo_platform::{Address, Unreachable, Waited, World};

use super::{Outcome, fresh_shelf, holds, messages::*, same, text};

type Ended = Result<Waited<i64, String>, Unreachable>;

async fn listen(world: &World, shelf: &Address<Shelf>, since: i64, after: u64) -> Ended {
    world.wait(shelf, &Listen { since, fault: false }, world.now() + after).await
}

async fn tell_after(world: &World, shelf: &Address<Shelf>, after: u64) -> Outcome {
    world.sleep(Duration::from_millis(after)).await;
    world.ask(shelf, &Tell {}).await.map(drop).map_err(text)
}

pub async fn a_wait_with_an_answer_returns_at_once(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "answered");
    world.ask(&shelf, &Tell {}).await.map_err(text)?;
    same("end", listen(&world, &shelf, 0, 5000).await, Ok(Waited::Answered(1)))
}

pub async fn a_wait_can_be_refused(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "refused");
    same(
        "end",
        listen(&world, &shelf, -1, 5000).await,
        Ok(Waited::Refused("refused as asked".to_owned())),
    )
}

pub async fn a_held_wait_returns_with_the_news(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "Ünïcode & woken");
    let (ended, told) =
        join(listen(&world, &shelf, 0, 5000), tell_after(&world, &shelf, 200)).await;
    told?;
    same("end", ended, Ok(Waited::Woken))?;
    same("afterwards", listen(&world, &shelf, 0, 5000).await, Ok(Waited::Answered(1)))
}

pub async fn every_held_wait_returns_with_the_news(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "all");
    let waits = join_all((0..3).map(|_| listen(&world, &shelf, 0, 5000)));
    let (ended, told) = join(waits, tell_after(&world, &shelf, 200)).await;
    told?;
    same("ends", ended, vec![Ok(Waited::Woken), Ok(Waited::Woken), Ok(Waited::Woken)])
}

pub async fn a_held_wait_outlives_the_objects_memory(world: World) -> Outcome {
    // An idle object leaves workerd's memory after ten seconds.
    let shelf = fresh_shelf(&world, "hibernating");
    world.ask(&shelf, &Remember { refuse: false }).await.map_err(text)?;
    let (ended, told) =
        join(listen(&world, &shelf, 0, 30_000), tell_after(&world, &shelf, 15_000)).await;
    told?;
    same("end", ended, Ok(Waited::Woken))
}

pub async fn a_held_wait_times_out(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "late");
    let begin = world.now();
    same("end", listen(&world, &shelf, 0, 300).await, Ok(Waited::TimedOut))?;
    let took = world.now() - begin;
    holds("time", took, (300..5000).contains(&took))?;
    same(
        "in the past",
        world.wait(&shelf, &Listen { since: 0, fault: false }, 0).await,
        Ok(Waited::TimedOut),
    )
}

pub async fn a_wait_that_faults_is_unreachable(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "faulted");
    let ended = world.wait(&shelf, &Listen { since: 0, fault: true }, world.now() + 5000).await;
    holds("end", &ended, matches!(&ended, Err(Unreachable(why)) if why.contains("as asked")))
}

pub async fn holding_creates_nothing(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "held");
    same("end", listen(&world, &shelf, 0, 100).await, Ok(Waited::TimedOut))?;
    same("tables", world.ask(&shelf, &Exists {}).await.map_err(text)?, false)
}
