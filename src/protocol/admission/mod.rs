//! Is this text an event that its sender's server signed?
//! ([checks on receipt of a PDU](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu), steps 1 to 3)
//!
//! [`parse`] makes an [`Unverified`] event, which tells the keys it needs; with them it becomes
//! [`Verified`]. There is no other way from bytes of another server to a [`Pdu`].

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    canonical_json::{
        CanonicalJsonObject, CanonicalJsonValue, redact, redacted_to_string, to_string,
    },
    event::{
        FormatFault, MAX_BYTES, Pdu, ReadFault, check_format, check_history, content_hash,
        id_of_hash,
    },
    json::{JsonFault, parse_object},
    membership::Membership,
    room_version::RoomVersion,
    server_keys::KeyRing,
    signing::{SignatureFault, Signed, decode, sha256, signatures_of, verify_signatures},
};

/// Why an event is dropped: it is never stored and has no effect.
#[derive(Debug, thiserror::Error)]
pub enum Drop {
    /// It is not the JSON of an event.
    #[error(transparent)]
    Json(#[from] JsonFault),
    /// It breaks the format of its room version.
    #[error(transparent)]
    Format(#[from] FormatFault),
    /// A signature it needs is missing or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
    /// A field that the format leaves open cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFault),
}

/// An event whose format was checked and whose signatures were not.
#[derive(Debug)]
pub struct Unverified {
    /// Its ID, from its hash.
    pub event_id: OwnedEventId,
    /// The room it says it belongs to.
    pub room_id: OwnedRoomId,
    /// The user it says it is from.
    pub sender: OwnedUserId,
    /// The time it says it was made.
    pub origin_server_ts: i64,
    /// What may be kept of its `unsigned`: the age, and the room's state in an invite or knock.
    pub unsigned: CanonicalJsonObject,
    version: &'static RoomVersion,
    object: CanonicalJsonObject,
    redacted: String,
    signers: Vec<OwnedServerName>,
}

/// An event that the servers responsible for it have signed.
#[derive(Debug)]
pub struct Verified {
    /// The event, redacted if its content had been changed.
    pub pdu: Pdu,
    /// Whether it was redacted because its content hash is wrong.
    pub redacted: bool,
    /// What was kept of its `unsigned`.
    pub unsigned: CanonicalJsonObject,
}

/// A verified event on its way to an object that trusts the sender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checked {
    /// Its ID.
    pub event_id: OwnedEventId,
    /// Its canonical text, without `unsigned`.
    pub json: Box<RawValue>,
}

impl Verified {
    /// The form in which it crosses to another object.
    pub fn checked(&self) -> Result<Checked, ReadFault> {
        let event_id = self.pdu.event_id.clone();
        match RawValue::from_string(self.pdu.json.clone()) {
            Ok(json) => Ok(Checked { event_id, json }),
            Err(error) => Err(ReadFault::Json(event_id, error)),
        }
    }
}

impl Checked {
    /// The event again, on the other side.
    pub fn pdu(&self, version: &RoomVersion) -> Result<Pdu, ReadFault> {
        Pdu::from_stored(self.event_id.clone(), self.json.get(), version, false)
    }
}

/// Reads an event of another server: strict JSON, the version's format, its size and its ID.
pub fn parse(bytes: &[u8], version: &'static RoomVersion) -> Result<Unverified, Drop> {
    let object = parse_object(bytes)?;
    check_format(&object, version)?;
    parse_checked(object, version)
}

/// Reads an event of the past, as backfilling brings it: it may cite more events than a new one.
pub fn parse_history(bytes: &[u8], version: &'static RoomVersion) -> Result<Unverified, Drop> {
    let object = parse_object(bytes)?;
    check_history(&object, version)?;
    parse_checked(object, version)
}

/// Reads the event in an object whose form was checked.
fn parse_checked(
    mut object: CanonicalJsonObject,
    version: &'static RoomVersion,
) -> Result<Unverified, Drop> {
    let unsigned = object.remove("unsigned");
    let size = to_string(&object).len();
    if size > MAX_BYTES {
        return Err(FormatFault::TooLarge(size).into());
    }
    let redacted = redacted_to_string(&object, version);
    let event_id = id_of_hash(sha256(&redacted));
    let sender =
        UserId::parse(str_at(&object, "sender")).map_err(|_| FormatFault::Field("sender"))?;
    let room_id = match object.get("room_id").and_then(CanonicalJsonValue::as_str) {
        Some(room_id) => RoomId::parse(room_id),
        None => RoomId::parse(event_id.as_str().replacen('$', "!", 1)),
    };
    let time = object.get("origin_server_ts").and_then(CanonicalJsonValue::as_integer);
    Ok(Unverified {
        room_id: room_id.map_err(|_| FormatFault::Field("room_id"))?,
        origin_server_ts: time.map(i64::from).ok_or(FormatFault::Field("origin_server_ts"))?,
        unsigned: kept_unsigned(unsigned, str_at(&object, "type")),
        signers: signers(&object, &sender, version),
        event_id,
        sender,
        version,
        object,
        redacted,
    })
}

impl Unverified {
    /// Whose keys are needed, and which of them were used. A server that has not signed at all
    /// appears with no keys.
    #[must_use]
    pub fn required_keys(&self) -> Vec<(OwnedServerName, Vec<String>)> {
        let keys = |server: &OwnedServerName| {
            signatures_of(&self.object, server.as_str()).map(|(key_id, _)| key_id.to_owned())
        };
        self.signers.iter().map(|server| (server.clone(), keys(server).collect())).collect()
    }

    /// The same event, which another server must have signed too.
    #[must_use]
    pub fn signed_by(mut self, server: &ServerName) -> Self {
        if !self.signers.iter().any(|signer| signer == server) {
            self.signers.push(server.to_owned());
        }
        self
    }

    /// The time at which the keys must have been valid, where the room version asks for that.
    #[must_use]
    pub fn keys_valid_at(&self) -> Option<i64> {
        self.version.rules.enforce_key_validity.then_some(self.origin_server_ts)
    }

    /// The events that authorise it, by its own account.
    #[must_use]
    pub fn auth_events(&self) -> Vec<OwnedEventId> {
        let ids = self.object.get("auth_events").and_then(CanonicalJsonValue::as_array);
        let ids = ids.into_iter().flatten().filter_map(CanonicalJsonValue::as_str);
        ids.filter_map(|id| id.try_into().ok()).collect()
    }

    /// The content, for questions before the signatures are known, such as where to fetch keys.
    #[must_use]
    pub fn object(&self) -> &CanonicalJsonObject {
        &self.object
    }

    /// Checks the signatures and the content hash.
    pub fn verify(self, keys: &KeyRing) -> Result<Verified, Drop> {
        let signed = Signed { message: self.redacted.as_bytes(), at: self.keys_valid_at() };
        for server in &self.signers {
            let Some(keys) = keys.of(server) else {
                return Err(SignatureFault::UnknownKey(server.to_string()).into());
            };
            verify_signatures(&self.object, server.as_str(), keys, signed)?;
        }
        let altered = !has_its_hash(&self.object);
        // What a redaction keeps is covered by the signature, so altered content costs only itself.
        let object = if altered { redact(self.object, self.version) } else { self.object };
        if altered {
            // What made the sender's own signature unnecessary (an invite by somebody's key) may be gone with the
            // content.
            for server in signers(&object, &self.sender, self.version) {
                if self.signers.contains(&server) {
                    continue;
                }
                let unknown = || SignatureFault::UnknownKey(server.to_string());
                let keys = keys.of(&server).ok_or_else(unknown)?;
                verify_signatures(&object, server.as_str(), keys, signed)?;
            }
        }
        let pdu = Pdu::from_object(self.event_id, &object, self.version)?;
        Ok(Verified { pdu, redacted: altered, unsigned: self.unsigned })
    }
}

/// The servers that must have signed.
fn signers(
    object: &CanonicalJsonObject,
    sender: &UserId,
    version: &RoomVersion,
) -> Vec<OwnedServerName> {
    let mut signers = vec![sender.server_name().to_owned()];
    let content = object.get("content").and_then(CanonicalJsonValue::as_object);
    let Some(content) = content.filter(|_| str_at(object, "type") == "m.room.member") else {
        return signers;
    };
    match Membership::of(str_at(content, "membership")) {
        // The identity server has signed the invite in the sender's place.
        Some(Membership::Invite)
            if content.get("third_party_invite").is_some_and(CanonicalJsonValue::is_object) =>
        {
            signers.clear();
        }
        Some(Membership::Join)
            if version.rules.signatures.check_join_authorised_via_users_server =>
        {
            let authoriser = UserId::parse(str_at(content, "join_authorised_via_users_server"));
            let server = authoriser.ok().map(|user_id| user_id.server_name().to_owned());
            signers.extend(server.filter(|server| server != sender.server_name()));
        }
        _ => {}
    }
    signers
}

/// Whether the text of an event has the content whose hash it names.
#[must_use]
pub fn is_whole(text: &str) -> bool {
    parse_object(text.as_bytes()).is_ok_and(|object| has_its_hash(&object))
}

/// Compares bytes: a hash may be written in several ways.
fn has_its_hash(object: &CanonicalJsonObject) -> bool {
    let hashes = object.get("hashes").and_then(CanonicalJsonValue::as_object);
    let named = hashes.and_then(|hashes| decode(hashes.get("sha256")?.as_str()?));
    named == Some(content_hash(object))
}

fn kept_unsigned(unsigned: Option<CanonicalJsonValue>, kind: &str) -> CanonicalJsonObject {
    let Some(CanonicalJsonValue::Object(mut unsigned)) = unsigned else { return BTreeMap::new() };
    unsigned.retain(|key, value| match key.as_str() {
        "age" => value.is_integer(),
        "invite_room_state" | "knock_room_state" => kind == "m.room.member" && value.is_array(),
        _ => false,
    });
    unsigned
}

fn str_at<'a>(object: &'a CanonicalJsonObject, field: &str) -> &'a str {
    object.get(field).and_then(CanonicalJsonValue::as_str).unwrap_or_default()
}
