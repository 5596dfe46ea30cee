//! What is this room, for whoever looks for rooms?
//! ([published rooms](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory))
//!
//! A field of another form than the specification gives it is left out: one room must not spoil a list of many.

use ruma::{MxcUri, RoomAliasId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_protocol::event::Pdu;

use crate::objects::room::{
    Result, Room,
    messages::{Known, Summary},
};

/// The most characters of a name and of a topic.
const MAX_NAME: usize = 255;
const MAX_TOPIC: usize = 2_000;
/// The most bytes of any other text.
const MAX_TEXT: usize = 255;

/// One form of a topic.
#[derive(Deserialize)]
struct Form {
    #[serde(default = "plain")]
    mimetype: String,
    body: String,
}

fn plain() -> String {
    "text/plain".to_owned()
}

/// Whether a text is the URL of media, and has at most so many bytes.
pub fn is_mxc(url: &str, most: usize) -> bool {
    url.len() <= most && <&MxcUri>::from(url).is_valid()
}

impl Room<'_> {
    /// What the room is now.
    pub fn summary(&mut self) -> Result<Summary> {
        let row = self.row()?;
        let alias = self.text_of("m.room.canonical_alias", "alias")?;
        let avatar_url = self.text_of("m.room.avatar", "url")?;
        let guests = self.text_of("m.room.guest_access", "guest_access")?;
        let join_rule = self.join_rule()?;
        let by_room = matches!(&*join_rule, "restricted" | "knock_restricted");
        let short = |text: Option<String>, most| text.map(|text| shortened(text, most));
        Ok(Summary {
            room_id: row.id.clone(),
            name: short(self.text_of("m.room.name", "name")?, MAX_NAME),
            topic: short(self.topic()?, MAX_TOPIC),
            canonical_alias: alias.filter(|alias| RoomAliasId::parse(alias).is_ok()),
            avatar_url: avatar_url.filter(|url| is_mxc(url, MAX_TEXT)),
            join_rule,
            num_joined_members: u64::try_from(row.joined).unwrap_or_default(),
            world_readable: self.is_world_readable()?,
            guest_can_join: guests.as_deref() == Some("can_join"),
            room_type: self.text_of("m.room.create", "type")?.filter(|text| is_short(text)),
            room_version: row.version.id.to_string(),
            encryption: self
                .text_of("m.room.encryption", "algorithm")?
                .filter(|text| is_short(text)),
            allowed_room_ids: if by_room { self.allow_rooms()? } else { Vec::new() },
            federates: self.federates()?,
        })
    }

    /// What an operator finds the room by, as far as the state says it.
    pub fn known_by_state(&mut self) -> Result<Known> {
        let summary = self.summary()?;
        let creator = self.now_event("m.room.create", "")?.map(|event| event.pdu.sender.clone());
        let said = |text: Option<String>| text.filter(|text| is_short(text));
        Ok(Known {
            name: summary.name,
            canonical_alias: summary.canonical_alias,
            version: summary.room_version,
            creator,
            encryption: summary.encryption,
            federatable: summary.federates,
            public: false,
            join_rules: said(self.text_of("m.room.join_rules", "join_rule")?),
            guest_access: said(self.text_of("m.room.guest_access", "guest_access")?),
            history_visibility: said(
                self.text_of("m.room.history_visibility", "history_visibility")?,
            ),
            room_type: summary.room_type,
        })
    }

    /// By which rule users join: `invite` where the room does not say, or says what is none in its version.
    pub fn join_rule(&mut self) -> Result<String> {
        let rules = &self.row()?.version.rules.authorization;
        let rule = self.text_of("m.room.join_rules", "join_rule")?;
        let rule = rule.filter(|rule| match rule.as_str() {
            "public" => true,
            "knock" => rules.knocking,
            "restricted" => rules.restricted_join_rule,
            "knock_restricted" => rules.knock_restricted_join_rule,
            _ => false,
        });
        Ok(rule.unwrap_or_else(|| "invite".to_owned()))
    }

    fn federates(&mut self) -> Result<bool> {
        let create = self.now_event("m.room.create", "")?;
        let said = create.and_then(|event| {
            serde_json::from_str::<bool>(event.pdu.content_field("m.federate")?.get()).ok()
        });
        Ok(said.unwrap_or(true))
    }

    /// A text in the content of a state event, if it is there and not empty.
    fn text_of(&mut self, kind: &str, name: &str) -> Result<Option<String>> {
        let text = self.now_event(kind, "")?.and_then(|event| event.pdu.content_str(name));
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// The plain text of the topic.
    fn topic(&mut self) -> Result<Option<String>> {
        let Some(event) = self.now_event("m.room.topic", "")? else { return Ok(None) };
        let topic = plain_topic(&event.pdu).or_else(|| event.pdu.content_str("topic"));
        Ok(topic.filter(|topic| !topic.is_empty()))
    }
}

/// The plain text among the forms of a topic
/// ([`m.topic`](https://spec.matrix.org/v1.19/client-server-api/#mroomtopic)).
pub fn plain_topic(pdu: &Pdu) -> Option<String> {
    #[derive(Deserialize)]
    struct Forms<'a> {
        #[serde(rename = "m.text", borrow)]
        text: Vec<&'a RawValue>,
    }
    let forms: Forms<'_> = serde_json::from_str(pdu.content_field("m.topic")?.get()).ok()?;
    let mut forms =
        forms.text.iter().filter_map(|form| serde_json::from_str::<Form>(form.get()).ok());
    forms.find(|form| form.mimetype == "text/plain").map(|form| form.body)
}

fn is_short(text: &str) -> bool {
    text.len() <= MAX_TEXT
}

/// At most so many characters of a text.
fn shortened(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}
