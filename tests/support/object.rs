//! What does one object answer that stands alone, without a server around it?

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use tombolo_platform::{
    AnyAddress, Application, Isolate, Memory, Message, Moment, Object, Sql, World,
};

use crate::server::Secrets;

/// An object, its database and what it remembers.
pub struct LoneObject {
    pub sql: Sql,
    /// When it last asked to be woken (ms).
    pub alarm: Cell<Option<u64>>,
    application: Rc<dyn Application<World>>,
    address: AnyAddress,
    variables: BTreeMap<&'static str, String>,
    memory: Memory,
    isolate: Isolate,
}

impl LoneObject {
    /// An object of this server that was never asked.
    pub fn new(
        application: Rc<dyn Application<World>>,
        address: AnyAddress,
        server_name: &str,
        secrets: &Secrets,
    ) -> Self {
        let name = ("SERVER_NAME", server_name.to_owned());
        Self {
            sql: Sql::open_in_memory().unwrap(),
            alarm: Cell::default(),
            application,
            address,
            variables: secrets.variables().into_iter().chain([name]).collect(),
            memory: Memory::default(),
            isolate: Isolate::default(),
        }
    }

    /// The same object of a server with one more variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    /// Asks it at a time (ms). A refusal makes it forget, as the platform does.
    pub fn ask<M: Message>(&self, now: u64, message: &M) -> Result<M::Reply, M::Refusal> {
        let read = |name: &str| self.variables.get(name).cloned();
        let object = Object {
            address: &self.address,
            sql: &self.sql,
            memory: &self.memory,
            variables: &read,
            shared: &self.isolate,
        };
        let (moment, body) = (Moment::new(now, [7; 32]), serde_json::to_string(message).unwrap());
        let answer = self.application.answer(&object, &moment, M::NAME, &body).unwrap();
        if !answer.commit {
            self.memory.clear();
        }
        self.alarm.set(answer.alarm);
        serde_json::from_str(&answer.reply).unwrap()
    }

    /// Forgets everything that is not in the database.
    pub fn evict(&self) {
        self.memory.clear();
    }
}
