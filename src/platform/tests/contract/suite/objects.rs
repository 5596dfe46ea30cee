//! What becomes of a message to an object?

use std::cell::Cell;

use serde_json::value::RawValue;
use tombolo_platform::{Address, AskError, World};

use super::{Outcome, fresh_shelf, holds, messages::*, same, text};

fn put(key: &str, then: Then) -> Put {
    Put { key: key.to_owned(), then }
}

pub async fn a_reply_keeps_what_was_written(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "kept");
    same("first", world.ask(&shelf, &put("a", Then::Reply)).await.map_err(text)?, 1)?;
    same("second", world.ask(&shelf, &put("b", Then::Reply)).await.map_err(text)?, 2)?;
    same("count", world.ask(&shelf, &Count {}).await.map_err(text)?, 2)
}

pub async fn a_refusal_is_rolled_back_and_says_why(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "refused");
    world.ask(&shelf, &put("a", Then::Reply)).await.map_err(text)?;
    let refused = world.ask(&shelf, &put("b", Then::Refuse)).await;
    same("refusal", refused, Err(AskError::Refused("refused as asked".to_owned())))?;
    same("count", world.ask(&shelf, &Count {}).await.map_err(text)?, 1)
}

pub async fn a_fault_is_rolled_back_and_unreachable(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "faulted");
    world.ask(&shelf, &put("a", Then::Reply)).await.map_err(text)?;
    let faulted = world.ask(&shelf, &put("b", Then::Fault)).await;
    holds(
        "fault",
        &faulted,
        matches!(&faulted, Err(AskError::Unreachable(reason)) if reason.contains("as asked")),
    )?;
    same("count", world.ask(&shelf, &Count {}).await.map_err(text)?, 1)
}

pub async fn a_failing_statement_takes_the_earlier_ones_with_it_when_refused(
    world: World,
) -> Outcome {
    let shelf = fresh_shelf(&world, "stumbled");
    let refused = world.ask(&shelf, &put("a", Then::Stumble)).await;
    holds(
        "refusal",
        &refused,
        matches!(&refused, Err(AskError::Refused(why)) if why.contains("UNIQUE")),
    )?;
    same("tables", world.ask(&shelf, &Exists {}).await.map_err(text)?, false)
}

pub async fn asking_an_absent_object_creates_nothing(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "absent");
    same("count", world.ask(&shelf, &Count {}).await.map_err(text)?, 0)?;
    same("after a read", world.ask(&shelf, &Exists {}).await.map_err(text)?, false)?;
    let refused = world.ask(&shelf, &put("a", Then::Refuse)).await;
    holds("refusal", &refused, matches!(refused, Err(AskError::Refused(_))))?;
    same("after a refusal", world.ask(&shelf, &Exists {}).await.map_err(text)?, false)?;
    world.ask(&shelf, &put("a", Then::Reply)).await.map_err(text)?;
    same("after a write", world.ask(&shelf, &Exists {}).await.map_err(text)?, true)
}

pub async fn objects_of_other_names_share_nothing(world: World) -> Outcome {
    let (one, other) = (fresh_shelf(&world, "Ünïcode !:/?#%"), fresh_shelf(&world, "other"));
    world.ask(&one, &put("a", Then::Reply)).await.map_err(text)?;
    same("other", world.ask(&other, &Count {}).await.map_err(text)?, 0)?;
    same("one", world.ask(&one, &Count {}).await.map_err(text)?, 1)
}

pub async fn hot_state_lasts_until_a_rollback(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "hot");
    same("first", world.ask(&shelf, &Remember { refuse: false }).await.map_err(text)?, 1)?;
    same("second", world.ask(&shelf, &Remember { refuse: false }).await.map_err(text)?, 2)?;
    let refused = world.ask(&shelf, &Remember { refuse: true }).await;
    same("refusal", refused, Err(AskError::Refused("3".to_owned())))?;
    same("afterwards", world.ask(&shelf, &Remember { refuse: false }).await.map_err(text)?, 1)
}

pub async fn an_unknown_message_is_unreachable(world: World) -> Outcome {
    let outcome = world.ask(&fresh_shelf(&world, "unknown"), &Unknown {}).await;
    holds("outcome", &outcome, matches!(outcome, Err(AskError::Unreachable(_))))
}

pub async fn a_message_that_is_not_known_yet_is_asked_again(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "newer");
    same("asked", world.ask(&shelf, &NotYet {}).await.map_err(text)?, 3)
}

pub async fn raw_json_survives_byte_for_byte(world: World) -> Outcome {
    let raw = r#"{ "b":1,"a" : [1e3,"\u00e9é","𝄞"],"b":2 }"#;
    let json = RawValue::from_string(raw.to_owned()).map_err(text)?;
    let back = world.ask(&fresh_shelf(&world, "raw"), &Echo { json }).await.map_err(text)?;
    same("json", back.get(), raw)
}

pub async fn an_object_draws_other_dice_each_time(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "dice");
    let (a, b) = world.ask(&shelf, &Draw {}).await.map_err(text)?;
    let (c, d) = world.ask(&shelf, &Draw {}).await.map_err(text)?;
    holds("draws", [a, b, c, d], a != b && a != c && c != d && b != d)
}

pub async fn an_object_sees_the_variables(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "variables");
    let ask = |name: &str| Variable { name: name.to_owned() };
    let seen = world.ask(&shelf, &ask("ORIGIN")).await.map_err(text)?;
    same("set", seen.clone(), world.variable("ORIGIN"))?;
    holds("set", &seen, seen.is_some())?;
    same("unset", world.ask(&shelf, &ask("NOT_THERE")).await.map_err(text)?, None)
}

pub async fn an_isolate_makes_a_value_once(world: World) -> Outcome {
    #[derive(Default)]
    struct Made(Cell<u32>);
    world.isolate(|_| Made::default()).0.set(7);
    same("value", world.isolate(|_| Made::default()).0.get(), 7)
}

pub async fn units_are_counted(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "units");
    let before = world.units_of(&shelf).await.map_err(text)?;
    world.ask(&shelf, &put("a", Then::Reply)).await.map_err(text)?;
    let after = world.units_of(&shelf).await.map_err(text)?;
    holds("requests", (before, after), after.object_requests >= before.object_requests + 2)?;
    holds(
        "rows",
        (before, after),
        after.rows_written > before.rows_written && after.rows_read > before.rows_read,
    )?;
    let absent = Address::<Shelf>::new(shelf.name);
    same("still there", world.ask(&absent, &Count {}).await.map_err(text)?, 1)
}
