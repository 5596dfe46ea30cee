//! Which filters has the user stored?

use serde_json::value::RawValue;
use tombolo_platform::values;

use super::{Filter, Refusal, Result, SetFilter, User};
use crate::shell::Stop;

/// The most filters a user may store.
const MAX_FILTERS: i64 = 1000;

/// Stores a filter; the same text keeps its ID.
pub fn set(user: &mut User<'_>, message: SetFilter) -> Result<String> {
    user.exists()?;
    user.must_be_active()?;
    let text = message.filter.get();
    let held =
        user.sql.row("SELECT id FROM filters WHERE filter = ?", values![text], |row| row.int(0))?;
    if let Some(id) = held {
        return Ok(id.to_string());
    }
    let count =
        user.sql.row("SELECT count(*) FROM filters", values![], |row| row.int(0))?.unwrap_or(0);
    if count >= MAX_FILTERS {
        return Err(Stop::Refused(Refusal::Invalid("too many filters".to_owned())));
    }
    let id = user.sql.row(
        "INSERT INTO filters (filter) VALUES (?) RETURNING id",
        values![text],
        |row| row.int(0),
    )?;
    Ok(id.unwrap_or_default().to_string())
}

/// A stored filter.
pub fn filter(user: &mut User<'_>, message: Filter) -> Result<Box<RawValue>> {
    user.exists()?;
    let Ok(id) = message.filter_id.parse::<i64>() else {
        return Err(Stop::Refused(Refusal::NotFound));
    };
    let text =
        user.sql.row("SELECT filter FROM filters WHERE id = ?", values![id], |row| row.text(0))?;
    Ok(RawValue::from_string(text.ok_or(Stop::Refused(Refusal::NotFound))?)?)
}

impl User<'_> {
    /// Removes all filters.
    pub fn drop_filters(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM filters", values![])?;
        Ok(())
    }
}
