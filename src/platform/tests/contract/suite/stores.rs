//! What do D1 and KV keep?

use tombolo_platform::{KvError, MOST_KEYS, SqlError, Statement, World, values};

use super::{Outcome, fresh, holds, same, text};

async fn table(world: &World) -> Result<String, String> {
    let name = fresh(world, "contract");
    let create = format!("CREATE TABLE {name} (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c BLOB)");
    world.d1().run(&create, &[]).await.map_err(text)?;
    Ok(name)
}

pub async fn d1_gives_back_what_was_stored(world: World) -> Outcome {
    let (d1, table) = (world.d1(), table(&world).await?);
    let put = format!("INSERT INTO {table} VALUES (?, ?, ?)");
    let wrote = d1.run(&put, values![7_i64, "ü'", &[0_u8, 255]]).await.map_err(text)?;
    holds("written", wrote, wrote > 0)?;
    d1.run(&put, values![8_i64, None::<&str>, None::<&[u8]>]).await.map_err(text)?;
    let select = format!("SELECT a, b, c FROM {table} WHERE a >= ? ORDER BY a");
    let rows = d1
        .rows(&select, values![7_i64], |row| {
            Ok((row.int(0)?, row.text_or_null(1)?, row.blob_or_null(2)?))
        })
        .await
        .map_err(text)?;
    same("rows", rows, vec![(7, Some("ü'".to_owned()), Some(vec![0, 255])), (8, None, None)])?;
    same("none", d1.row(&select, values![9_i64], |row| row.int(0)).await, Ok(None))?;
    same("unchanged", d1.run(&format!("DELETE FROM {table} WHERE a = 99"), &[]).await, Ok(0))?;
    let wrong = d1.row(&select, values![7_i64], |row| row.text(0)).await;
    same("wrong type", wrong, Err(SqlError::Column { index: 0, wanted: "text" }))
}

pub async fn a_d1_batch_is_all_or_nothing(world: World) -> Outcome {
    let (d1, table) = (world.d1(), table(&world).await?);
    let put = format!("INSERT INTO {table} (a, b) VALUES (?, ?)");
    let count = format!("SELECT count(*) AS n FROM {table}");
    let one = Statement { sql: &put, values: values![1_i64, "x"] };
    let two = Statement { sql: &put, values: values![2_i64, "y"] };
    let clash = Statement { sql: &put, values: values![3_i64, "x"] };
    let failed = d1.batch(&[one, two, clash]).await;
    holds(
        "clash",
        &failed,
        matches!(&failed, Err(SqlError::Database(why)) if why.contains("UNIQUE")),
    )?;
    same("after", d1.row(&count, &[], |row| row.int(0)).await, Ok(Some(0)))?;
    let wrote = d1.batch(&[one, two]).await.map_err(text)?;
    holds("written", &wrote, wrote.len() == 2 && wrote.iter().all(|rows| *rows > 0))?;
    same("after", d1.row(&count, &[], |row| row.int(0)).await, Ok(Some(2)))?;
    same("empty", d1.batch(&[]).await, Ok(Vec::new()))
}

pub async fn d1_says_what_sqlite_declined(world: World) -> Outcome {
    let d1 = world.d1();
    let wrong = d1.run("SELECT FROM nothing", &[]).await;
    holds("syntax", &wrong, matches!(wrong, Err(SqlError::Database(_))))?;
    let ones = vec![tombolo_platform::Value::Int(1); 101];
    same("parameters", d1.run("SELECT ?", &ones).await, Err(SqlError::TooManyParameters(101)))?;
    let twice = d1.rows("SELECT 1 AS a, 2 AS a", &[], |row| row.int(1)).await;
    holds("two columns of one name", &twice, twice.is_err())
}

pub async fn kv_keeps_values_until_deleted(world: World) -> Outcome {
    let (kv, key) = (world.kv(), fresh(&world, "key ü/"));
    same("before", kv.get(&key).await, Ok(None))?;
    kv.put(&key, &[0, 255, 10], Some(60)).await.map_err(text)?;
    same("with a time to live", kv.get(&key).await, Ok(Some(vec![0, 255, 10].into())))?;
    kv.put(&key, b"forever", None).await.map_err(text)?;
    same("without", kv.get(&key).await, Ok(Some("forever".into())))?;
    kv.delete(&key).await.map_err(text)?;
    same("after", kv.get(&key).await, Ok(None))
}

pub async fn kv_refuses_a_short_time_to_live(world: World) -> Outcome {
    let (kv, key) = (world.kv(), fresh(&world, "key"));
    same("put", kv.put(&key, b"x", Some(59)).await, Err(KvError::TtlTooShort(59)))?;
    same("get", kv.get(&key).await, Ok(None))
}

pub async fn kv_reads_many_keys_at_once(world: World) -> Outcome {
    let (kv, stem) = (world.kv(), fresh(&world, "many ü/"));
    let keys: Vec<String> = (0..MOST_KEYS).map(|number| format!("{stem}{number}")).collect();
    for key in &keys[..3] {
        kv.put(key, format!("ü {key}").as_bytes(), None).await.map_err(text)?;
    }
    kv.delete(&keys[1]).await.map_err(text)?;
    let found = kv.texts(&keys).await.map_err(text)?;
    let expected = [&keys[0], &keys[2]].map(|key| (key.clone(), format!("ü {key}")));
    same("found", found, expected.into())?;
    same("one", kv.texts(&keys[..1]).await.map(|found| found.len()), Ok(1))?;
    same("none", kv.texts(&[]).await.map(|found| found.len()), Ok(0))?;
    let more: Vec<String> = keys.into_iter().chain([stem]).collect();
    same("too many", kv.texts(&more).await, Err(KvError::TooManyKeys(MOST_KEYS + 1)))
}
