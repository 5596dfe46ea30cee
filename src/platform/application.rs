//! What does the platform call in the program it runs?

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use crate::{AnyAddress, Body, Fault, Isolate, Memory, Moment, Sql};

/// What an object's function may touch while it answers one message.
pub struct Object<'a> {
    /// Which object this is.
    pub address: &'a AnyAddress,
    /// Its database; everything run while answering is one transaction.
    pub sql: &'a Sql,
    /// Its hot state.
    pub memory: &'a Memory,
    /// The deployment's variables and secrets.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// What the isolate remembers; use [`Object::isolate`].
    pub shared: &'a Isolate,
}

impl Object<'_> {
    /// A variable or secret of the deployment.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name)
    }

    /// The isolate's `T`, made at first use: the same one that [`World::isolate`](crate::World::isolate) gives.
    pub fn isolate<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        self.shared.of(make)
    }
}

/// What an object answers, and what the host does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Serde's `Result<Reply, Refusal>` as JSON.
    pub reply: String,
    /// Whether what was written is kept; if not, hot state is forgotten too, and `alarm` and `wake` do nothing.
    pub commit: bool,
    /// Wake the object at this time (milliseconds since the epoch) at the latest. `None` leaves the alarm as it is.
    pub alarm: Option<u64>,
    /// Let every wait that this object holds return.
    pub wake: bool,
    /// Hold this wait instead of replying. An `ask` gets its reply all the same.
    pub hold: bool,
}

impl Answer {
    /// A reply: kept; neither alarm nor waits are touched. It has the form that serde gives a `Result`, and is not
    /// written as one: that takes a good deal of code for each message.
    pub fn reply(message: &str, reply: &impl Serialize) -> Result<Self, Fault> {
        let reply = serde_json::to_string(reply).map_err(|error| unwritten(message, &error))?;
        let reply = format!("{{\"Ok\":{reply}}}");
        Ok(Self { reply, commit: true, alarm: None, wake: false, hold: false })
    }

    /// A refusal: rolled back; neither alarm nor waits are touched.
    pub fn refused(refusal: &impl Serialize) -> Result<Self, Fault> {
        let reply = serde_json::to_string(&Err::<(), _>(refusal))
            .map_err(|error| Fault(format!("a refusal cannot be written: {error}")))?;
        Ok(Self { reply, commit: false, alarm: None, wake: false, hold: false })
    }
}

fn unwritten(message: &str, error: &serde_json::Error) -> Fault {
    Fault(format!("the reply to {message} cannot be written: {error}"))
}

/// The program that runs on the platform, and reaches everything outside itself through its world.
pub trait Application<World> {
    /// Answers one message to one object: synchronous, within one transaction.
    fn answer(
        &self,
        object: &Object<'_>,
        moment: &Moment,
        message: &str,
        body: &str,
    ) -> Result<Answer, Fault>;

    /// The object's alarm fired. What it asks of its own address is a direct call. `Some(ms)` wakes it
    /// again at that time at the latest; after a fault it is woken again in any case. It may be
    /// called more often than the alarm was set.
    fn due(
        &self,
        world: World,
        address: AnyAddress,
    ) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>>;

    /// A request from outside. Its body is read, with whatever limit it has, by the program.
    fn http(
        &self,
        world: World,
        request: http::Request<Body>,
    ) -> LocalBoxFuture<'static, http::Response<Body>>;
}
