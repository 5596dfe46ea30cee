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

/// Has a server owed an EDU that is held in memory, worth sending for so long (ms).
fn remember(server: &Server, key: &str, lasts: Option<u64>) {
    let (key, edu) = (key.to_owned(), RawValue::from_string(format!("{key:?}")).unwrap());
    let (until, durable, unhurried) = (lasts.map(|lasts| lasts + 1), false, false);
    server.0.ask(1, &OweEdu { key, edu, until, durable, unhurried }).unwrap();
}

#[test]
fn what_lasts_longer_waits_for_the_rest() {
    let server = Server::new();
    for n in 0..150 {
        remember(&server, &format!("presence {n}"), Some(300_000));
    }
    remember(&server, "typing", Some(30_000));
    remember(&server, "z receipt", None);
    remember(&server, "a receipt", None);
    let sent: Vec<String> = server.next().into_iter().map(|(_, edu)| edu).collect();
    let first = ["z receipt", "a receipt", "typing", "presence 0", "presence 1"];
    assert_eq!(sent[..5], first.map(|edu| format!("{edu:?}")));
    assert_eq!(sent.len(), MAX_EDUS);
}

#[test]
fn where_too_much_waits_presence_gives_way() {
    let server = Server::new();
    for n in 0..1_200 {
        remember(&server, &format!("presence {n}"), Some(300_000));
    }
    for n in 0..10 {
        remember(&server, &format!("receipt {n}"), None);
    }
    let sent = server.next();
    assert_eq!(sent.iter().filter(|(_, edu)| edu.starts_with("\"receipt")).count(), 10);
}
