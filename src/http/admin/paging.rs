//! Which part of a list does an operator ask for?

use serde_json::Value;

use crate::{
    error::{Result, invalid_param},
    http::query,
};

/// How many items a page has, unless the operator says it.
const USUAL: u32 = 100;

/// The part of a list that is asked for.
#[derive(Clone, Copy)]
pub struct Page {
    pub from: u32,
    pub limit: u32,
}

impl Page {
    /// Where the next page begins, if there is one after this one, which has so many items of so many.
    pub fn next(self, found: usize, total: u64) -> Option<u64> {
        let next = u64::from(self.from).saturating_add(found as u64);
        (found > 0 && next < total).then_some(next)
    }
}

/// Says in an answer where the next page begins, if there is one: as a number or as a text, as Synapse has it there.
pub fn note_next(answer: &mut Value, next: Option<impl Into<Value>>) {
    if let Some(next) = next {
        answer["next_token"] = next.into();
    }
}

/// A query of a list.
pub struct Paging(Vec<(String, String)>);

impl Paging {
    pub fn of(query: Option<&str>) -> Self {
        Self(query::pairs(query.unwrap_or_default()))
    }

    pub fn first(&self, name: &str) -> Option<&str> {
        query::first(&self.0, name)
    }

    /// A count, or this one where none is given.
    fn count(&self, name: &str, usual: u32) -> Result<u32> {
        match self.first(name) {
            Some(text) => text.parse().map_err(|_| invalid_param(format!("`{name}` is no count"))),
            None => Ok(usual),
        }
    }

    /// A time, if one is given (ms).
    pub fn time(&self, name: &str) -> Result<Option<u64>> {
        let time = self.first(name).map(str::parse::<u64>).transpose();
        let time = time.map_err(|_| invalid_param(format!("`{name}` is no time")))?;
        // SQL's integers end below that.
        Ok(time.map(|time| time.min(1 << 53)))
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.first(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid_param(format!("`{name}` is true or false"))),
        }
    }

    /// Whether the list is to go backwards.
    pub fn backwards(&self) -> Result<bool> {
        match self.first("dir") {
            None | Some("f") => Ok(false),
            Some("b") => Ok(true),
            Some(_) => Err(invalid_param("`dir` is f or b")),
        }
    }

    /// The page that is asked for, of at most so many items.
    pub fn page(&self, most: u32) -> Result<Page> {
        Ok(Page { from: self.count("from", 0)?, limit: self.count("limit", USUAL)?.min(most) })
    }

    /// What to search for, which is not empty.
    pub fn term(&self) -> Result<Option<&str>> {
        match self.first("search_term") {
            Some("") => Err(invalid_param("`search_term` is empty")),
            term => Ok(term),
        }
    }

    /// By what the list is ordered: one of these.
    pub fn order(&self, known: &[&'static str], usual: &'static str) -> Result<&'static str> {
        let Some(order) = self.first("order_by") else { return Ok(usual) };
        let found = known.iter().find(|known| **known == order).copied();
        found.ok_or_else(|| invalid_param("`order_by` is not known"))
    }
}
