//! When does an object wake?

use std::time::Duration;

use tombolo_platform::{Address, AskError, World};

use super::{Outcome, fresh_shelf, holds, messages::*, same, text};

async fn arm(
    world: &World,
    shelf: &Address<Shelf>,
    after: u64,
    first: First,
) -> Result<u64, String> {
    let at = world.now() + after;
    world.ask(shelf, &Arm { at, first, refuse: false }).await.map_err(text)?;
    Ok(at)
}

/// The times it rang, once there are so many; as they are after ten seconds at the latest.
async fn rung(world: &World, shelf: &Address<Shelf>, times: usize) -> Result<Vec<i64>, String> {
    let end = world.now() + 10_000;
    loop {
        let rung = world.ask(shelf, &Rung {}).await.map_err(text)?;
        if rung.len() >= times || world.now() >= end {
            return Ok(rung);
        }
        world.sleep(Duration::from_millis(20)).await;
    }
}

pub async fn an_alarm_fires(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "alarm");
    let at = arm(&world, &shelf, 100, First::Succeed).await?;
    same("at once", world.ask(&shelf, &Rung {}).await.map_err(text)?, Vec::new())?;
    let rung = rung(&world, &shelf, 1).await?;
    holds("times", &rung, rung.len() == 1 && rung.iter().all(|time| time.unsigned_abs() >= at))
}

pub async fn an_alarm_never_moves_back(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "earlier");
    let at = arm(&world, &shelf, 100, First::Succeed).await?;
    arm(&world, &shelf, 60_000, First::Succeed).await?;
    let rung = rung(&world, &shelf, 1).await?;
    holds(
        "times",
        &rung,
        rung.len() == 1 && rung.iter().all(|time| time.unsigned_abs() < at + 10_000),
    )
}

pub async fn an_alarm_can_ask_for_another(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "again");
    arm(&world, &shelf, 10, First::Again).await?;
    let rung = rung(&world, &shelf, 2).await?;
    holds("times", &rung, rung.len() == 2 && rung[1] >= rung[0] + 50)
}

pub async fn an_alarm_that_failed_fires_again(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "failing");
    arm(&world, &shelf, 10, First::Fault).await?;
    let rung = rung(&world, &shelf, 2).await?;
    holds("times", &rung, rung.len() == 2)
}

pub async fn an_alarm_that_takes_its_time_does_not_keep_others_waiting(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "dawdling");
    arm(&world, &shelf, 10, First::Dawdle).await?;
    let begin = world.now();
    let rung = rung(&world, &shelf, 1).await?;
    holds("times", &rung, rung.len() == 1)?;
    let took = world.now() - begin;
    holds("time", took, took < 900)
}

pub async fn an_alarm_of_a_refusal_is_forgotten(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "unarmed");
    let refused =
        world.ask(&shelf, &Arm { at: world.now() + 10, first: First::Succeed, refuse: true }).await;
    holds("refusal", &refused, matches!(refused, Err(AskError::Refused(_))))?;
    world.sleep(Duration::from_millis(500)).await;
    same("times", world.ask(&shelf, &Rung {}).await.map_err(text)?, Vec::new())
}
