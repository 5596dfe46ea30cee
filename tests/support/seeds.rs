//! How are many seeds of a simulation run?

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// The number that a variable of the environment holds.
pub fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap())
}

/// Runs so many seeds, as many at once as there are processors. Each gives the tally what came of it; `None` where it
/// panicked.
pub fn run_seeds<T, R>(
    (from, count): (u64, u64),
    run: impl Fn(u64) -> R + Sync,
    add: impl Fn(&mut T, u64, Option<R>) + Sync,
) -> T
where
    T: Default + Send,
{
    let (next, tally) = (AtomicU64::new(from), Mutex::new(T::default()));
    let some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                return;
            }
            let ran = catch_unwind(AssertUnwindSafe(|| run(seed)));
            add(&mut tally.lock().unwrap(), seed, ran.ok());
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(some);
        }
    });
    tally.into_inner().unwrap()
}
