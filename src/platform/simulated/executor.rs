//! Which future runs next, and when does time pass?
//!
//! One thread. Among the futures that are ready the dice choose; when none is, the clock jumps to
//! whatever comes first, a sleeper or an object's alarm.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use futures_util::future::LocalBoxFuture;

use super::{dice::Dice, server::ServerState};

/// The simulation begins at this time (2026-01-01), in milliseconds since the epoch.
pub(super) const BEGIN: u64 = 1_767_225_600_000;

/// The future that `Simulation::run` was given.
pub(super) const ROOT: u64 = 0;

/// A future that a server runs; it is dropped when that server goes down.
struct Task {
    server: Rc<ServerState>,
    life: u64,
    future: LocalBoxFuture<'static, ()>,
}

/// The futures, the sleepers and the clock.
pub(super) struct Executor {
    now: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    last: Cell<u64>,
    ready: Arc<Mutex<BTreeSet<u64>>>,
    sleepers: RefCell<BTreeMap<(u64, u64), Waker>>,
    last_sleeper: Cell<u64>,
}

struct Ready {
    id: u64,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(self.id);
    }
}

impl Executor {
    pub(super) fn new() -> Self {
        Self {
            now: Cell::new(BEGIN),
            tasks: RefCell::default(),
            last: Cell::new(ROOT),
            ready: Arc::default(),
            sleepers: RefCell::default(),
            last_sleeper: Cell::new(0),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(super) fn spawn(&self, server: &Rc<ServerState>, future: LocalBoxFuture<'static, ()>) {
        let id = self.last.get() + 1;
        self.last.set(id);
        let task = Task { server: Rc::clone(server), life: server.life(), future };
        self.tasks.borrow_mut().insert(id, task);
        self.make_ready(id);
    }

    pub(super) fn make_ready(&self, id: u64) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    pub(super) fn waker(&self, id: u64) -> Waker {
        Waker::from(Arc::new(Ready { id, ready: Arc::clone(&self.ready) }))
    }

    /// The next future to poll, by chance.
    pub(super) fn pick(&self, dice: &Dice) -> Option<u64> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return None;
        }
        let nth = usize::try_from(dice.below(ready.len() as u64)).unwrap_or(0);
        let id = *ready.iter().nth(nth)?;
        ready.remove(&id);
        Some(id)
    }

    /// Whose future this is.
    pub(super) fn server_of(&self, id: u64) -> Option<Rc<ServerState>> {
        self.tasks.borrow().get(&id).map(|task| Rc::clone(&task.server))
    }

    /// Polls one future, which is not in the list meanwhile.
    pub(super) fn poll(&self, id: u64) {
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return };
        let waker = self.waker(id);
        let pending = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
        if pending && task.life == task.server.life() {
            self.tasks.borrow_mut().insert(id, task);
        }
    }

    /// Drops what a server that went down was doing.
    pub(super) fn drop_dead(&self) {
        let mut tasks = self.tasks.borrow_mut();
        let dead: Vec<u64> = tasks
            .iter()
            .filter(|(_, task)| task.life != task.server.life())
            .map(|(id, _)| *id)
            .collect();
        let dead: Vec<_> = dead.iter().filter_map(|id| tasks.remove(id)).collect();
        // A future's destructor may come back to this executor.
        drop(tasks);
        drop(dead);
    }

    /// Drops everything; the futures hold the executor that holds them.
    pub(super) fn clear(&self) {
        let tasks = self.tasks.take();
        drop(tasks);
    }

    pub(super) fn next_sleeper(&self) -> Option<u64> {
        self.sleepers.borrow().keys().next().map(|(at, _)| *at)
    }

    /// Moves the clock and wakes whoever slept until then.
    pub(super) fn advance(&self, to: u64) {
        self.now.set(self.now().max(to));
        let mut sleepers = self.sleepers.borrow_mut();
        let still_asleep = sleepers.split_off(&(self.now() + 1, 0));
        let woken = std::mem::replace(&mut *sleepers, still_asleep);
        drop(sleepers);
        woken.into_values().for_each(Waker::wake);
    }

    pub(super) fn sleep_until(self: &Rc<Self>, at: u64) -> Sleep {
        let id = self.last_sleeper.get() + 1;
        self.last_sleeper.set(id);
        Sleep { executor: Rc::clone(self), key: (at, id) }
    }
}

/// Ready at its time.
pub(super) struct Sleep {
    executor: Rc<Executor>,
    key: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.executor.now() >= self.key.0 {
            return Poll::Ready(());
        }
        self.executor.sleepers.borrow_mut().insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.executor.sleepers.borrow_mut().remove(&self.key);
    }
}

/// Lets the dice choose again: here another future may come between.
pub(super) async fn hop() {
    let mut passed = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
