//! How is the server's shared database asked, on Workers?
//!
//! [The D1 API](https://developers.cloudflare.com/d1/worker-api/). Rows arrive as objects keyed by
//! column, because only then do the billed units come with them.

use js_sys::{Array, Object};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{
    Env,
    worker_sys::types::{D1Database, D1PreparedStatement, D1Result},
};

use super::{
    isolate::meter,
    javascript::reason,
    sql::{Row, bindings},
};
use crate::{SqlError, Statement, Value};

/// The binding.
const BINDING: &str = "DB";

/// The server's D1 database: each call is a hop away and a transaction of its own.
#[derive(Clone)]
pub struct D1 {
    env: Env,
}

impl D1 {
    pub(super) fn of(env: &Env) -> Self {
        Self { env: env.clone() }
    }

    /// Every row that the statement gives. The columns have different names, none of them a number.
    pub async fn rows<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let statement = prepare(&self.database()?, sql, values)?;
        let result = JsFuture::from(statement.all().map_err(database)?).await.map_err(database)?;
        let result: D1Result = result.unchecked_into();
        count(&result)?;
        let rows = result.results().map_err(database)?.unwrap_or_default();
        // Two columns of one name would be one here; the simulator refuses them.
        rows.iter().map(|row| read(&Row(&Object::values(row.unchecked_ref())))).collect()
    }

    /// The first row, if there is one.
    pub async fn row<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        self.rows(sql, values, read).await.map(|rows| rows.into_iter().next())
    }

    /// Runs the statement; zero exactly when nothing changed.
    pub async fn run(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        let statement = prepare(&self.database()?, sql, values)?;
        let result = JsFuture::from(statement.run().map_err(database)?).await.map_err(database)?;
        count(&result.unchecked_into())
    }

    /// Runs all statements or none, in one transaction; how much each wrote.
    pub async fn batch(&self, statements: &[Statement<'_>]) -> Result<Vec<u64>, SqlError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let d1 = self.database()?;
        let prepared =
            statements.iter().map(|statement| prepare(&d1, statement.sql, statement.values));
        let prepared: Array =
            prepared.collect::<Result<Vec<_>, _>>()?.into_iter().map(JsValue::from).collect();
        let results =
            JsFuture::from(d1.batch(prepared).map_err(database)?).await.map_err(database)?;
        results
            .unchecked_into::<Array>()
            .iter()
            .map(|result| count(&result.unchecked_into()))
            .collect()
    }

    fn database(&self) -> Result<D1Database, SqlError> {
        meter().count(|units| units.d1_calls += 1);
        let binding =
            self.env.d1(BINDING).map_err(|error| SqlError::Unreachable(error.to_string()))?;
        Ok(JsValue::from(binding).unchecked_into())
    }
}

fn prepare(
    d1: &D1Database,
    sql: &str,
    values: &[Value<'_>],
) -> Result<D1PreparedStatement, SqlError> {
    Value::check(values)?;
    let statement = d1.prepare(sql).map_err(database)?;
    if values.is_empty() {
        Ok(statement)
    } else {
        statement.bind(bindings(values)).map_err(database)
    }
}

/// Counts what the statement is billed for; how much it wrote.
fn count(result: &D1Result) -> Result<u64, SqlError> {
    let meta = result.meta().map_err(database)?;
    let number = |name: &str| {
        js_sys::Reflect::get(&meta, &name.into()).ok().and_then(|value| value.as_f64())
    };
    let (read, written) =
        (number("rows_read").unwrap_or(0.0) as u64, number("rows_written").unwrap_or(0.0) as u64);
    meter().count(|units| {
        units.d1_rows_read += read;
        units.d1_rows_written += written;
    });
    Ok(written)
}

/// D1 says `D1_ERROR: … SQLITE_…` when SQLite declined; anything else happened on the way.
fn database(error: JsValue) -> SqlError {
    let reason = reason(&error);
    if reason.contains("SQLITE_") {
        SqlError::Database(reason)
    } else {
        SqlError::Unreachable(reason)
    }
}
