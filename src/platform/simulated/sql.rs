//! How does an object read and write its own database, natively?
//!
//! SQLite in memory, under the limits of Workers.

use std::rc::Rc;

use rusqlite::{
    Connection, ToSql,
    config::DbConfig,
    limits::Limit,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    SqlError, Value,
    units::{Meter, Units},
    value::checked,
};

/// Statements kept prepared for each database.
const CACHED_STATEMENTS: usize = 256;

/// Workers' limits on statements, where SQLite's own are wider.
const LIMITS: [(Limit, i32); 9] = [
    (Limit::SQLITE_LIMIT_LENGTH, 2_000_000),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
];

/// Statements that belong to the host: it opens and ends the transaction.
const RESERVED: [&str; 9] =
    ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "PRAGMA"];

/// One object's database. Cheap to clone.
#[derive(Clone)]
pub struct Sql {
    connection: Rc<Connection>,
    meter: Rc<Meter>,
    add: fn(&mut Units, u64, u64),
}

/// One row of a result; columns count from 0.
pub struct Row<'a>(&'a rusqlite::Row<'a>);

impl Sql {
    /// An empty database of its own, for tests of an object's functions.
    pub fn open_in_memory() -> Result<Self, SqlError> {
        Self::for_object(Rc::default())
    }

    pub(super) fn for_object(meter: Rc<Meter>) -> Result<Self, SqlError> {
        Self::open(meter, |units, read, written| {
            units.rows_read += read;
            units.rows_written += written;
        })
    }

    pub(super) fn for_d1(meter: Rc<Meter>) -> Result<Self, SqlError> {
        Self::open(meter, |units, read, written| {
            units.d1_rows_read += read;
            units.d1_rows_written += written;
        })
    }

    fn open(meter: Rc<Meter>, add: fn(&mut Units, u64, u64)) -> Result<Self, SqlError> {
        let connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        // A statement is planned once, not once for each value that is bound.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        for (limit, value) in LIMITS {
            connection.set_limit(limit, value)?;
        }
        Ok(Self { connection: Rc::new(connection), meter, add })
    }

    /// Every row that the statement gives, each read by `read`, which runs no statement of its own.
    pub fn rows<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        Value::check(values)?;
        refuse_reserved(sql)?;
        let before = self.connection.total_changes();
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut cursor = statement.query(rusqlite::params_from_iter(values))?;
        let mut out = Vec::new();
        while let Some(row) = cursor.next()? {
            out.push(read(&Row(row))?);
        }
        self.count(out.len() as u64, before);
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

    /// Runs the statement. The number is zero exactly when nothing changed; on Workers it counts
    /// the entries of indexes too.
    pub fn run(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        Value::check(values)?;
        refuse_reserved(sql)?;
        let before = self.connection.total_changes();
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut cursor = statement.query(rusqlite::params_from_iter(values))?;
        while cursor.next()?.is_some() {}
        Ok(self.count(0, before))
    }

    /// Runs several statements without values, as a step of a schema has them.
    pub fn script(&self, sql: &str) -> Result<(), SqlError> {
        refuse_reserved(sql)?;
        let before = self.connection.total_changes();
        self.connection.execute_batch(sql)?;
        self.count(0, before);
        Ok(())
    }

    /// Whether the database holds any table. An object that nobody wrote to has none.
    pub fn exists(&self) -> Result<bool, SqlError> {
        self.row("SELECT 1 FROM sqlite_master WHERE type = 'table' LIMIT 1", &[], |row| row.int(0))
            .map(|table| table.is_some())
    }

    /// Runs `work` in one transaction, which is kept if `keep` says so of its result.
    pub(super) fn transaction<T, E: From<SqlError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
        keep: impl FnOnce(&T) -> bool,
    ) -> Result<T, E> {
        self.connection.execute_batch("BEGIN").map_err(SqlError::from)?;
        let outcome = work();
        let kept = outcome.as_ref().is_ok_and(keep);
        let end = if kept { "COMMIT" } else { "ROLLBACK" };
        self.connection.execute_batch(end).map_err(SqlError::from)?;
        outcome
    }

    /// The names of the columns that the statement gives, without running it: a test of a schema
    /// prepares every statement this way.
    pub fn columns(&self, sql: &str) -> Result<Vec<String>, SqlError> {
        let statement = self.connection.prepare_cached(sql)?;
        Ok(statement.column_names().map(str::to_owned).collect())
    }

    fn count(&self, read: u64, changes_before: u64) -> u64 {
        let written = self.connection.total_changes() - changes_before;
        self.meter.count(|units| (self.add)(units, read, written));
        written
    }
}

impl Row<'_> {
    /// An integer.
    pub fn int(&self, index: usize) -> Result<i64, SqlError> {
        self.int_or_null(index)?.ok_or(SqlError::Column { index, wanted: "integer" })
    }

    /// An integer or `NULL`.
    pub fn int_or_null(&self, index: usize) -> Result<Option<i64>, SqlError> {
        match self.column(index)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(integer) => checked(integer).map(Some),
            // JavaScript does not tell 5.0 from 5, so neither may a native test.
            ValueRef::Real(number) if number.fract() == 0.0 => checked(number as i64).map(Some),
            _ => Err(SqlError::Column { index, wanted: "integer" }),
        }
    }

    /// Text.
    pub fn text(&self, index: usize) -> Result<String, SqlError> {
        self.text_or_null(index)?.ok_or(SqlError::Column { index, wanted: "text" })
    }

    /// Text or `NULL`.
    pub fn text_or_null(&self, index: usize) -> Result<Option<String>, SqlError> {
        let wrong = SqlError::Column { index, wanted: "text" };
        match self.column(index)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => {
                std::str::from_utf8(text).map(|text| Some(text.to_owned())).map_err(|_| wrong)
            }
            _ => Err(wrong),
        }
    }

    /// Bytes.
    pub fn blob(&self, index: usize) -> Result<Vec<u8>, SqlError> {
        self.blob_or_null(index)?.ok_or(SqlError::Column { index, wanted: "blob" })
    }

    /// Bytes or `NULL`.
    pub fn blob_or_null(&self, index: usize) -> Result<Option<Vec<u8>>, SqlError> {
        match self.column(index)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes.to_vec())),
            _ => Err(SqlError::Column { index, wanted: "blob" }),
        }
    }

    fn column(&self, index: usize) -> Result<ValueRef<'_>, SqlError> {
        self.0.get_ref(index).map_err(SqlError::from)
    }
}

fn refuse_reserved(sql: &str) -> Result<(), SqlError> {
    let first =
        sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    match RESERVED.iter().find(|word| first.eq_ignore_ascii_case(word)) {
        Some(word) => Err(SqlError::Database(format!("{word} is left to the host"))),
        None => Ok(()),
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            // Workers binds JavaScript's numbers, which SQLite takes for REAL: a column of INTEGER
            // affinity turns them back, an expression such as `? / 2` or `json_array(?)` does not.
            Value::Int(integer) => ValueRef::Real(*integer as f64),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}
