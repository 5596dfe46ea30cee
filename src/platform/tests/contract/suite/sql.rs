//! What goes into an object's database, and what comes out?

use tombolo_platform::{AskError, Fault, Object, SqlError, Value, World, values};

use super::{Outcome, fresh_shelf, holds, messages::*, same, text};

/// A row of every type, there and back.
pub fn types(object: &Object<'_>) -> Result<Result<(), String>, Fault> {
    let sql = object.sql;
    sql.script("CREATE TABLE every (i INTEGER, t TEXT, b BLOB, n INTEGER)")?;
    let (most, name, bytes) = ((1_i64 << 53) - 1, "ü\u{0}𝄞'", [0_u8, 255, 10]);
    let put = "INSERT INTO every VALUES (?, ?, ?, ?)";
    sql.run(put, values![most, name, &bytes, None::<i64>])?;
    sql.run(put, values![-most, "", &[0_u8; 0], Some(0_u64)])?;
    let rows = sql.rows("SELECT i, t, b, n FROM every ORDER BY i DESC", &[], |row| {
        Ok((row.int(0)?, row.text(1)?, row.blob(2)?, row.int_or_null(3)?))
    })?;
    let expected = vec![
        (most, name.to_owned(), bytes.to_vec(), None),
        (-most, String::new(), Vec::new(), Some(0)),
    ];
    let nulls = sql.row("SELECT NULL, NULL, NULL", &[], |row| {
        Ok((row.int_or_null(0)?, row.text_or_null(1)?, row.blob_or_null(2)?))
    })?;
    Ok(same("rows", rows, expected)
        .and_then(|()| same("nulls", nulls, Some((None, None, None))))
        .and_then(|()| wrong(object)))
}

/// What is no such type.
fn wrong(object: &Object<'_>) -> Outcome {
    let read = |sql: &str, read: fn(&tombolo_platform::Row<'_>) -> Result<(), SqlError>| {
        object.sql.row(sql, &[], read).err()
    };
    let column = |index, wanted| Some(SqlError::Column { index, wanted });
    same("text as int", read("SELECT 'x'", |row| row.int(0).map(drop)), column(0, "integer"))?;
    same("real as int", read("SELECT 1.5", |row| row.int(0).map(drop)), column(0, "integer"))?;
    same("null as int", read("SELECT NULL", |row| row.int(0).map(drop)), column(0, "integer"))?;
    same("int as text", read("SELECT 1, 2", |row| row.text(1).map(drop)), column(1, "text"))?;
    same("blob as text", read("SELECT x'00'", |row| row.text(0).map(drop)), column(0, "text"))?;
    same("text as blob", read("SELECT 'x'", |row| row.blob(0).map(drop)), column(0, "blob"))?;
    let missing = read("SELECT 1", |row| row.int(1).map(drop));
    holds("a column that is not there", &missing, missing.is_some())
}

pub async fn values_come_back_as_they_went_in(world: World) -> Outcome {
    world.ask(&fresh_shelf(&world, "types"), &Types {}).await.map_err(text)
}

pub async fn a_column_of_another_type_is_an_error(world: World) -> Outcome {
    // `Types` refuses unless each wrong type is an error; a second table of that name is one too.
    let shelf = fresh_shelf(&world, "types");
    world.ask(&shelf, &Types {}).await.map_err(text)?;
    let again = world.ask(&shelf, &Types {}).await;
    holds(
        "a table that exists",
        &again,
        matches!(&again, Err(AskError::Unreachable(why)) if why.contains("exists")),
    )
}

pub async fn integers_stay_below_two_to_the_53rd(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "integers");
    let most = (1_i64 << 53) - 1;
    same("largest", world.ask(&shelf, &Integer { value: most }).await.map_err(text)?, most)?;
    for value in [most + 1, -most - 1, i64::MIN] {
        let outcome = world.ask(&shelf, &Integer { value }).await;
        let refused = SqlError::IntegerRange(value).to_string();
        same("too large", outcome, Err(AskError::Refused(refused)))?;
    }
    same("unsigned", Value::from(u64::MAX), Value::Int(i64::MAX))
}

async fn query(
    world: &World,
    sql: impl Into<String>,
    parameters: usize,
) -> Result<usize, AskError<String>> {
    world.ask(&fresh_shelf(world, "query"), &Query { sql: sql.into(), parameters }).await
}

pub async fn an_integer_without_affinity_is_a_real(world: World) -> Outcome {
    let real = "SELECT 1 WHERE typeof(?) = 'real' AND ? / 2 = 0.5 AND json_array(?) = '[1.0]'";
    same("bare", query(&world, real, 3).await, Ok(1))?;
    let cast = "SELECT 1 WHERE typeof(CAST(? AS INTEGER)) = 'integer' AND json_array(CAST(? AS INTEGER)) = '[1]'";
    same("cast", query(&world, cast, 2).await, Ok(1))
}

pub async fn more_than_a_hundred_parameters_are_refused(world: World) -> Outcome {
    let list = |count: usize| format!("SELECT 1 WHERE 1 IN ({})", vec!["?"; count].join(", "));
    same("100", query(&world, list(100), 100).await, Ok(1))?;
    let refused = AskError::Refused(SqlError::TooManyParameters(101).to_string());
    same("101", query(&world, list(101), 101).await, Err(refused))
}

pub async fn the_limits_of_statements_hold(world: World) -> Outcome {
    let allowed = [
        ["SELECT 1"; 5].join(" UNION ALL "),
        format!("SELECT {}", vec!["1"; 100].join(", ")),
        format!("SELECT 'a' LIKE '{}'", "a".repeat(50)),
        format!("SELECT '{}'", "a".repeat(99_000)),
    ];
    for sql in allowed {
        same(&sql[..30], query(&world, sql.clone(), 0).await.map(|rows| rows.min(1)), Ok(1))?;
    }
    let refused = [
        ["SELECT 1"; 6].join(" UNION ALL "),
        format!("SELECT {}", vec!["1"; 101].join(", ")),
        format!("SELECT 'a' LIKE '{}'", "a".repeat(51)),
        format!("SELECT '{}'", "a".repeat(100_001)),
        format!("SELECT {}", vec!["1"; 102].join(" + ")),
        "SELECT length(zeroblob(5000000))".to_owned(),
    ];
    for sql in refused {
        let outcome = query(&world, sql.clone(), 0).await;
        holds(&sql[..30], &outcome, matches!(outcome, Err(AskError::Refused(_))))?;
    }
    Ok(())
}

pub async fn transactions_are_left_to_the_host(world: World) -> Outcome {
    for sql in
        ["BEGIN", "SAVEPOINT a", "  commit", "ATTACH ':memory:' AS other", "PRAGMA user_version"]
    {
        let outcome = query(&world, sql, 0).await;
        holds(sql, &outcome, matches!(outcome, Err(AskError::Refused(_))))?;
    }
    Ok(())
}

pub async fn rows_written_are_none_exactly_when_nothing_changed(world: World) -> Outcome {
    let statements = [
        ("CREATE TABLE w (a INTEGER PRIMARY KEY, b TEXT)", None),
        ("INSERT INTO w VALUES (1, 'x')", Some(true)),
        ("INSERT OR IGNORE INTO w VALUES (1, 'y')", Some(false)),
        ("UPDATE w SET b = 'z' WHERE a = 2", Some(false)),
        ("UPDATE w SET b = 'z' WHERE a = 1", Some(true)),
        ("INSERT INTO w VALUES (1, 'x') ON CONFLICT (a) DO NOTHING", Some(false)),
        ("INSERT INTO w VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET b = excluded.b", Some(true)),
        ("SELECT * FROM w", Some(false)),
        ("DELETE FROM w WHERE a = 2", Some(false)),
        ("DELETE FROM w WHERE a = 1", Some(true)),
        ("DELETE FROM w", Some(false)),
    ];
    let sqls = statements.iter().map(|(sql, _)| (*sql).to_owned()).collect();
    let wrote = world
        .ask(&fresh_shelf(&world, "writes"), &Writes { statements: sqls })
        .await
        .map_err(text)?;
    for ((sql, expected), wrote) in statements.iter().zip(wrote) {
        holds(sql, wrote, expected.is_none_or(|changed| changed == (wrote > 0)))?;
    }
    Ok(())
}

pub async fn returning_gives_rows(world: World) -> Outcome {
    let shelf = fresh_shelf(&world, "returning");
    same("insert", world.ask(&shelf, &Integer { value: 5 }).await.map_err(text)?, 5)?;
    let sql = "UPDATE integers SET value = value + ? RETURNING value".to_owned();
    same("update", world.ask(&shelf, &Query { sql, parameters: 1 }).await.map_err(text)?, 1)
}

pub async fn foreign_keys_hold(world: World) -> Outcome {
    let statements = [
        "CREATE TABLE parent (a INTEGER PRIMARY KEY)",
        "CREATE TABLE child (a REFERENCES parent (a))",
        "INSERT INTO child VALUES (9)",
    ];
    let statements = statements.iter().map(|sql| (*sql).to_owned()).collect();
    let outcome = world.ask(&fresh_shelf(&world, "keys"), &Writes { statements }).await;
    holds(
        "orphan",
        &outcome,
        matches!(&outcome, Err(AskError::Refused(why)) if why.contains("FOREIGN KEY")),
    )
}
