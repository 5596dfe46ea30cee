//! What does a Durable Object do with a message, an alarm, a socket?
//!
//! The platform starts one object of a name at most. Answering is synchronous within
//! `transactionSync`, and nothing leaves the object before the writes it follows are durable
//! ([output gates](https://developers.cloudflare.com/durable-objects/reference/in-memory-state/)).

use std::{cell::OnceCell, rc::Rc};

use js_sys::Promise;
use wasm_bindgen::JsValue;
use worker::{Env, Request, Response, State, Storage, WebSocket, WebSocketIncomingMessage};

use super::{
    World,
    alarm::{Alarm, stored},
    isolate::{isolate, meter},
    javascript::{now, random, reason, variable},
    logs,
    socket::{self, Wait},
    sql::{Sql, transaction},
};
use crate::{Answer, AnyAddress, Application, Fault, Memory, Moment, Object, units::UNITS_MESSAGE};

/// What one class of the entry file wraps.
pub struct Host(Rc<Inside>);

/// One object in memory.
pub(super) struct Inside {
    pub(super) state: State,
    env: Env,
    class: &'static str,
    address: OnceCell<AnyAddress>,
    application: Rc<dyn Application<World>>,
    storage: Storage,
    sql: Sql,
    memory: Memory,
    alarm: Alarm,
}

impl Host {
    /// The host of the object that `state` belongs to.
    pub fn new(
        state: State,
        env: Env,
        class: &'static str,
        application: Rc<dyn Application<World>>,
    ) -> Self {
        logs::hear();
        let storage = state.storage();
        let sql = Sql::of(storage.as_raw());
        let (memory, alarm) = (Memory::default(), Alarm::new());
        let address = OnceCell::new();
        Self(Rc::new(Inside {
            state,
            env,
            class,
            address,
            application,
            storage,
            sql,
            memory,
            alarm,
        }))
    }

    /// Answers one message; `name` is what the caller calls the object. A fault is thrown.
    pub async fn ask(&self, name: &str, message: &str, body: &str) -> Result<String, JsValue> {
        meter().count(|units| units.object_requests += 1);
        let served = match self.0.check_name(name) {
            Ok(()) => self.0.serve(message, body, false).await,
            Err(fault) => Err(fault),
        };
        served.map(|served| served.reply).map_err(|fault| js_sys::Error::new(&fault.0).into())
    }

    /// Answers the message of a wait, or holds its socket.
    pub async fn fetch(&self, request: Request) -> worker::Result<Response> {
        meter().count(|units| units.object_requests += 1);
        let wait = Wait::of(&request)?;
        match self.0.serve(&wait.message, &wait.body, true).await {
            Ok(Served { held: Some(socket), .. }) => Response::from_websocket(socket),
            Ok(served) => Response::ok(served.reply),
            Err(fault) => Response::error(fault.0, 500),
        }
    }

    /// Serves the alarm. It never fails: what failed is tried again at a time of our choosing,
    /// because the platform gives up after six failures.
    pub async fn alarm(&self) -> worker::Result<Response> {
        let inside = &self.0;
        inside.alarm.fired();
        let outcome = match inside.address() {
            Ok(address) => {
                inside.application.due(World::within(&inside.env, inside), address.clone()).await
            }
            Err(fault) => Err(fault),
        };
        let again = match outcome {
            Ok(again) => {
                inside.alarm.served();
                again
            }
            Err(fault) => {
                let name = inside.address().map_or("nobody", |address| &address.name);
                worker::console_error!("the alarm of {}/{name}: {fault}", inside.class);
                inside.memory.clear();
                Some(inside.alarm.failed(now()))
            }
        };
        inside.wake_at(again).await.map_err(|fault| worker::Error::RustError(fault.0))?;
        Response::empty()
    }

    /// Nothing is expected on a held socket.
    pub async fn websocket_message(
        &self,
        socket: WebSocket,
        _message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        socket.close(Some(1003), Some("nothing is expected here"))
    }

    /// The waiter has left.
    pub async fn websocket_close(
        &self,
        socket: WebSocket,
        _code: usize,
        _reason: String,
        _clean: bool,
    ) -> worker::Result<()> {
        // A socket that the peer closed is closed from this side too; it may be closed already.
        socket.close(Some(1000), Some("")).ok();
        Ok(())
    }

    /// The waiter was lost; its socket is gone with it.
    pub async fn websocket_error(
        &self,
        _socket: WebSocket,
        error: worker::Error,
    ) -> worker::Result<()> {
        worker::console_debug!("a held socket of {} was lost: {error}", self.0.class);
        Ok(())
    }
}

/// What a message led to.
pub(super) struct Served {
    pub(super) reply: String,
    /// The waiter's end of the socket, if the wait is held.
    held: Option<WebSocket>,
}

impl Inside {
    /// The name by which it was first asked; the platform knows it, in alarms too.
    pub(super) fn address(&self) -> Result<&AnyAddress, Fault> {
        if let Some(address) = self.address.get() {
            return Ok(address);
        }
        let id = self.state.as_raw().id().map_err(|error| Fault(reason(&error)))?;
        let name =
            id.name().ok_or_else(|| Fault(format!("an object of {} has no name", self.class)))?;
        Ok(self.address.get_or_init(|| AnyAddress::new(self.class, name)))
    }

    fn check_name(&self, name: &str) -> Result<(), Fault> {
        let address = self.address()?;
        if address.name == name {
            Ok(())
        } else {
            Err(Fault(format!("{address} was asked as {name}")))
        }
    }

    /// Answers one message in one transaction and does what the answer says.
    pub(super) async fn serve(
        &self,
        message: &str,
        body: &str,
        may_hold: bool,
    ) -> Result<Served, Fault> {
        if message == UNITS_MESSAGE {
            return Ok(Served { reply: serde_json::to_string(&meter().read())?, held: None });
        }
        self.alarm.learn(self.storage.as_raw()).await?;
        let outcome = self.transact(message, body);
        if !outcome.as_ref().is_ok_and(|(answer, _)| answer.commit) {
            self.memory.clear();
        }
        let (answer, alarm) = outcome?;
        // Nothing is awaited between the transaction and these two: news would be lost in between.
        if answer.commit && answer.wake {
            socket::wake(&self.state);
        }
        let held = if answer.hold && may_hold { Some(socket::hold(&self.state)?) } else { None };
        stored(alarm).await?;
        Ok(Served { reply: answer.reply, held })
    }

    fn transact(&self, message: &str, body: &str) -> Result<(Answer, Option<Promise>), Fault> {
        let shared = isolate();
        let variables = |name: &str| variable(&self.env, name);
        let object = Object {
            address: self.address()?,
            sql: &self.sql,
            memory: &self.memory,
            variables: &variables,
            shared: &shared,
        };
        let moment = Moment::new(now(), random());
        let work = || {
            let answer = self.application.answer(&object, &moment, message, body)?;
            let at = answer.alarm.filter(|_| answer.commit);
            let alarm = at.map_or(Ok(None), |at| self.alarm.arm(self.storage.as_raw(), at))?;
            Ok::<_, Fault>((answer, alarm))
        };
        let outcome = transaction(self.storage.as_raw(), work, |(answer, _)| answer.commit);
        if outcome.is_err() {
            self.alarm.forget();
        }
        outcome
    }

    async fn wake_at(&self, at: Option<u64>) -> Result<(), Fault> {
        let Some(at) = at else { return Ok(()) };
        self.alarm.learn(self.storage.as_raw()).await?;
        stored(self.alarm.arm(self.storage.as_raw(), at)?).await
    }
}
