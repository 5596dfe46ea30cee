//! How does an object read and write its own database, on Workers?
//!
//! [The SQL API](https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/#sql-api).
//! Rows are read as arrays, by cursor; the platform keeps statements prepared by their text.

use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use worker::worker_sys::{DurableObjectStorage, SqlStorage, SqlStorageCursor};

use super::{
    isolate::meter,
    javascript::{Storage, reason},
};
use crate::{SqlError, Value, units::Meter, value::checked};

/// One object's database. Cheap to clone.
#[derive(Clone)]
pub struct Sql {
    storage: SqlStorage,
    meter: Rc<Meter>,
}

/// One row of a result; columns count from 0.
pub struct Row<'a>(pub(super) &'a Array);

impl Sql {
    pub(super) fn of(storage: &DurableObjectStorage) -> Self {
        Self { storage: storage.sql(), meter: meter() }
    }

    /// Every row that the statement gives, each read by `read`, which runs no statement of its own.
    pub fn rows<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let cursor = self.exec(sql, values)?;
        let rows = cursor.raw();
        let mut out = Vec::new();
        loop {
            let next = rows.next().map_err(database)?;
            if next.done() {
                break;
            }
            out.push(read(&Row(next.value().unchecked_ref()))?);
        }
        self.count(&cursor);
        Ok(out)
    }

    /// The first row, if there is one.
    pub fn row<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        self.rows(sql, values, read).map(|rows| rows.into_iter().next())
    }

    /// Runs the statement. The number is zero exactly when nothing changed; it counts the entries
    /// of indexes too.
    pub fn run(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        let cursor = self.exec(sql, values)?;
        let rows = cursor.raw();
        while !rows.next().map_err(database)?.done() {}
        self.count(&cursor);
        Ok(cursor.rows_written() as u64)
    }

    /// Runs several statements without values, as a step of a schema has them.
    pub fn script(&self, sql: &str) -> Result<(), SqlError> {
        self.run(sql, &[]).map(drop)
    }

    /// Whether the database holds any table. An object that nobody wrote to has none.
    pub fn exists(&self) -> Result<bool, SqlError> {
        // The platform keeps the alarm in a table of its own.
        let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 4) <> '_cf_' LIMIT 1";
        self.row(table, &[], |row| row.int(0)).map(|table| table.is_some())
    }

    fn exec(&self, sql: &str, values: &[Value<'_>]) -> Result<SqlStorageCursor, SqlError> {
        Value::check(values)?;
        self.storage.exec(sql, bindings(values)).map_err(database)
    }

    fn count(&self, cursor: &SqlStorageCursor) {
        let (read, written) = (cursor.rows_read() as u64, cursor.rows_written() as u64);
        self.meter.count(|units| {
            units.rows_read += read;
            units.rows_written += written;
        });
    }
}

/// Runs `work` in one transaction, which is kept if `keep` says so of its result.
pub(super) fn transaction<T, E: From<SqlError>>(
    storage: &DurableObjectStorage,
    work: impl FnOnce() -> Result<T, E>,
    keep: impl FnOnce(&T) -> bool,
) -> Result<T, E> {
    let (mut work, mut outcome) = (Some((work, keep)), None);
    // A throw is how JavaScript is told to roll back.
    let mut run = || -> Result<JsValue, JsValue> {
        let done = work.take().map(|(work, keep)| {
            let result = work();
            let kept = result.as_ref().is_ok_and(keep);
            (result, kept)
        });
        let kept = matches!(done, Some((_, true)));
        outcome = done;
        if kept { Ok(JsValue::UNDEFINED) } else { Err(JsValue::from_str("rolled back")) }
    };
    let called = storage.unchecked_ref::<Storage>().transaction_sync(&mut run);
    match (outcome, called) {
        (Some((result, false)), _) | (Some((result, true)), Ok(_)) => result,
        (_, Err(error)) => Err(database(error).into()),
        (None, Ok(_)) => Err(SqlError::Database("the transaction was not run".to_owned()).into()),
    }
}

/// The parameters as JavaScript takes them.
pub(super) fn bindings(values: &[Value<'_>]) -> Array {
    let array = Array::new();
    for value in values {
        array.push(&match value {
            Value::Null => JsValue::NULL,
            Value::Int(integer) => JsValue::from_f64(*integer as f64),
            Value::Text(text) => JsValue::from_str(text),
            Value::Blob(bytes) => Uint8Array::from(*bytes).into(),
        });
    }
    array
}

fn database(error: JsValue) -> SqlError {
    SqlError::Database(reason(&error))
}

impl Row<'_> {
    /// An integer.
    pub fn int(&self, index: usize) -> Result<i64, SqlError> {
        self.int_or_null(index)?.ok_or(SqlError::Column { index, wanted: "integer" })
    }

    /// An integer or `NULL`.
    pub fn int_or_null(&self, index: usize) -> Result<Option<i64>, SqlError> {
        let Some(column) = self.column(index)? else { return Ok(None) };
        let number = column.as_f64().filter(|number| number.fract() == 0.0);
        let number = number.ok_or(SqlError::Column { index, wanted: "integer" })?;
        checked(number as i64).map(Some)
    }

    /// Text.
    pub fn text(&self, index: usize) -> Result<String, SqlError> {
        self.text_or_null(index)?.ok_or(SqlError::Column { index, wanted: "text" })
    }

    /// Text or `NULL`.
    pub fn text_or_null(&self, index: usize) -> Result<Option<String>, SqlError> {
        let Some(column) = self.column(index)? else { return Ok(None) };
        column.as_string().map(Some).ok_or(SqlError::Column { index, wanted: "text" })
    }

    /// Bytes.
    pub fn blob(&self, index: usize) -> Result<Vec<u8>, SqlError> {
        self.blob_or_null(index)?.ok_or(SqlError::Column { index, wanted: "blob" })
    }

    /// Bytes or `NULL`.
    pub fn blob_or_null(&self, index: usize) -> Result<Option<Vec<u8>>, SqlError> {
        let Some(column) = self.column(index)? else { return Ok(None) };
        // Objects give buffers, D1 gives arrays of numbers.
        if column.is_instance_of::<ArrayBuffer>() || Array::is_array(&column) {
            return Ok(Some(Uint8Array::new(&column).to_vec()));
        }
        Err(SqlError::Column { index, wanted: "blob" })
    }

    /// The column's value; `None` is `NULL`.
    fn column(&self, index: usize) -> Result<Option<JsValue>, SqlError> {
        let place = u32::try_from(index).ok().filter(|place| *place < self.0.length());
        let place = place.ok_or(SqlError::Column { index, wanted: "column" })?;
        let value = self.0.get(place);
        Ok(Some(value).filter(|value| !value.is_null()))
    }
}
