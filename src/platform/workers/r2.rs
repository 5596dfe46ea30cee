//! How is the server's bucket of large objects asked, on Workers?
//!
//! [The R2 API](https://developers.cloudflare.com/r2/api/workers/workers-api-reference/). R2 wants to know how long an
//! object is before it comes, or takes it in parts. A part is gathered in JavaScript's memory, which gives it back, and
//! never in ours, which only grows.

use bytes::Bytes;
use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{
    Env,
    worker_sys::types::{R2Bucket, R2MultipartUpload, R2Object, R2ObjectBody},
};

use super::{fetch::chunks, isolate::meter, javascript::reason};
use crate::{Body, PART, R2Error, body::capacity};

/// The binding.
const BINDING: &str = "MEDIA";

/// The server's R2 bucket: large objects under keys, each whole or not there.
#[derive(Clone)]
pub struct R2 {
    env: Env,
}

impl R2 {
    pub(super) fn of(env: &Env) -> Self {
        Self { env: env.clone() }
    }

    /// Keeps an object; how many bytes it has. Where the body breaks off, nothing is kept.
    pub async fn put(&self, key: &str, body: Body) -> Result<u64, R2Error> {
        let bucket = self.bucket()?;
        let mut parts = Parts::of(body);
        let first = parts.next().await?;
        if parts.ended {
            meter().count(|units| units.r2_writes += 1);
            settled(bucket.put(key.to_owned(), first.clone().into(), JsValue::UNDEFINED)).await?;
            return Ok(u64::from(first.length()));
        }
        meter().count(|units| units.r2_writes += 2);
        let upload = bucket.create_multipart_upload(key.to_owned(), JsValue::UNDEFINED);
        let upload: R2MultipartUpload = settled(upload).await?.unchecked_into();
        let kept = in_parts(&upload, first, parts).await;
        if kept.is_err() {
            // What cannot be given up now, R2 gives up after a week.
            settled(upload.abort()).await.ok();
        }
        kept
    }

    /// An object, or those bytes of it from the first number on and before the second.
    pub async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Body>, R2Error> {
        meter().count(|units| units.r2_reads += 1);
        let options = range.map_or(Ok(JsValue::UNDEFINED), options).map_err(unreachable)?;
        let object = settled(self.bucket()?.get(key.to_owned(), options)).await?;
        if object.is_null() {
            return Ok(None);
        }
        let object: R2ObjectBody = object.unchecked_into();
        let size = match range {
            Some((from, to)) => to.saturating_sub(from),
            None => object.size().map_err(unreachable)? as u64,
        };
        let body = Body::untouched(object.body().map_err(unreachable)?, chunks);
        Ok(Some(body.announcing(usize::try_from(size).ok())))
    }

    /// How many bytes an object has, if it is there.
    pub async fn head(&self, key: &str) -> Result<Option<u64>, R2Error> {
        meter().count(|units| units.r2_reads += 1);
        let object = settled(self.bucket()?.head(key.to_owned())).await?;
        if object.is_null() {
            return Ok(None);
        }
        let object: R2Object = object.unchecked_into();
        Ok(Some(object.size().map_err(unreachable)? as u64))
    }

    /// Removes objects, a thousand at most, whether or not they are there.
    pub async fn delete(&self, keys: &[String]) -> Result<(), R2Error> {
        let keys = keys.iter().map(JsValue::from).collect();
        settled(self.bucket()?.delete_multiple(keys)).await.map(|_| ())
    }

    fn bucket(&self) -> Result<R2Bucket, R2Error> {
        let bucket = self.env.bucket(BINDING);
        let bucket = bucket.map_err(|error| R2Error::Unreachable(error.to_string()))?;
        Ok(JsValue::from(bucket).unchecked_into())
    }
}

fn options((from, to): (u64, u64)) -> Result<JsValue, JsValue> {
    let (range, options) = (Object::new(), Object::new());
    Reflect::set(&range, &"offset".into(), &(from as f64).into())?;
    Reflect::set(&range, &"length".into(), &(to.saturating_sub(from) as f64).into())?;
    Reflect::set(&options, &"range".into(), &range)?;
    Ok(options.into())
}

async fn in_parts(
    upload: &R2MultipartUpload,
    first: Uint8Array,
    mut parts: Parts,
) -> Result<u64, R2Error> {
    let (mut part, mut size, mut uploaded) = (first, 0, Vec::new());
    while part.length() > 0 {
        meter().count(|units| units.r2_writes += 1);
        size += u64::from(part.length());
        let number = u16::try_from(uploaded.len() + 1)
            .map_err(|_| R2Error::Unreachable("the object has too many parts".to_owned()))?;
        uploaded.push(settled(upload.upload_part(number, part.into())).await?);
        part = parts.next().await?;
    }
    settled(upload.complete(uploaded)).await?;
    Ok(size)
}

/// A body in parts of [`PART`] bytes, the last one excepted. All lie in one buffer: a part is there until the next. The
/// buffer grows with what has come.
struct Parts {
    body: Body,
    announced: Option<usize>,
    buffer: Uint8Array,
    /// What was read and is not in a part yet.
    rest: Bytes,
    ended: bool,
}

impl Parts {
    fn of(body: Body) -> Self {
        let (announced, buffer) = (body.announced(), Uint8Array::new_with_length(0));
        Self { body, announced, buffer, rest: Bytes::new(), ended: false }
    }

    /// The next part; an empty one after the last.
    async fn next(&mut self) -> Result<Uint8Array, R2Error> {
        let mut filled = 0;
        while filled < PART && !self.ended {
            if self.rest.is_empty() {
                match self.body.next().await {
                    Some(chunk) => self.rest = chunk?,
                    None => self.ended = true,
                }
            }
            let some = self.rest.split_to(self.rest.len().min(PART - filled));
            let end = filled + some.len();
            if end > self.buffer.length() as usize {
                self.grow(end);
            }
            self.buffer.subarray(filled as u32, end as u32).copy_from(&some);
            filled = end;
        }
        Ok(self.buffer.subarray(0, filled as u32))
    }

    fn grow(&mut self, least: usize) {
        let length = capacity(least, self.announced).min(PART);
        let larger = Uint8Array::new_with_length(length as u32);
        larger.set(&self.buffer, 0);
        self.buffer = larger;
    }
}

async fn settled(promise: Result<Promise, JsValue>) -> Result<JsValue, R2Error> {
    JsFuture::from(promise.map_err(unreachable)?).await.map_err(unreachable)
}

fn unreachable(error: JsValue) -> R2Error {
    R2Error::Unreachable(reason(&error))
}
