//! What can one invocation reach, in a simulation?

use std::{pin::pin, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};

use super::{
    D1, Kv, R2, executor::hop, network::Connections, object::Told, server::ServerState,
    simulation::Core,
};
use crate::{
    Address, AnyAddress, AskError, Body, Class, Isolate, Limits, Message, Units, Unreachable,
    Waited,
    body::whole,
    message::{Failed, decode, encode, patiently},
    units::UNITS_MESSAGE,
};

/// Everything outside the program, as one invocation sees it.
#[derive(Clone)]
pub struct World {
    core: Rc<Core>,
    server: Rc<ServerState>,
    isolate: Rc<Isolate>,
    connections: Rc<Connections>,
    here: Option<AnyAddress>,
}

impl World {
    pub(super) fn begin(
        core: &Rc<Core>,
        server: &Rc<ServerState>,
        here: Option<AnyAddress>,
    ) -> Self {
        Self {
            core: Rc::clone(core),
            server: Rc::clone(server),
            isolate: server.isolate(),
            connections: Rc::default(),
            here,
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.core.executor.now()
    }

    /// 32 random bytes.
    pub fn random(&self) -> [u8; 32] {
        self.core.dice.bytes()
    }

    /// A variable or secret of the deployment.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.server.variables.get(name).cloned()
    }

    /// The isolate's `T`, made at first use.
    pub fn isolate<T: 'static>(&self, make: impl FnOnce(&Self) -> T) -> Rc<T> {
        self.isolate.of(|| make(self))
    }

    /// Asks an object. From within the object's own alarm it is a direct call.
    pub async fn ask<M: Message>(
        &self,
        to: &Address<M::Class>,
        message: &M,
    ) -> Result<M::Reply, AskError<M::Refusal>> {
        let (to, body) = (&to.any(), encode(message)?);
        let told = self.tell(to, M::NAME, &body, false).await?;
        decode::<M>(&told.reply)?.map_err(AskError::Refused)
    }

    /// Asks an object that may have nothing to say yet, and waits for its news until the time `until`.
    pub async fn wait<M: Message>(
        &self,
        to: &Address<M::Class>,
        message: &M,
        until: u64,
    ) -> Result<Waited<M::Reply, M::Refusal>, Unreachable> {
        let (to, body) = (&to.any(), encode(message)?);
        let told = self.tell(to, M::NAME, &body, true).await?;
        let Some(news) = told.held else {
            return Ok(decode::<M>(&told.reply)?.map_or_else(Waited::Refused, Waited::Answered));
        };
        match select(news, pin!(self.core.executor.sleep_until(until))).await {
            // An object that went away may have had news.
            Either::Left((Ok(()) | Err(_), _)) => Ok(Waited::Woken),
            Either::Right(_) => Ok(Waited::TimedOut),
        }
    }

    async fn tell(
        &self,
        to: &AnyAddress,
        name: &str,
        body: &str,
        wait: bool,
    ) -> Result<Told, Unreachable> {
        patiently(|time| self.sleep(time), async || self.tell_once(to, name, body, wait).await)
            .await
    }

    async fn tell_once(
        &self,
        to: &AnyAddress,
        name: &str,
        body: &str,
        wait: bool,
    ) -> Result<Told, Failed> {
        if self.here.as_ref() == Some(to) {
            return self.answer(to, name, body, wait);
        }
        hop().await;
        self.may_lose("ask")?;
        self.server.meter.count(|units| units.object_requests += 1);
        let told = self.answer(to, name, body, wait)?;
        if self.core.dice.per_mille(self.core.faults.get().repeated_ask) {
            self.answer_again(to.clone(), name.to_owned(), body.to_owned());
        }
        hop().await;
        self.may_lose("reply")?;
        Ok(told)
    }

    fn answer(&self, to: &AnyAddress, name: &str, body: &str, wait: bool) -> Result<Told, Failed> {
        self.core
            .answer(&self.server, to, (name, body), wait)
            .map_err(|fault| Failed::of(to, &fault.0))
    }

    fn answer_again(&self, to: AnyAddress, name: String, body: String) {
        let world = self.clone();
        self.later(async move {
            hop().await;
            // The first reply counts; a fault of the second is as if it had not been sent.
            drop(world.answer(&to, &name, &body, false));
        });
    }

    fn may_lose(&self, what: &str) -> Result<(), Failed> {
        if self.core.dice.per_mille(self.core.faults.get().lost_ask) {
            self.core.note(|| format!("{} loses a {what}", self.server.name));
            let why = Unreachable(format!("the {what} was lost"));
            return Err(Failed { again: false, why });
        }
        Ok(())
    }

    /// Sends a request to another server, and reads the whole response. Redirects are not followed.
    pub async fn fetch(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, Unreachable> {
        whole(self.open(request, limits).await?, limits.bytes).await
    }

    /// The same for a response that is read chunk by chunk, within the same limits.
    pub async fn open(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Body>, Unreachable> {
        self.server.meter.count(|units| units.fetches += 1);
        let until = self.now().saturating_add(milliseconds(limits.time));
        let exchange = async {
            let _connection = self.connections.open().await;
            self.core.exchange(&self.server.name, request).await
        };
        let response = match select(pin!(exchange), pin!(self.sleep(limits.time))).await {
            Either::Left((outcome, _)) => outcome?,
            Either::Right(_) => return Err(Unreachable("the time is over".to_owned())),
        };
        let end = self.core.executor.sleep_until(until);
        Ok(response.map(|body| body.limited(limits.bytes).until(end)))
    }

    /// The same over the deployment's service of this name. In a simulation every address can be reached.
    pub async fn open_through(
        &self,
        _service: &str,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Body>, Unreachable> {
        self.open(request, limits).await
    }

    /// The server's shared database.
    pub fn d1(&self) -> D1 {
        D1 { core: Rc::clone(&self.core), server: Rc::clone(&self.server) }
    }

    /// The server's key-value store.
    pub fn kv(&self) -> Kv {
        Kv { core: Rc::clone(&self.core), server: Rc::clone(&self.server) }
    }

    /// The server's bucket of large objects.
    pub fn r2(&self) -> R2 {
        R2 { core: Rc::clone(&self.core), server: Rc::clone(&self.server) }
    }

    /// Goes on with this after the response was sent; lost if the server goes down.
    pub fn later(&self, future: impl Future<Output = ()> + 'static) {
        self.core.executor.spawn(&self.server, Box::pin(future));
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        self.core.executor.sleep_until(self.now().saturating_add(milliseconds(time))).await;
    }

    /// What this isolate will be billed for.
    pub fn units(&self) -> Units {
        self.server.meter.read()
    }

    /// What the isolate of that object will be billed for.
    pub async fn units_of<C: Class>(&self, object: &Address<C>) -> Result<Units, Unreachable> {
        let told = self.tell(&object.any(), UNITS_MESSAGE, "", false).await?;
        serde_json::from_str(&told.reply).map_err(|error| Unreachable(error.to_string()))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
