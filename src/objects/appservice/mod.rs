//! What has an application service yet to be told, and when is it tried (again)? The AppserviceObject.
//!
//! It holds ranges of rooms, whose events the flow [`crate::flows::appservices::deliver`] asks of the rooms when it makes
//! a transaction. Unlike a server, a service may not be told the same under another transaction ID. So a transaction is
//! stored as it is sent, before it is sent, in the place of what it is made of, and is repeated until the service takes
//! it ([pushing events](https://spec.matrix.org/v1.19/application-service-api/#pushing-events)). One is in flight at a
//! time, since only this object's alarm sends.

pub mod messages;
mod owed;
mod schema;
#[cfg(test)]
mod tests;
mod transactions;

use tombolo_platform::{Fault, Moment, Sql};

use self::messages::*;
pub use self::schema::STEPS;
use crate::{
    objects::message::Never,
    shell::{Effects, ObjectClass, Question, Schema, Stop, class},
};

/// What a service's function may answer.
pub type Result<T> = std::result::Result<T, Stop<Never>>;

/// What the object remembers between messages.
#[derive(Default)]
pub struct Cache {
    schema: Schema,
    /// The ID of the transaction that is being made. Where it is forgotten, that is made anew.
    expected: Option<u64>,
}

/// The class of application services.
pub struct AppserviceClass;

impl ObjectClass for AppserviceClass {
    type Cache = Cache;
    type Object<'a> = Appservice<'a>;
    type Refusal = Never;

    fn open<'a>(
        question: &Question<'a>,
        cache: &'a mut Cache,
        effects: &'a mut Effects,
    ) -> std::result::Result<Appservice<'a>, Fault> {
        let Question { object, moment, .. } = *question;
        Ok(Appservice { sql: object.sql, moment, cache, effects })
    }
}

/// A service while it answers one message.
pub struct Appservice<'a> {
    sql: &'a Sql,
    moment: &'a Moment,
    cache: &'a mut Cache,
    effects: &'a mut Effects,
}

impl Appservice<'_> {
    fn exists(&mut self) -> Result<bool> {
        Ok(self.cache.schema.exists(self.sql, STEPS)?)
    }

    fn create(&mut self) -> Result<()> {
        Ok(self.cache.schema.create(self.sql, STEPS)?)
    }
}

class!(AppserviceClass = "appservice" {
    Owe => owed::owe,
    IsOwed => owed::is_owed,
    OweEdu => owed::owe_edu,
    NextTransaction => transactions::next,
    Built => transactions::built,
    Sent => transactions::sent,
    Failed => transactions::failed,
    Retry => transactions::retry,
    Backlog => transactions::backlog,
    Purge => transactions::purge,
});
