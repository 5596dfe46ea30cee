//! Did an event meet the end it must meet?
//!
//! Each sends the event among good ones, and asserts what was answered, what the tables hold, and that all goes on.

use serde_json::{Value, json};
use tombolo::objects::room::Verdict;
use tombolo_support::{Answer, encode};

use crate::scene::HostileScene;

impl HostileScene {
    /// Never stored, visible nowhere; its neighbours come in.
    pub fn dropped(&self, what: &str, pdu: &Value) {
        let answer = self.dropped_text(what, &pdu.to_string());
        assert_ne!(answer.body["pdus"].get(self.id(pdu)), Some(&json!({})), "{what}: {answer:?}");
    }

    /// The same for a text that may be no event at all.
    pub fn dropped_text(&self, what: &str, text: &str) -> Answer {
        let (state, events) = (self.state(), self.count("events"));
        let (one, other) = (self.message_of("minion"), self.message_of("minion"));
        let answer = self.send_text(&self.evil, &format!("{one},{text},{other}"));
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        for good in [&one, &other] {
            self.came_in(what, &answer, good);
        }
        assert_eq!(self.count("events"), events + 2, "{what} is stored: {answer:?}");
        assert_eq!(self.count("parked"), 0, "{what} is parked");
        assert_eq!(self.state(), state, "{what} changed the state");
        answer
    }

    /// Of no effect; at most a place in the graph.
    pub fn rejected(&self, what: &str, pdu: &Value) {
        let state = self.state();
        let (one, other) = (self.message_of("minion"), self.message_of("minion"));
        let answer = self.transaction(&self.evil, &[one.clone(), pdu.clone(), other.clone()], &[]);
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        for good in [&one, &other] {
            self.came_in(what, &answer, good);
        }
        let id = self.id(pdu);
        let verdict = self.verdict(&id);
        assert!(matches!(verdict, None | Some(Verdict::Rejected)), "{what} is {verdict:?}");
        assert!(answer.body["pdus"][&id]["error"].is_string(), "{what} is no error: {answer:?}");
        assert!(!self.sees(&id), "{what} is shown");
        assert!(!self.extremities().contains(&id), "{what} is a forward extremity");
        assert_eq!(self.state(), state, "{what} changed the state");
    }

    /// In the graph and not in the timeline.
    pub fn soft_failed(&self, what: &str, pdu: &Value) {
        let state = self.state();
        let answer = self.transaction(&self.evil, std::slice::from_ref(pdu), &[]);
        let id = self.id(pdu);
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert_eq!(self.verdict(&id), Some(Verdict::SoftFailed), "{what}: {answer:?}");
        assert!(!self.sees(&id), "{what} is shown");
        assert!(!self.extremities().contains(&id), "{what} is a forward extremity");
        assert_eq!(self.state(), state, "{what} changed the state");
    }

    /// In the timeline.
    pub fn accepted(&self, what: &str, pdu: &Value) {
        let answer = self.transaction(&self.evil, std::slice::from_ref(pdu), &[]);
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        self.came_in(what, &answer, pdu);
    }

    fn came_in(&self, what: &str, answer: &Answer, pdu: &Value) {
        let id = self.id(pdu);
        assert_eq!(answer.body["pdus"][&id], json!({}), "{what}: {answer:?}");
        assert_eq!(self.verdict(&id), Some(Verdict::Accepted), "{what}: {pdu}");
        assert!(self.sees(&id), "{what}: alice does not see {pdu}");
    }

    /// A good event of the peer comes in, alice can speak, and cites nothing that was refused.
    pub fn goes_on(&self) {
        self.accepted("a good event", &self.message_of("minion"));
        let id = self.say(&self.alice, &self.room, "hello");
        let pdu = self.held(&id).unwrap().pdu;
        for list in ["prev_events", "auth_events"] {
            for cited in pdu[list].as_array().unwrap() {
                let verdict = self.verdict(cited.as_str().unwrap());
                let usable = matches!(verdict, Some(Verdict::Accepted | Verdict::Outlier));
                assert!(usable, "alice's event cites {cited}, which is {verdict:?}");
            }
        }
        assert!(!self.timeline(&self.room).is_empty());
    }

    /// What alice reads of a room by `/messages`, newest first.
    pub fn timeline(&self, room: &str) -> Vec<Value> {
        let (mut events, mut from) = (Vec::new(), String::new());
        for _ in 0..50 {
            let path =
                format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100{from}", encode(room));
            let page = self.get(&self.alice, &path);
            assert_eq!(page.status, 200, "alice cannot read: {page:?}");
            events.extend(page.body["chunk"].as_array().unwrap().clone());
            let Some(end) = page.text("end") else { return events };
            from = format!("&from={}", encode(&end));
        }
        panic!("{room} has no beginning");
    }
}
