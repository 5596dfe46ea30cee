//! What may one part of the server ask an object, and how does the question travel?
//!
//! A message and its reply are JSON text on the wire. The reply is serde's own `Result`
//! (`{"Ok":…}` or `{"Err":…}`), so that a `RawValue` inside survives byte for byte. Messages outlive
//! a deployment: fields are added with a default and never renamed.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{SqlError, json};

/// A class of objects.
pub trait Class: 'static {
    /// In lower case with underscores: `room`, `user_sync`. The Workers binding is the same in upper case.
    const NAME: &'static str;
}

/// Which object of a class: its name, for instance a room ID.
pub struct Address<C> {
    pub name: String,
    class: PhantomData<fn() -> C>,
}

impl<C: Class> Address<C> {
    /// The object of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), class: PhantomData }
    }

    /// The same, beside objects of other classes.
    pub fn any(&self) -> AnyAddress {
        AnyAddress::new(C::NAME, &*self.name)
    }
}

impl<C: Class> From<&Address<C>> for AnyAddress {
    fn from(address: &Address<C>) -> Self {
        address.any()
    }
}

impl<C> Clone for Address<C> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), class: PhantomData }
    }
}

/// Which object of any class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnyAddress {
    pub class: &'static str,
    pub name: String,
}

impl AnyAddress {
    pub fn new(class: &'static str, name: impl Into<String>) -> Self {
        Self { class, name: name.into() }
    }

    /// The same as an address of this class, if it is one.
    pub fn of<C: Class>(&self) -> Option<Address<C>> {
        (self.class == C::NAME).then(|| Address::new(&*self.name))
    }
}

impl fmt::Display for AnyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class, self.name)
    }
}

/// A question to an object of one class.
pub trait Message: Serialize + DeserializeOwned {
    /// Its name on the wire, unique within its class. Names that begin with `platform.` are reserved.
    const NAME: &'static str;
    /// The class of the objects that understand it.
    type Class: Class;
    /// What the object answers.
    type Reply: Serialize + DeserializeOwned;
    /// Why the object may decline; nothing was stored then.
    type Refusal: Serialize + DeserializeOwned + fmt::Debug;
}

/// The other side could not be asked, or its answer did not arrive: what was asked may or may not
/// have happened, and asking again is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreachable: {0}")]
pub struct Unreachable(pub String);

/// Why an `ask` brought no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError<R: fmt::Debug> {
    /// The object declined; nothing was stored.
    #[error("refused: {0:?}")]
    Refused(R),
    /// No answer; the message may or may not have taken effect.
    #[error("unreachable: {0}")]
    Unreachable(String),
}

impl<R: fmt::Debug> From<Unreachable> for AskError<R> {
    fn from(Unreachable(reason): Unreachable) -> Self {
        Self::Unreachable(reason)
    }
}

/// Something is broken: nothing is kept, hot state is forgotten, and the caller sees `Unreachable`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

impl From<SqlError> for Fault {
    fn from(error: SqlError) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// The pauses before an object is asked again: after a deployment, objects keep the old code for a while, or are reset
/// ([known issues](https://developers.cloudflare.com/durable-objects/platform/known-issues/)).
const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// How the fault of an object begins that does not know a message.
const UNKNOWN: &str = "unknown message";

/// The fault of an object that does not know the message yet: whoever asked asks again.
pub fn unknown(message: &str) -> Fault {
    Fault(format!("{UNKNOWN} {message}"))
}

/// An object gave no answer.
pub(crate) struct Failed {
    /// Whether it may give one in a moment.
    pub(crate) again: bool,
    pub(crate) why: Unreachable,
}

impl Failed {
    /// The object has said why.
    pub(crate) fn of(to: &AnyAddress, fault: &str) -> Self {
        Self { again: fault.starts_with(UNKNOWN), why: Unreachable(format!("{to}: {fault}")) }
    }
}

/// Asks again, a few times, where that may help.
pub(crate) async fn patiently<T>(
    sleep: impl AsyncFn(Duration),
    ask: impl AsyncFn() -> Result<T, Failed>,
) -> Result<T, Unreachable> {
    for pause in PAUSES {
        match ask().await {
            Err(Failed { again: true, .. }) => sleep(pause).await,
            outcome => return outcome.map_err(|failed| failed.why),
        }
    }
    ask().await.map_err(|failed| failed.why)
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited<Reply, Refusal> {
    /// The object had an answer at once.
    Answered(Reply),
    /// The object declined at once.
    Refused(Refusal),
    /// The object held the wait and has news now, or the wait was cut short: ask again.
    Woken,
    /// The time is over and nothing came.
    TimedOut,
}

/// A message as it travels to an object.
pub(crate) fn encode<M: Message>(message: &M) -> Result<String, Unreachable> {
    serde_json::to_string(message).map_err(|error| broken(M::NAME, "message", &error))
}

/// The answer as it travelled, in the form that serde gives a `Result`. It is taken apart here: to have serde read it
/// takes a good deal of code for each message.
pub(crate) fn decode<M: Message>(reply: &str) -> Result<Result<M::Reply, M::Refusal>, Unreachable> {
    let broken = |error| broken(M::NAME, "reply", &error);
    match within(reply, "{\"Ok\":") {
        Some(reply) => json::read(reply).map(Ok).map_err(broken),
        None => {
            let refusal = within(reply, "{\"Err\":").unwrap_or_default();
            json::read(refusal).map(Err).map_err(broken)
        }
    }
}

/// What is in an object of one member, which begins so.
fn within<'a>(text: &'a str, begin: &str) -> Option<&'a str> {
    text.strip_prefix(begin)?.strip_suffix('}')
}

fn broken(name: &str, what: &str, error: &serde_json::Error) -> Unreachable {
    Unreachable(format!("the {what} of {name} cannot be read or written: {error}"))
}
