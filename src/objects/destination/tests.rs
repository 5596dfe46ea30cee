//! Which EDUs that are written down does a server get, and in which form?

use std::rc::Rc;

use serde_json::value::RawValue;
use tombolo_support::{LoneObject, Secrets};

use super::messages::*;
use crate::{app::Tombolo, objects::destination_object};

struct Server(LoneObject);

impl Server {
    fn new() -> Self {
        let address = (&destination_object(ruma::server_name!("theirs.test"))).into();
        Self(LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1)))
    }

    fn owe(&self, key: &str, edu: &str) {
        let (key, edu) = (key.to_owned(), RawValue::from_string(edu.to_owned()).unwrap());
        let (until, durable, unhurried) = (None, true, false);
        self.0.ask(1, &OweEdu { key, edu, until, durable, unhurried }).unwrap();
    }

    /// The EDUs of the next transaction.
    fn next(&self) -> Vec<(i64, String)> {
        let batch = self.0.ask(2, &NextBatch {}).unwrap();
        batch.edus.into_iter().map(|(id, edu)| (id, edu.get().to_owned())).collect()
    }

    fn delivered(&self, edus: &[(i64, String)]) {
        let edus = edus.iter().map(|(id, _)| *id).collect();
        self.0.ask(3, &Delivered { rooms: Vec::new(), edus }).unwrap();
    }
}

#[test]
fn an_edu_that_was_replaced_on_its_way_is_sent_in_its_newer_form() {
    let server = Server::new();
    server.owe("a", "1");
    let sent = server.next();
    server.owe("a", "2");
    server.delivered(&sent);
    let sent = server.next();
    assert_eq!(sent.iter().map(|(_, edu)| &**edu).collect::<Vec<_>>(), ["2"]);
    // One that is the same has not been replaced.
    server.owe("a", "2");
    server.delivered(&sent);
    assert!(server.next().is_empty());
}

#[test]
fn a_transaction_has_as_much_as_fits() {
    let server = Server::new();
    let [large, small] = [1_900_000, 900_000].map(|bytes| format!("{:?}", "x".repeat(bytes)));
    for (key, edu) in [("a", &large), ("b", &small), ("c", &small), ("d", &small)] {
        server.owe(key, edu);
    }
    let mut counts = Vec::new();
    for _ in 0..3 {
        let sent = server.next();
        counts.push(sent.len());
        server.delivered(&sent);
    }
    assert_eq!(counts, [1, 2, 1]);
}

#[test]
fn a_server_that_never_comes_back_does_not_grow_for_ever() {
    let server = Server::new();
    for n in 0..20_010 {
        server.owe(&n.to_string(), &n.to_string());
    }
    assert_eq!(server.next()[0].1, "10");
}
