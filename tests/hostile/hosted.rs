//! What becomes of a room that a peer hosts, at our server?

use serde_json::json;
use tombolo_support::{Answer, Hosted, Peer};

use crate::scene::{HostileScene, OURS};

impl HostileScene {
    /// A room that lies on a peer.
    pub fn hosted(&self, peer: &Peer) -> Hosted {
        Hosted::new(self, peer, self.version)
    }

    /// A room whose create event claims this version, whatever its events are.
    pub fn hosted_claiming(&self, peer: &Peer, claimed: &str) -> Hosted {
        Hosted::claiming(self, peer, self.version, claimed)
    }

    /// Alice asks to join through a peer.
    pub fn join(&self, hosted: &Hosted, peer: &Peer) -> Answer {
        hosted.join(self, &self.alice, &[peer])
    }

    /// Now that the peer is honest, alice comes in, and hears what is said.
    pub fn comes_right(&self, hosted: &Hosted, peer: &Peer) {
        hosted.give(peer);
        self.simulation.settle(600_000);
        let joined = self.join(hosted, peer);
        assert_eq!(joined.status, 200, "an honest join fails: {joined:?}");
        self.hears(hosted, peer);
        let alice = format!("@alice:{OURS}");
        let members = self.state_of(&hosted.room);
        for member in [&alice, &hosted.creator] {
            assert!(members.contains_key(&("m.room.member".to_owned(), member.clone())));
        }
    }

    /// A message of the creator, after alice's join, comes in.
    pub fn hears(&self, hosted: &Hosted, peer: &Peer) {
        let content = json!({ "body": format!("to all {}", self.number()) });
        let mut pdu = hosted.event(peer, &hosted.creator, ("m.room.message", None), &content);
        pdu["prev_events"] = json!(self.newest(hosted));
        pdu["depth"] = json!(1000 + self.number());
        let pdu = peer.seal(hosted.version, &pdu);
        let answer = self.transaction(peer, std::slice::from_ref(&pdu), &[]);
        assert_eq!(answer.body["pdus"][hosted.id(&pdu)], json!({}), "{answer:?}");
        let held = self.held_in(&hosted.room, &hosted.id(&pdu));
        assert!(held.is_some_and(|held| held.pos.is_some()), "a good event is lost: {answer:?}");
    }

    /// The newest event at our server.
    pub fn newest(&self, hosted: &Hosted) -> Vec<String> {
        let sql = self.tables(&hosted.room).unwrap();
        let query = "SELECT id FROM events WHERE pos IS NOT NULL ORDER BY pos DESC LIMIT 1";
        sql.rows(query, &[], |row| row.text(0)).unwrap()
    }
}
