//! Which values go into a statement and which errors come out?
//!
//! The limits are those of Workers ([Durable Objects], [D1]), enforced on both halves so that a
//! native test meets them first.
//!
//! [Durable Objects]: https://developers.cloudflare.com/durable-objects/platform/limits/
//! [D1]: https://developers.cloudflare.com/d1/platform/limits/

/// At most this many parameters may be bound to one statement.
pub const MAX_PARAMETERS: usize = 100;

/// Integers cross JavaScript as doubles and must stay below this.
pub const MAX_INTEGER: i64 = 1 << 53;

/// One parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// SQL's `NULL`.
    Null,
    /// An integer below 2^53, else the statement fails. It arrives as a REAL: write
    /// `CAST(? AS INTEGER)` where neither a column nor a comparison makes it an integer.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// Why a statement failed, or a column could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The column holds something else.
    #[error("column {index} is no {wanted}")]
    Column {
        /// Which column, from 0.
        index: usize,
        /// What was asked for.
        wanted: &'static str,
    },
    /// An integer that JavaScript cannot carry.
    #[error("the integer {0} does not stay below 2^53")]
    IntegerRange(i64),
    /// More than 100 parameters.
    #[error("{0} parameters are more than {MAX_PARAMETERS}")]
    TooManyParameters(usize),
    /// The database declined: a constraint, a syntax error, a limit.
    #[error("{0}")]
    Database(String),
    /// The database could not be asked (D1 only): the statement may or may not have taken effect.
    #[error("the database is unreachable: {0}")]
    Unreachable(String),
}

impl<'a> Value<'a> {
    /// Checks what every statement's parameters must satisfy.
    pub(crate) fn check(values: &[Value<'a>]) -> Result<(), SqlError> {
        if values.len() > MAX_PARAMETERS {
            return Err(SqlError::TooManyParameters(values.len()));
        }
        let integers = values
            .iter()
            .filter_map(|value| if let Value::Int(i) = value { Some(*i) } else { None });
        integers.map(checked).find_map(Result::err).map_or(Ok(()), Err)
    }
}

/// The integer, if JavaScript carries it exactly.
pub(crate) fn checked(integer: i64) -> Result<i64, SqlError> {
    if integer.unsigned_abs() < MAX_INTEGER.unsigned_abs() {
        Ok(integer)
    } else {
        Err(SqlError::IntegerRange(integer))
    }
}

/// Parameters for a statement, each converted by [`From`].
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::Value::from($value)),*] as &[$crate::Value<'_>] };
}

macro_rules! integers {
    ($($kind:ty),*) => { $(
        impl From<$kind> for Value<'_> {
            fn from(value: $kind) -> Self {
                Value::Int(i64::from(value))
            }
        }
    )* };
}
integers!(i64, i32, u32, u16, u8, bool);

// What no i64 holds becomes the largest one, which no statement accepts.
impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value<'_> {
    fn from(value: usize) -> Self {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Value::Blob(value)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Value::Blob(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Value::Blob(value)
    }
}

impl<'a, T> From<Option<T>> for Value<'a>
where
    Value<'a>: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Value::from)
    }
}
