//! What happens to one simulated object: a message, an alarm, a crash?

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;

use super::{server::ServerState, simulation::Core, sql::Sql};
use crate::{
    Answer, AnyAddress, Fault, Memory, Moment, Object, World,
    units::{Meter, UNITS_MESSAGE},
};

/// An alarm that failed is tried again after this, doubled with each failure.
const FIRST_RETRY: u64 = 2000;

/// The pause between tries of a failing alarm grows no further than this.
const LONGEST_RETRY: u64 = 300_000;

/// One object: its database, and what it remembers while it is in memory.
pub(super) struct Slot {
    pub(super) address: AnyAddress,
    pub(super) sql: Sql,
    pub(super) memory: Memory,
    pub(super) alarm: Cell<Option<u64>>,
    held: RefCell<Vec<oneshot::Sender<()>>>,
    alarm_running: Cell<bool>,
    failures: Cell<u32>,
    written: Cell<bool>,
}

impl Slot {
    pub(super) fn open(address: AnyAddress, meter: Rc<Meter>) -> Result<Self, Fault> {
        Ok(Self {
            address,
            sql: Sql::for_object(meter)?,
            memory: Memory::default(),
            alarm: Cell::new(None),
            held: RefCell::default(),
            alarm_running: Cell::new(false),
            failures: Cell::new(0),
            written: Cell::new(false),
        })
    }

    /// Whether anything was ever committed.
    pub(super) fn exists(&self) -> bool {
        self.written.get() || self.alarm.get().is_some()
    }

    /// Whether it can be closed without a trace.
    pub(super) fn is_absent(&self) -> bool {
        let held = self.held.borrow().iter().any(|waiter| !waiter.is_canceled());
        !self.exists() && !self.alarm_running.get() && !held && self.memory.is_empty()
    }

    /// What a crash takes from it. An alarm that was being served is served again.
    pub(super) fn crash(&self, now: u64) {
        self.memory.clear();
        self.held.take();
        if self.alarm_running.replace(false) {
            self.alarm.set(Some(self.alarm.get().map_or(now, |at| at.min(now))));
        }
    }

    fn hold(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut held = self.held.borrow_mut();
        held.retain(|waiter| !waiter.is_canceled());
        held.push(sender);
        receiver
    }

    fn wake(&self) {
        for waiter in self.held.take() {
            // A waiter that has left needs no news.
            waiter.send(()).ok();
        }
    }
}

/// What a message to an object led to.
pub(super) struct Told {
    pub(super) reply: String,
    /// The wait is held until this says so.
    pub(super) held: Option<oneshot::Receiver<()>>,
}

impl Core {
    /// Gives one message to an object, in one transaction.
    pub(super) fn answer(
        &self,
        server: &Rc<ServerState>,
        address: &AnyAddress,
        (message, body): (&str, &str),
        may_hold: bool,
    ) -> Result<Told, Fault> {
        if message == UNITS_MESSAGE {
            return Ok(Told { reply: serde_json::to_string(&server.meter.read())?, held: None });
        }
        let slot = server.slot(address)?;
        if self.dice.per_mille(self.faults.get().evicted_object) {
            slot.memory.clear();
        }
        let moment = Moment::new(self.executor.now(), self.dice.bytes());
        let answered = self.transact(server, &slot, &moment, (message, body));
        let told = answered.map(|answer| self.conclude(server, &slot, answer, may_hold));
        server.close_if_absent(&slot);
        told
    }

    fn transact(
        &self,
        server: &Rc<ServerState>,
        slot: &Slot,
        moment: &Moment,
        (message, body): (&str, &str),
    ) -> Result<Answer, Fault> {
        let variables = |name: &str| server.variables.get(name).cloned();
        let isolate = server.isolate();
        let object = Object {
            address: &slot.address,
            sql: &slot.sql,
            memory: &slot.memory,
            variables: &variables,
            shared: &isolate,
        };
        let work = || server.application.answer(&object, moment, message, body);
        let answered = slot.sql.transaction(work, |answer| answer.commit);
        let committed = answered.as_ref().is_ok_and(|answer| answer.commit);
        self.note(|| format!("{} {} {message} {body} → {answered:?}", server.name, slot.address));
        if !committed {
            slot.memory.clear();
        }
        answered
    }

    fn conclude(
        &self,
        server: &Rc<ServerState>,
        slot: &Rc<Slot>,
        answer: Answer,
        may_hold: bool,
    ) -> Told {
        if answer.commit {
            slot.written.set(slot.written.get() || slot.sql.exists().unwrap_or(true));
            self.arm(server, slot, answer.alarm);
        }
        if answer.commit && answer.wake {
            slot.wake();
        }
        let held = (answer.hold && may_hold).then(|| slot.hold());
        Told { reply: answer.reply, held }
    }

    /// Sees to it that the object is woken at this time at the latest.
    pub(super) fn arm(&self, server: &Rc<ServerState>, slot: &Slot, alarm: Option<u64>) {
        let Some(at) = alarm else { return };
        let earlier = slot.alarm.get().is_none_or(|armed| at < armed);
        if earlier {
            slot.alarm.set(Some(at));
            self.schedule(server, slot);
        }
    }

    /// Enters the object's alarm in the calendar; while one is being served the next one waits.
    fn schedule(&self, server: &Rc<ServerState>, slot: &Slot) {
        if let (Some(at), false) = (slot.alarm.get(), slot.alarm_running.get()) {
            self.alarms
                .borrow_mut()
                .insert((at, server.name.clone(), slot.address.clone()), Rc::clone(server));
        }
    }

    /// Starts what an alarm of the calendar asks for, unless it has been moved.
    pub(super) fn fire(self: &Rc<Self>, at: u64, server: &Rc<ServerState>, address: &AnyAddress) {
        let slot = server.objects.borrow().get(address).cloned();
        let Some(slot) =
            slot.filter(|slot| slot.alarm.get() == Some(at) && !slot.alarm_running.get())
        else {
            return;
        };
        slot.alarm.set(None);
        slot.alarm_running.set(true);
        slot.written.set(true);
        self.note(|| format!("{} {address} alarm", server.name));
        let (core, state) = (Rc::clone(self), Rc::clone(server));
        self.executor.spawn(server, Box::pin(async move { core.serve_alarm(&state, &slot).await }));
    }

    async fn serve_alarm(self: Rc<Self>, server: &Rc<ServerState>, slot: &Rc<Slot>) {
        self.serve_once(server, slot).await;
        if self.dice.per_mille(self.faults.get().repeated_alarm) {
            self.serve_once(server, slot).await;
        }
        slot.alarm_running.set(false);
        self.schedule(server, slot);
    }

    async fn serve_once(self: &Rc<Self>, server: &Rc<ServerState>, slot: &Rc<Slot>) {
        server.meter.count(|units| units.alarms += 1);
        let world = World::begin(self, server, Some(slot.address.clone()));
        let outcome = server.application.due(world, slot.address.clone()).await;
        self.note(|| format!("{} {} due → {outcome:?}", server.name, slot.address));
        let again = match outcome {
            Ok(again) => {
                slot.failures.set(0);
                again
            }
            Err(_) => {
                let failures = slot.failures.get();
                slot.failures.set(failures + 1);
                slot.memory.clear();
                Some(self.executor.now() + retry(failures))
            }
        };
        self.arm(server, slot, again);
    }

    /// After a crash: every alarm is still there.
    pub(super) fn rearm_all(&self, server: &Rc<ServerState>) {
        let slots: Vec<_> = server.objects.borrow().values().cloned().collect();
        for slot in slots {
            slot.crash(self.executor.now());
            self.schedule(server, &slot);
            server.close_if_absent(&slot);
        }
    }
}

fn retry(failures: u32) -> u64 {
    FIRST_RETRY.saturating_mul(2_u64.saturating_pow(failures)).min(LONGEST_RETRY)
}
