//! How is the server's shared database asked, natively?

use std::{collections::BTreeSet, rc::Rc};

use super::{executor::hop, server::ServerState, simulation::Core, sql::Row};
use crate::{SqlError, Statement, Value};

/// The server's D1 database: each call is a hop away and a transaction of its own.
#[derive(Clone)]
pub struct D1 {
    pub(super) core: Rc<Core>,
    pub(super) server: Rc<ServerState>,
}

impl D1 {
    /// Every row that the statement gives. The columns have different names, none of them a number.
    pub async fn rows<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let names = || self.server.d1.columns(sql).and_then(|names| check_names(&names));
        self.call(|| names().and_then(|()| self.server.d1.rows(sql, values, read))).await
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
        self.call(|| self.server.d1.run(sql, values)).await
    }

    /// Runs all statements or none, in one transaction; how much each wrote.
    pub async fn batch(&self, statements: &[Statement<'_>]) -> Result<Vec<u64>, SqlError> {
        let d1 = &self.server.d1;
        let all =
            || statements.iter().map(|statement| d1.run(statement.sql, statement.values)).collect();
        self.call(all).await
    }

    async fn call<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        hop().await;
        if self.core.dice.per_mille(self.core.faults.get().lost_d1) {
            return Err(SqlError::Unreachable("the call was lost".to_owned()));
        }
        self.server.meter.count(|units| units.d1_calls += 1);
        let outcome = self.server.d1.transaction(work, |_| true);
        hop().await;
        outcome
    }
}

/// On Workers a row arrives as a JavaScript object, which keeps one value for a name and sorts numbers first.
fn check_names(names: &[String]) -> Result<(), SqlError> {
    let distinct: BTreeSet<&String> = names.iter().collect();
    let numbers = names.iter().any(|name| name.parse::<u64>().is_ok());
    if distinct.len() < names.len() || numbers {
        return Err(SqlError::Database(format!("D1 would lose columns named {names:?}")));
    }
    Ok(())
}
