//! What is a stream of bytes to JavaScript? ([streams](https://developers.cloudflare.com/workers/runtime-apis/streams/))

/// One that nobody has read from can be passed on as it is.
pub(crate) type JsStream = web_sys::ReadableStream;
