//! Is the room published, and what has D1's copy of public rooms to hold of it?
//! ([published rooms](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory))
//!
//! Whether a room is published is a fact of the room. D1 has a copy for questions that name no room. Each telling works
//! out what the copy is to hold, and gives it a new version if that changed: so whoever writes the copy, in whatever
//! order, the newest stays.

use tombolo_platform::values;

use crate::{
    objects::room::{
        Result, Room, Telling,
        messages::{IsPublished, Known, Listing, Publish, Refusal, Summary},
        not_in_room,
        row::Life,
    },
    shell::Stop,
};

/// The state event whose level it takes to publish a room.
const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

/// The row of `directory`.
#[derive(Clone, Default, PartialEq, Eq)]
struct Held {
    published: bool,
    /// What the copy is to hold, as JSON; `None`: nothing yet.
    entry: Option<String>,
    version: i64,
    /// The version that the copy is known to hold.
    copied: i64,
}

/// Publishes the room, or does so no more; answers what the copy is to hold now, if that is not known to be there.
pub fn publish(room: &mut Room<'_>, message: Publish) -> Result<Option<Listing>> {
    room.live()?;
    if !message.admin {
        if !room.is_joined(&message.user)? {
            return Err(not_in_room());
        }
        let power = room.power_now()?;
        if !power.suffices(&message.user, power.send(CANONICAL_ALIAS, true)) {
            let reason = "it takes the power to set the room's canonical alias".to_owned();
            return Err(Stop::Refused(Refusal::Forbidden(reason)));
        }
    }
    room.set_published(message.published)?;
    room.listing_due()
}

/// Whether the room is published.
pub fn is_published(room: &mut Room<'_>, _: IsPublished) -> Result<bool> {
    let live = room.graph()?.life == Life::Live;
    Ok(live && room.listed()?.published)
}

impl Room<'_> {
    /// Notes whether the room is published, and has the copy told.
    pub fn set_published(&mut self, published: bool) -> Result<()> {
        let held = self.listed()?;
        if held.published != published {
            self.cache.listed_since = None;
            self.note_listed(&Held { published, ..held })?;
            self.tell(Telling::MakeSure);
        }
        Ok(())
    }

    /// What an operator finds the room by.
    pub fn known(&mut self) -> Result<Known> {
        let public = self.listed()?.published && self.row()?.life == Life::Live;
        Ok(Known { public, ..self.known_by_state()? })
    }

    /// What the copy is to hold, if it is not known to hold that already.
    pub fn listing_due(&mut self) -> Result<Option<Listing>> {
        let (held, since) = (self.listed()?, self.unchanged_since()?);
        if self.cache.listed_since == Some(since) && held.version == held.copied {
            return Ok(None);
        }
        let live = self.row()?.life == Life::Live;
        // A room that none of us is in is published no more, even if one returns.
        let published = held.published && live;
        let summary =
            if published { Some(self.summary()?).filter(Summary::is_listed) } else { None };
        let open = live && self.is_open()?;
        let is_held = !self.row()?.extremities.is_empty();
        let known = if is_held {
            Some(Known { public: published, ..self.known_by_state()? })
        } else {
            None
        };
        let listing = Listing { version: 0, open, summary, known };
        let entry = serde_json::to_string(&listing)?;
        let is_nothing = !open && listing.summary.is_none() && listing.known.is_none();
        let mut now = Held { published, ..held.clone() };
        if held.entry.as_ref().map_or(!is_nothing, |held| *held != entry) {
            now = Held { entry: Some(entry), version: held.version + 1, ..now };
        }
        if now != held {
            self.note_listed(&now)?;
        }
        self.cache.listed_since = Some(since);
        let due = now.version > now.copied;
        Ok(due.then_some(Listing { version: now.version, ..listing }))
    }

    /// Notes that the copy holds what this version says.
    pub fn note_copied(&mut self, version: i64) -> Result<()> {
        let held = self.listed()?;
        if version <= held.copied {
            Ok(())
        } else {
            self.note_listed(&Held { copied: version, ..held })
        }
    }

    /// Whether anybody may join the room, or read it.
    fn is_open(&mut self) -> Result<bool> {
        Ok(self.join_rule()? == "public" || self.is_world_readable()?)
    }

    fn listed(&mut self) -> Result<Held> {
        let query = "SELECT published, entry, version, copied FROM directory";
        let held = self.sql.row(query, values![], |row| {
            Ok(Held {
                published: row.int(0)? != 0,
                entry: row.text_or_null(1)?,
                version: row.int(2)?,
                copied: row.int(3)?,
            })
        })?;
        Ok(held.unwrap_or_default())
    }

    fn note_listed(&mut self, held: &Held) -> Result<()> {
        let write = "INSERT INTO directory (one, published, entry, version, copied) VALUES (1, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET published = excluded.published, entry = excluded.entry, version = excluded.version,
             copied = excluded.copied";
        let Held { published, entry, version, copied } = held;
        self.sql.run(write, values![*published, entry.as_deref(), *version, *copied])?;
        Ok(())
    }
}
