//! What does the platform promise, natively and on Workers alike?
//!
//! Every scenario is written against `World` alone and runs on both halves: natively from
//! `main.rs`, in workerd by asking `worker.rs` for `/contract`.

mod alarms;
mod application;
pub mod messages;
mod objects;
mod outside;
mod r2;
mod sql;
mod stores;
mod waits;

use std::fmt::Debug;

use futures_util::future::LocalBoxFuture;
use tombolo_platform::{Address, World};

pub use application::Contract;

/// What a scenario says about itself: what it found instead, if the promise is broken.
pub type Outcome = Result<(), String>;

/// A scenario and its name, which states the promise.
pub type Scenario = (&'static str, fn(World) -> LocalBoxFuture<'static, Outcome>);

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+ $(,)?;)+) => {
        /// Every scenario.
        pub const SCENARIOS: &[Scenario] = &[
            $($((stringify!($name), |world| Box::pin($module::$name(world)))),+),+
        ];
    };
}

scenarios! {
    objects:
        a_reply_keeps_what_was_written,
        a_refusal_is_rolled_back_and_says_why,
        a_fault_is_rolled_back_and_unreachable,
        a_failing_statement_takes_the_earlier_ones_with_it_when_refused,
        asking_an_absent_object_creates_nothing,
        objects_of_other_names_share_nothing,
        hot_state_lasts_until_a_rollback,
        an_unknown_message_is_unreachable,
        a_message_that_is_not_known_yet_is_asked_again,
        raw_json_survives_byte_for_byte,
        an_object_draws_other_dice_each_time,
        an_object_sees_the_variables,
        an_isolate_makes_a_value_once,
        units_are_counted;
    sql:
        values_come_back_as_they_went_in,
        a_column_of_another_type_is_an_error,
        integers_stay_below_two_to_the_53rd,
        an_integer_without_affinity_is_a_real,
        more_than_a_hundred_parameters_are_refused,
        the_limits_of_statements_hold,
        transactions_are_left_to_the_host,
        rows_written_are_none_exactly_when_nothing_changed,
        returning_gives_rows,
        foreign_keys_hold;
    alarms:
        an_alarm_fires,
        an_alarm_never_moves_back,
        an_alarm_can_ask_for_another,
        an_alarm_that_failed_fires_again,
        an_alarm_that_takes_its_time_does_not_keep_others_waiting,
        an_alarm_of_a_refusal_is_forgotten;
    waits:
        a_wait_with_an_answer_returns_at_once,
        a_wait_can_be_refused,
        a_held_wait_returns_with_the_news,
        every_held_wait_returns_with_the_news,
        a_held_wait_outlives_the_objects_memory,
        a_held_wait_times_out,
        a_wait_that_faults_is_unreachable,
        holding_creates_nothing;
    stores:
        d1_gives_back_what_was_stored,
        a_d1_batch_is_all_or_nothing,
        d1_says_what_sqlite_declined,
        kv_keeps_values_until_deleted,
        kv_refuses_a_short_time_to_live,
        kv_reads_many_keys_at_once;
    r2:
        r2_keeps_objects_until_deleted,
        r2_takes_a_stream_of_unknown_length,
        r2_gives_a_range,
        r2_keeps_nothing_of_a_body_that_breaks_off;
    outside:
        a_fetch_brings_everything_across,
        a_redirect_is_not_followed,
        a_request_over_the_limit_of_its_path_is_refused,
        a_response_comes_in_chunks,
        a_stream_is_read_within_its_limits,
        a_response_that_breaks_off_gives_no_more_than_came,
        a_fetch_ends_when_its_time_is_over,
        a_response_over_the_limit_is_refused,
        a_server_that_is_not_there_is_unreachable,
        many_fetches_at_once_all_end,
        what_comes_later_happens_after_the_response;
}

/// Runs every scenario whose name contains `filter`; the names, each with what went wrong.
pub async fn run(world: &World, filter: &str) -> Vec<(&'static str, Outcome)> {
    let mut outcomes = Vec::new();
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| name.contains(filter)) {
        outcomes.push((*name, scenario(world.clone()).await));
    }
    outcomes
}

/// A name that no earlier run has used.
fn fresh(world: &World, what: &str) -> String {
    let random: String = world.random().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{what}_{random}")
}

/// An object that no earlier run has used.
fn fresh_shelf(world: &World, what: &str) -> Address<messages::Shelf> {
    Address::new(fresh(world, what))
}

/// Fails unless both are equal.
fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}

/// Fails with what was found unless it holds.
fn holds(what: &str, found: impl Debug, condition: bool) -> Outcome {
    if condition { Ok(()) } else { Err(format!("{what}: found {found:?}")) }
}

/// Any error as text.
fn text(error: impl Debug) -> String {
    format!("{error:?}")
}
