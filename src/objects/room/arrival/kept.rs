//! Where does a large answer of another server wait until its events can be verified?
//!
//! The answer may be larger than what a Worker can hold. The room keeps its text in parts of a few events each, and
//! gives the events back in the order in which they can be stored. Parts that nobody deletes go when their time is up
//! and the next answer comes.

use tombolo_platform::values;

use crate::{
    objects::room::{
        Result, Room,
        messages::{ForgetKept, Keep, Kept, Refusal},
    },
    shell::Stop,
};

/// Keeps some parts of an answer.
pub fn keep(room: &mut Room<'_>, message: Keep) -> Result<()> {
    room.sql.run("DELETE FROM kept WHERE until < ?", values![room.moment.now])?;
    for (part, text) in (message.first..).zip(&message.parts) {
        room.sql.run(
            "INSERT INTO kept (answer, part, until, text) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET until = excluded.until, text = excluded.text",
            values![message.answer, part, message.until, text],
        )?;
    }
    Ok(())
}

/// Reads texts back.
pub fn kept(room: &mut Room<'_>, message: Kept) -> Result<Vec<String>> {
    let mut part: Option<(u32, String)> = None;
    let mut texts = Vec::with_capacity(message.places.len());
    for place in message.places {
        let held = part.take().filter(|(number, _)| *number == place.part);
        let (number, text) = match held {
            Some(held) => held,
            None => (place.part, room.kept_part(message.answer, place.part)?),
        };
        let end = place.start.saturating_add(place.length) as usize;
        let found = text.get(place.start as usize..end);
        texts.push(found.ok_or(Stop::Refused(Refusal::NotFound))?.to_owned());
        part = Some((number, text));
    }
    Ok(texts)
}

/// Deletes an answer of which nothing is needed any more.
pub fn forget(room: &mut Room<'_>, message: ForgetKept) -> Result<()> {
    room.sql.run("DELETE FROM kept WHERE answer = ?", values![message.answer])?;
    Ok(())
}

impl Room<'_> {
    /// Deletes all parts, which earlier attempts to join left.
    pub fn forget_all_kept(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM kept", values![])?;
        Ok(())
    }

    fn kept_part(&mut self, answer: i64, part: u32) -> Result<String> {
        let query = "SELECT text FROM kept WHERE answer = ? AND part = ?";
        let text = self.sql.row(query, values![answer, part], |row| row.text(0))?;
        text.ok_or(Stop::Refused(Refusal::NotFound))
    }
}
