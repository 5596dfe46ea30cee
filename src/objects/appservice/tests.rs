//! In which transactions does a service get what it is owed, whatever happens between two of them?

use std::rc::Rc;

use serde_json::value::RawValue;
use tombolo_support::{LoneObject, Secrets};

use super::messages::*;
use crate::{app::Tombolo, objects::appservice_object};

struct Service(LoneObject);

const NOW: u64 = 1_700_000_000_000;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn range(from: i64, to: i64) -> Range {
    Range { from, to, whole: true }
}

impl Service {
    fn new() -> Self {
        let address = (&appservice_object("slack")).into();
        Self(LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1)))
    }

    fn owe(&self, room: &str, ranges: &[Range]) {
        let to = ranges.last().unwrap().to;
        self.tell(room, to, (ranges, Vec::new()));
    }

    fn tell(&self, room: &str, to: i64, (ranges, bodies): (&[Range], Vec<Body>)) {
        let owe = Owe { room_id: room.try_into().unwrap(), to, ranges: ranges.to_vec(), bodies };
        self.0.ask(NOW, &owe).unwrap();
    }

    fn next(&self, now: u64) -> Next {
        self.0.ask(now, &NextTransaction { without: Vec::new() }).unwrap()
    }

    fn parts(&self) -> Parts {
        self.next(NOW).parts.unwrap()
    }

    /// The rooms and ranges that the next transaction would be made of.
    fn rows(&self) -> Vec<(String, i64, i64)> {
        let row = |row: Row| (row.room_id.to_string(), row.range.from, row.range.to);
        self.parts().rows.into_iter().map(row).collect()
    }

    /// Makes a transaction of all of these parts.
    fn build(&self, parts: &Parts) -> bool {
        let rows = parts.rows.iter().map(|row| (row.seq, row.range.to)).collect();
        let edus = parts.edus.iter().map(|(seq, _)| *seq).collect();
        let body = Some(format!("{{\"events\":[{}]}}", parts.id));
        self.0.ask(NOW, &Built { id: parts.id, body, rows, edus }).unwrap()
    }

    fn edu(&self, key: &str, edu: &str, until: u64) {
        self.0.ask(NOW, &OweEdu { key: key.to_owned(), edu: raw(edu), until }).unwrap();
    }
}

#[test]
fn what_is_told_again_is_owed_once() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    service.owe("!a:x", &[range(0, 10)]);
    service.owe("!a:x", &[range(5, 20)]);
    assert_eq!(service.rows(), [("!a:x".to_owned(), 0, 20)]);
    assert!(service.build(&service.parts()));
    service.owe("!a:x", &[range(0, 20)]);
    let Transaction { id, .. } = service.next(NOW).stored.unwrap();
    service.0.ask(NOW, &Sent { id }).unwrap();
    assert!(service.next(NOW).parts.is_none());
}

#[test]
fn rooms_are_told_in_the_order_in_which_things_happened() {
    let service = Service::new();
    for (room, from, to) in [("!a:x", 0, 10), ("!b:x", 0, 5), ("!a:x", 10, 20), ("!a:x", 20, 30)] {
        service.owe(room, &[range(from, to)]);
    }
    let [a, b] = ["!a:x", "!b:x"].map(str::to_owned);
    assert_eq!(service.rows(), [(a.clone(), 0, 10), (b, 0, 5), (a, 10, 30)]);
}

#[test]
fn a_part_that_is_owed_otherwise_is_a_row_of_its_own() {
    let service = Service::new();
    let some = Range { whole: false, ..range(10, 20) };
    service.owe("!a:x", &[range(0, 10), some, range(30, 40)]);
    let rows = service.parts().rows;
    let rows: Vec<Range> = rows.into_iter().map(|row| row.range).collect();
    assert_eq!(rows, [range(0, 10), Range { whole: false, ..range(10, 20) }, range(30, 40)]);
}

#[test]
fn what_comes_while_a_transaction_is_made_is_in_the_next_one() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    service.edu("typing", "1", NOW + 5);
    let parts = service.parts();
    service.owe("!a:x", &[range(10, 20)]);
    service.edu("typing", "2", NOW + 5);
    assert!(service.build(&parts));
    let Transaction { id, .. } = service.next(NOW).stored.unwrap();
    service.0.ask(NOW, &Sent { id }).unwrap();
    let parts = service.parts();
    assert_eq!((parts.rows[0].range.from, parts.rows[0].range.to), (10, 20));
    assert_eq!(parts.edus[0].1.get(), "2");
}

#[test]
fn a_transaction_is_the_same_until_it_is_taken() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    assert!(service.build(&service.parts()));
    let first = service.next(NOW).stored.unwrap();
    service.owe("!b:x", &[range(0, 10)]);
    service.0.evict();
    let again = service.next(NOW).stored.unwrap();
    assert_eq!((first.id, &first.body), (again.id, &again.body));
    service.0.ask(NOW, &Sent { id: first.id - 1 }).unwrap();
    assert!(service.next(NOW).stored.is_some(), "another one was taken");
    service.0.ask(NOW, &Sent { id: first.id }).unwrap();
    assert!(service.parts().id > first.id);
}

#[test]
fn only_the_transaction_that_was_asked_for_last_is_stored() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    let forgotten = service.parts();
    service.0.evict();
    assert!(!service.build(&forgotten));
    let (older, newer) = (service.parts(), service.parts());
    assert!(service.build(&newer));
    assert!(!service.build(&older), "one is on its way");
    assert!(!service.build(&newer), "it is stored");
}

#[test]
fn an_id_is_never_used_again() {
    let service = Service::new();
    let mut ids = Vec::new();
    for to in 1..=3 {
        service.owe("!a:x", &[range(to - 1, to)]);
        let parts = service.parts();
        assert!(service.build(&parts));
        ids.push(parts.id);
        match to {
            2 => service.0.ask(NOW, &Purge {}).unwrap(),
            _ => service.0.ask(NOW, &Sent { id: parts.id }).unwrap(),
        }
        service.0.evict();
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}

#[test]
fn nothing_is_left_of_what_was_purged() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    service.edu("typing", "1", NOW + 5);
    let made = service.parts();
    service.0.ask(NOW, &Purge {}).unwrap();
    assert!(!service.build(&made), "it was made of what is gone");
    assert!(service.next(NOW).parts.is_none());
    service.owe("!a:x", &[range(0, 10)]);
    assert!(service.next(NOW).parts.is_none(), "it was owed already");
    service.owe("!a:x", &[range(10, 11)]);
    assert_eq!(service.rows(), [("!a:x".to_owned(), 10, 11)]);
}

#[test]
fn pauses_grow_until_they_end() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    let (mut now, mut pauses) = (NOW, Vec::new());
    for _ in 0..11 {
        let retry_at = service.0.ask(now, &Failed { error: "it is down".to_owned() }).unwrap();
        assert_eq!(service.next(retry_at - 1).next, Some(retry_at));
        pauses.push((retry_at - now) / 1_000);
        now = retry_at;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512]);
    let backlog = service.0.ask(now, &Backlog {}).unwrap();
    assert_eq!((backlog.rows, backlog.attempts, backlog.since), (1, 11, Some(NOW)));
    assert_eq!((backlog.retry_at, backlog.error.as_deref()), (Some(now), Some("it is down")));
    service.0.ask(NOW, &Retry {}).unwrap();
    assert_eq!(service.0.alarm.get(), Some(NOW));
    assert!(service.next(NOW).parts.is_some());
    let retry_at = service.0.ask(NOW, &Failed { error: String::new() }).unwrap();
    assert_eq!(retry_at, NOW + 1_000, "they begin anew");
}

#[test]
fn typing_is_not_told_when_it_is_over() {
    let service = Service::new();
    service.edu("typing !a:x", "1", NOW + 30_000);
    assert_eq!(service.parts().edus.len(), 1);
    assert!(service.next(NOW + 30_000).parts.is_none());
}

#[test]
fn a_receipt_that_was_told_is_not_told_again() {
    let service = Service::new();
    let receipt = |pos| {
        let key = Some("receipt".to_owned());
        vec![Body { pos, json: raw(&pos.to_string()), key }]
    };
    service.tell("!a:x", 5, (&[], receipt(5)));
    service.tell("!a:x", 7, (&[], receipt(7)));
    let parts = service.parts();
    assert_eq!(parts.edus.iter().map(|(_, edu)| edu.get()).collect::<Vec<_>>(), ["7"]);
    assert!(service.build(&parts));
    let Transaction { id, .. } = service.next(NOW).stored.unwrap();
    service.0.ask(NOW, &Sent { id }).unwrap();
    service.tell("!a:x", 7, (&[], receipt(7)));
    assert!(service.next(NOW).parts.is_none());
}

#[test]
fn an_invite_keeps_its_place_among_what_happened() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    let invite = || vec![Body { pos: 3, json: raw("{}"), key: None }];
    service.tell("!b:x", 3, (&[], invite()));
    service.tell("!b:x", 3, (&[], invite()));
    service.owe("!a:x", &[range(10, 20)]);
    let rows: Vec<bool> = service.parts().rows.into_iter().map(|row| row.event.is_some()).collect();
    assert_eq!(rows, [false, true, false]);
}

#[test]
fn a_room_that_does_not_answer_keeps_no_other_waiting() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 10)]);
    service.owe("!b:x", &[range(0, 10)]);
    let without = vec!["!a:x".try_into().unwrap()];
    let rows = service.0.ask(NOW, &NextTransaction { without }).unwrap().parts.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.room_id.as_str()).collect::<Vec<_>>(), ["!b:x"]);
}

#[test]
fn with_very_many_rows_those_of_a_room_are_one() {
    let service = Service::new();
    service.owe("!a:x", &[range(0, 1)]);
    service.owe("!b:x", &[range(0, 1)]);
    let update = "UPDATE owed SET seq = 200000 WHERE room = '!b:x'";
    service.0.sql.script(update).unwrap();
    service.owe("!a:x", &[range(1, 2)]);
    assert_eq!(service.rows(), [("!a:x".to_owned(), 0, 2), ("!b:x".to_owned(), 0, 1)]);
}
