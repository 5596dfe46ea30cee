//! What do the types that both halves share promise?
#![cfg(not(target_arch = "wasm32"))]

use std::cell::Cell;

use tombolo_platform::{Isolate, MAX_INTEGER, Memory, Moment, Sql, SqlError, Value, values};

#[test]
fn the_same_moment_draws_the_same_dice_in_the_same_order() {
    let draw = |seed| {
        let moment = Moment::new(5, [seed; 32]);
        [moment.draw(), moment.draw()]
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1)[0], draw(1)[1]);
    assert_ne!(draw(1), draw(2));
}

#[test]
fn memory_keeps_one_state_of_each_type() {
    let memory = Memory::default();
    memory.with(|number: &mut u32| {
        *number = 7;
        memory.with(|text: &mut String| text.push('x'));
    });
    assert_eq!(memory.with(|number: &mut u32| *number), 7);
    assert_eq!(memory.with(|text: &mut String| text.clone()), "x");
    memory.clear();
    assert!(memory.is_empty());
    assert_eq!(memory.with(|number: &mut u32| *number), 0);
}

#[test]
fn an_isolate_can_make_one_value_of_another() {
    let isolate = Isolate::default();
    let made = isolate.of(|| Cell::new(isolate.of(|| 7_u32).wrapping_add(1)));
    assert_eq!(made.get(), 8);
    made.set(9);
    assert_eq!(isolate.of(|| Cell::new(0_u32)).get(), 9);
}

#[test]
fn values_are_made_of_what_rust_has() {
    let (text, bytes) = ("text".to_owned(), vec![1, 2]);
    let made = values![1_i64, 2_u64, true, &text, "str", &bytes, Some(3_i64), None::<&str>];
    let expected = [
        Value::Int(1),
        Value::Int(2),
        Value::Int(1),
        Value::Text("text"),
        Value::Text("str"),
        Value::Blob(&[1, 2]),
        Value::Int(3),
        Value::Null,
    ];
    assert_eq!(made, expected);
}

#[test]
fn an_integer_that_javascript_cannot_carry_is_not_read_either() {
    let sql = Sql::open_in_memory().unwrap();
    let read = |select: &str| sql.row(select, &[], |row| row.int(0));
    assert_eq!(read("SELECT 9007199254740991"), Ok(Some(MAX_INTEGER - 1)));
    assert_eq!(read("SELECT 9007199254740992"), Err(SqlError::IntegerRange(MAX_INTEGER)));
}

#[test]
fn a_statement_can_be_prepared_without_being_run() {
    let sql = Sql::open_in_memory().unwrap();
    sql.script("CREATE TABLE a (x INTEGER, y TEXT)").unwrap();
    assert_eq!(sql.columns("SELECT x, y AS z FROM a").unwrap(), ["x", "z"]);
    assert_eq!(sql.columns("INSERT INTO a VALUES (?, ?)").unwrap(), [""; 0]);
    assert!(sql.columns("SELECT missing FROM a").is_err());
    assert_eq!(sql.row("SELECT count(*) FROM a", &[], |row| row.int(0)), Ok(Some(0)));
}
