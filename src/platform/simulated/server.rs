//! What does one simulated server consist of, and what does it survive?

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use bytes::Bytes;

use super::{kv::Pairs, object::Slot, r2::Objects, simulation::Core, sql::Sql};
use crate::{
    AnyAddress, Application, Fault, Isolate, SqlError, Unreachable, World, body::whole,
    units::Meter,
};

/// One server: the program, its databases, and what its processes remember.
pub(super) struct ServerState {
    pub(super) name: String,
    pub(super) application: Rc<dyn Application<World>>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) objects: RefCell<BTreeMap<AnyAddress, Rc<Slot>>>,
    pub(super) d1: Sql,
    pub(super) kv: Pairs,
    pub(super) r2: Objects,
    pub(super) meter: Rc<Meter>,
    isolate: RefCell<Rc<Isolate>>,
    life: Cell<u64>,
}

impl ServerState {
    pub(super) fn new(
        name: &str,
        application: Rc<dyn Application<World>>,
        variables: BTreeMap<String, String>,
        migrations: &[(&str, &str)],
    ) -> Result<Self, SqlError> {
        let meter = Rc::<Meter>::default();
        let d1 = Sql::for_d1(Rc::clone(&meter))?;
        for (file, sql) in migrations {
            d1.script(sql).map_err(|error| SqlError::Database(format!("{file}: {error}")))?;
        }
        Ok(Self {
            name: name.to_owned(),
            application,
            variables,
            objects: RefCell::default(),
            d1,
            kv: Pairs::default(),
            r2: Objects::default(),
            meter,
            isolate: RefCell::default(),
            life: Cell::new(0),
        })
    }

    /// Counts the times it went down.
    pub(super) fn life(&self) -> u64 {
        self.life.get()
    }

    pub(super) fn begin_life(&self) {
        self.life.set(self.life() + 1);
    }

    pub(super) fn isolate(&self) -> Rc<Isolate> {
        Rc::clone(&self.isolate.borrow())
    }

    /// The next request meets an isolate that remembers nothing.
    pub(super) fn renew_isolate(&self) {
        let old = self.isolate.replace(Rc::default());
        drop(old);
    }

    /// The object's slot, opened when first asked for.
    pub(super) fn slot(&self, address: &AnyAddress) -> Result<Rc<Slot>, Fault> {
        if let Some(slot) = self.objects.borrow().get(address) {
            return Ok(Rc::clone(slot));
        }
        let slot = Rc::new(Slot::open(address.clone(), Rc::clone(&self.meter))?);
        self.objects.borrow_mut().insert(address.clone(), Rc::clone(&slot));
        Ok(slot)
    }

    /// An object to which nothing was ever written leaves no trace.
    pub(super) fn close_if_absent(&self, slot: &Slot) {
        if slot.is_absent() {
            self.objects.borrow_mut().remove(&slot.address);
        }
    }
}

/// A server of the simulation, as a test holds it.
#[derive(Clone)]
pub struct Server {
    pub(super) core: Rc<Core>,
    pub(super) state: Rc<ServerState>,
}

impl Server {
    /// A world for an invocation that begins now.
    pub fn world(&self) -> World {
        World::begin(&self.core, &self.state, None)
    }

    /// Sends a request in as a client does, and reads the whole response. It fails if the server goes down meanwhile.
    pub fn request(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Bytes>, Unreachable>> + use<> {
        let response = self.core.deliver(&self.state, request);
        async { whole(response.await?, usize::MAX).await }
    }

    /// Everything in flight and everything remembered is lost; databases and alarms stay.
    pub fn crash(&self) {
        self.core.crash(&self.state);
    }

    /// Every object forgets its hot state, as after a while without messages. Held waits stay.
    pub fn evict(&self) {
        let slots: Vec<_> = self.state.objects.borrow().values().cloned().collect();
        for slot in slots {
            slot.memory.clear();
            self.state.close_if_absent(&slot);
        }
    }

    /// The objects that exist.
    pub fn objects(&self) -> Vec<AnyAddress> {
        self.state
            .objects
            .borrow()
            .values()
            .filter(|slot| slot.exists())
            .map(|slot| slot.address.clone())
            .collect()
    }

    /// The database of an object that exists, to look at.
    pub fn sql(&self, address: impl Into<AnyAddress>) -> Option<Sql> {
        self.state
            .objects
            .borrow()
            .get(&address.into())
            .filter(|slot| slot.exists())
            .map(|slot| slot.sql.clone())
    }

    /// When the object is to be woken.
    pub fn alarm(&self, address: impl Into<AnyAddress>) -> Option<u64> {
        self.state.objects.borrow().get(&address.into()).and_then(|slot| slot.alarm.get())
    }

    /// The server's D1 database, to look at.
    pub fn d1(&self) -> Sql {
        self.state.d1.clone()
    }

    /// The keys of what is in its R2 bucket, to look at.
    pub fn r2_keys(&self) -> Vec<String> {
        self.state.r2.borrow().keys().cloned().collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.state.name
    }
}
