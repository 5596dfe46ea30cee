//! What is our verdict on an event, step by step?

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_protocol::{
    admission::parse,
    event::{Pdu, content_hash, create_event_id},
    event_auth::{check_auth_events, check_citations, check_state},
    server_keys::KeyRing,
    signing::{encode, sha256},
};

use crate::world::{Branch, World};

/// Our verdict, and the event if it has the form of one.
pub struct Judged {
    /// What the comparison reads.
    pub record: Value,
    /// The event.
    pub pdu: Option<Pdu>,
    /// Whether it is allowed.
    pub allowed: bool,
}

/// Judges what came in as text, by the state at the end of a branch.
pub fn judge(world: &World, branch: &Branch, ring: &KeyRing, text: &str) -> Judged {
    let dropped = |why: String| {
        let record = json!({ "format": why });
        Judged { record, pdu: None, allowed: false }
    };
    let unverified = match parse(text.as_bytes(), world.version) {
        Ok(unverified) => unverified,
        Err(why) => return dropped(why.to_string()),
    };
    let hash = encode(content_hash(unverified.object()));
    let verified = match unverified.verify(ring) {
        Ok(verified) => verified,
        Err(why) => return dropped(why.to_string()),
    };
    let pdu = verified.pdu;
    let given = cited(world, &pdu);
    let citations = check_citations(world.version, &pdu, &given).err().map(|why| why.to_string());
    let by_cited = check_auth_events(world.version, &pdu, &given).err().map(|why| why.to_string());
    let by_state = check_state(world.version, &pdu, |kind, key| world.at(&branch.state, kind, key));
    let by_state = by_state.err().map(|why| why.to_string());
    let allowed = citations.is_none() && by_cited.is_none() && by_state.is_none();
    let redacted = tombolo_protocol::event::redacted(&pdu, world.version).unwrap();
    let record = json!({
        "format": null, "id": pdu.event_id, "hash": hash, "altered": verified.redacted,
        "bytes": encode(sha256(&pdu.json)), "redacted": encode(sha256(&redacted.json)),
        "citations": citations, "cited": by_cited, "state": by_state,
    });
    Judged { record, pdu: Some(pdu), allowed }
}

fn cited(world: &World, pdu: &Pdu) -> Vec<Rc<Pdu>> {
    let implied = create_event_id(&pdu.room_id).filter(|_| world.version.room_id_is_create_hash());
    let ids = pdu.auth_events.iter().chain(&implied);
    ids.filter_map(|id| world.events.get(id).cloned()).collect()
}
