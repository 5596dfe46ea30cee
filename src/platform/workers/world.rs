//! What can one invocation reach, on Workers?

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use wasm_bindgen_futures::JsFuture;
use worker::{Context, Delay, Env};

use super::{
    D1, Kv, R2, fetch,
    host::Inside,
    isolate::{isolate, meter},
    javascript::{self, failed, variable},
    place,
    socket::{Taken, Wait, news},
};
use crate::{
    Address, AnyAddress, AskError, Body, Class, Limits, Message, Units, Unreachable, Waited,
    body::whole,
    message::{Failed, decode, encode, patiently},
    units::UNITS_MESSAGE,
};

/// Everything outside the program, as one invocation sees it.
#[derive(Clone)]
pub struct World {
    env: Env,
    life: Rc<Life>,
}

/// What keeps the invocation alive after its answer.
pub(super) enum Life {
    Request(Context),
    Object(Rc<Inside>),
}

impl World {
    /// The world of a request.
    pub fn of(env: Env, context: Context) -> Self {
        Self { env, life: Rc::new(Life::Request(context)) }
    }

    pub(super) fn within(env: &Env, object: &Rc<Inside>) -> Self {
        Self { env: env.clone(), life: Rc::new(Life::Object(Rc::clone(object))) }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        javascript::now()
    }

    /// 32 random bytes.
    pub fn random(&self) -> [u8; 32] {
        javascript::random()
    }

    /// A variable or secret of the deployment.
    pub fn variable(&self, name: &str) -> Option<String> {
        variable(&self.env, name)
    }

    /// The isolate's `T`, made at first use.
    pub fn isolate<T: 'static>(&self, make: impl FnOnce(&Self) -> T) -> Rc<T> {
        isolate().of(|| make(self))
    }

    /// Asks an object. From within the object's own alarm it is a direct call.
    pub async fn ask<M: Message>(
        &self,
        to: &Address<M::Class>,
        message: &M,
    ) -> Result<M::Reply, AskError<M::Refusal>> {
        let (to, body) = (&to.any(), encode(message)?);
        let reply = self.tell(to, M::NAME, &body).await?;
        decode::<M>(&reply)?.map_err(AskError::Refused)
    }

    async fn tell(&self, to: &AnyAddress, name: &str, body: &str) -> Result<String, Unreachable> {
        patiently(|time| self.sleep(time), async || self.tell_once(to, name, body).await).await
    }

    async fn tell_once(&self, to: &AnyAddress, name: &str, body: &str) -> Result<String, Failed> {
        if let Life::Object(object) = &*self.life
            && object.address().is_ok_and(|here| here == to)
        {
            let served = object.serve(name, body, false).await;
            return served.map(|served| served.reply).map_err(|fault| Failed::of(to, &fault.0));
        }
        let failed = |error| failed(to, &error);
        let stub = place::object(&self.env, to).map_err(failed)?;
        let reply = JsFuture::from(stub.ask(&to.name, name, body).map_err(failed)?)
            .await
            .map_err(failed)?;
        reply.as_string().ok_or_else(|| Failed::of(to, "the reply is no text"))
    }

    /// Asks an object that may have nothing to say yet, and waits for its news until the time `until`.
    pub async fn wait<M: Message>(
        &self,
        to: &Address<M::Class>,
        message: &M,
        until: u64,
    ) -> Result<Waited<M::Reply, M::Refusal>, Unreachable> {
        let to = &to.any();
        let wait = Wait { message: M::NAME.to_owned(), body: encode(message)? };
        let taken = patiently(
            |time| self.sleep(time),
            async || {
                let stub = place::object(&self.env, to).map_err(|error| failed(to, &error))?;
                wait.send(to, &stub).await
            },
        );
        match taken.await? {
            Taken::Answered(reply) => {
                Ok(decode::<M>(&reply)?.map_or_else(Waited::Refused, Waited::Answered))
            }
            Taken::Held(socket) if news(&socket, until).await? => Ok(Waited::Woken),
            Taken::Held(_) => Ok(Waited::TimedOut),
        }
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
        meter().count(|units| units.fetches += 1);
        fetch::open(request, limits, None).await
    }

    /// The same over the deployment's service of this name, which may reach other addresses, where it has one.
    pub async fn open_through(
        &self,
        service: &str,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Body>, Unreachable> {
        meter().count(|units| units.fetches += 1);
        fetch::open(request, limits, javascript::service(&self.env, service)).await
    }

    /// The server's shared database.
    pub fn d1(&self) -> D1 {
        D1::of(&self.env)
    }

    /// The server's key-value store.
    pub fn kv(&self) -> Kv {
        Kv::of(&self.env)
    }

    /// The server's bucket of large objects.
    pub fn r2(&self) -> R2 {
        R2::of(&self.env)
    }

    /// Goes on with this after the response was sent, for 30 s at most.
    pub fn later(&self, future: impl Future<Output = ()> + 'static) {
        match &*self.life {
            Life::Request(context) => context.wait_until(future),
            Life::Object(object) => object.state.wait_until(future),
        }
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        Delay::from(time).await;
    }

    /// What this isolate will be billed for.
    pub fn units(&self) -> Units {
        meter().read()
    }

    /// What the isolate of that object will be billed for.
    pub async fn units_of<C: Class>(&self, object: &Address<C>) -> Result<Units, Unreachable> {
        let reply = self.tell(&object.any(), UNITS_MESSAGE, "").await?;
        serde_json::from_str(&reply).map_err(|error| Unreachable(error.to_string()))
    }
}
