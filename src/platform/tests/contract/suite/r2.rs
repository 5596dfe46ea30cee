//! What does R2 keep, and how is it read?

use bytes::Bytes;
use futures_util::stream;
use tombolo_platform::{Body, PART, R2Error, Unread, World};

use super::{Outcome, fresh, holds, same, text};

/// As many bytes, each telling where it is, in chunks that divide no part evenly.
fn counting(bytes: usize) -> Body {
    let chunks = (0..bytes).step_by(300_001).map(move |from| {
        let to = bytes.min(from + 300_001);
        Ok((from..to).map(|place| (place % 251) as u8).collect::<Vec<_>>().into())
    });
    Body::stream(stream::iter(chunks))
}

async fn read(body: Option<Body>) -> Result<Bytes, String> {
    body.ok_or("there is nothing")?.whole(4 * PART).await.map_err(text)
}

pub async fn r2_keeps_objects_until_deleted(world: World) -> Outcome {
    let (r2, key) = (world.r2(), fresh(&world, "key ü/"));
    holds("before", 0, r2.get(&key, None).await.map_err(text)?.is_none())?;
    same("size before", r2.head(&key).await, Ok(None))?;
    same("put", r2.put(&key, Bytes::from_static(&[0, 255, 10]).into()).await, Ok(3))?;
    same("object", read(r2.get(&key, None).await.map_err(text)?).await?, vec![0, 255, 10].into())?;
    same("put again", r2.put(&key, Bytes::new().into()).await, Ok(0))?;
    same("empty object", read(r2.get(&key, None).await.map_err(text)?).await?, Bytes::new())?;
    same("size", r2.head(&key).await, Ok(Some(0)))?;
    let keys = [key.clone(), fresh(&world, "nothing")];
    same("delete", r2.delete(&keys).await, Ok(()))?;
    same("size after", r2.head(&key).await, Ok(None))
}

pub async fn r2_takes_a_stream_of_unknown_length(world: World) -> Outcome {
    let (r2, key) = (world.r2(), fresh(&world, "stream"));
    for bytes in [PART, 2 * PART + 12_345] {
        same("put", r2.put(&key, counting(bytes)).await, Ok(bytes as u64))?;
        same("size", r2.head(&key).await, Ok(Some(bytes as u64)))?;
        let object = r2.get(&key, None).await.map_err(text)?;
        same("announced", object.as_ref().and_then(Body::announced), Some(bytes))?;
        let expected = counting(bytes).whole(bytes).await.map_err(text)?;
        holds("object", bytes, read(object).await? == expected)?;
    }
    let more = counting(1000).announcing(Some(10));
    same("more than announced", r2.put(&key, more).await, Ok(1000))?;
    for announced in [PART + 10, 50 * PART] {
        let body = counting(PART + 10).announcing(Some(announced));
        same("no more than announced", r2.put(&key, body).await, Ok(PART as u64 + 10))?;
        let object = r2.get(&key, None).await.map_err(text)?;
        let expected = counting(PART + 10).whole(2 * PART).await.map_err(text)?;
        holds("object", announced, read(object).await? == expected)?;
    }
    Ok(())
}

pub async fn r2_gives_a_range(world: World) -> Outcome {
    let (r2, key) = (world.r2(), fresh(&world, "range"));
    r2.put(&key, counting(PART + 1000)).await.map_err(text)?;
    let (from, to) = (PART as u64 - 2, PART as u64 + 3);
    let some = r2.get(&key, Some((from, to))).await.map_err(text)?;
    same("announced", some.as_ref().and_then(Body::announced), Some(5))?;
    let expected: Vec<u8> = (from..to).map(|place| (place % 251) as u8).collect();
    same("bytes", read(some).await?, expected.into())
}

pub async fn r2_keeps_nothing_of_a_body_that_breaks_off(world: World) -> Outcome {
    let (r2, broken) = (world.r2(), Unread::Broken("gone".to_owned()));
    for bytes in [1000, PART + 1000] {
        let key = fresh(&world, "broken");
        let begun = counting(bytes).whole(bytes).await.map_err(text)?;
        let chunks = vec![Ok(begun), Err(broken.clone())];
        let put = r2.put(&key, Body::stream(stream::iter(chunks))).await;
        same("put", put, Err(R2Error::Unread(broken.clone())))?;
        same("size", r2.head(&key).await, Ok(None))?;
    }
    Ok(())
}
