//! How does a handler become a route?
//!
//! A handler is `async fn(World, Caller, Request) -> Result<Response>` over ruma's request type. This type gives the
//! method, every path the endpoint ever had, and the authentication: [`Scheme`] turns ruma's authentication scheme into
//! the caller that the handler gets, so no route can lack one.

use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use ruma::{
    RoomId,
    api::{
        IncomingRequest, Metadata, OutgoingResponse, OutgoingResponseExt,
        auth_scheme::{AccessToken, AccessTokenOptional, NoAccessToken, NoAuthentication},
        error::DeserializationError,
        path_builder::PathBuilder,
    },
};
use serde_json::value::RawValue;
use tombolo_platform::{Body, Unread, World};
use tombolo_protocol::json;

use super::{
    arguments::Arguments,
    auth::{self, Reader, Session},
    rate_limit::Stranger,
    router::{Handler, Router},
};
use crate::{
    error::{Error, Result, bad_json, invalid_param, missing_param, not_json, too_large},
    objects::user_sync::messages::Cost,
};

/// The largest body of a client's request, except for media.
pub const MAX_BODY: usize = 1 << 20;

/// How an authentication scheme finds the caller of a request.
pub trait Scheme {
    type Caller: 'static;
    fn caller(
        world: &World,
        request: &Request<Bytes>,
        cost: Cost,
    ) -> impl Future<Output = Result<Self::Caller>>;
}

impl Scheme for NoAuthentication {
    type Caller = Stranger;
    async fn caller(world: &World, request: &Request<Bytes>, _: Cost) -> Result<Stranger> {
        Stranger::of(world, request)
    }
}

impl Scheme for NoAccessToken {
    type Caller = Stranger;
    async fn caller(world: &World, request: &Request<Bytes>, _: Cost) -> Result<Stranger> {
        Stranger::of(world, request)
    }
}

impl Scheme for AccessToken {
    type Caller = Session;
    async fn caller(world: &World, request: &Request<Bytes>, cost: Cost) -> Result<Session> {
        auth::session(world, request, cost).await
    }
}

impl Scheme for AccessTokenOptional {
    type Caller = Option<Session>;
    async fn caller(
        world: &World,
        request: &Request<Bytes>,
        cost: Cost,
    ) -> Result<Option<Session>> {
        match auth::token(request) {
            Some(_) => auth::session(world, request, cost).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Router {
    /// Registers a handler under every path of its request type.
    pub fn endpoint<R, H, F>(&mut self, handler: H)
    where
        R: IncomingRequest + Metadata + 'static,
        R::Authentication: Scheme,
        H: Fn(World, <R::Authentication as Scheme>::Caller, R) -> F + Copy + 'static,
        F: Future<Output = Result<R::OutgoingResponse>>,
    {
        self.costly(Cost::Free, handler);
    }

    /// The same, for requests that count against the user's rate limits.
    pub fn costly<R, H, F>(&mut self, cost: Cost, handler: H)
    where
        R: IncomingRequest + Metadata + 'static,
        R::Authentication: Scheme,
        H: Fn(World, <R::Authentication as Scheme>::Caller, R) -> F + Copy + 'static,
        F: Future<Output = Result<R::OutgoingResponse>>,
    {
        self.costly_at(&paths_of::<R>(), cost, handler);
    }

    /// The same, under these paths instead of the request type's own.
    pub fn costly_at<R, H, F>(&mut self, paths: &[&str], cost: Cost, handler: H)
    where
        R: IncomingRequest + Metadata + 'static,
        R::Authentication: Scheme,
        H: Fn(World, <R::Authentication as Scheme>::Caller, R) -> F + Copy + 'static,
        F: Future<Output = Result<R::OutgoingResponse>>,
    {
        let answer: Handler = Rc::new(move |world, request, arguments| {
            Box::pin(async move {
                let request = whole(request, MAX_BODY).await?;
                let caller = R::Authentication::caller(&world, &request, cost).await?;
                let decoded = decode::<R>(&request, &arguments)?;
                Ok(encode(handler(world, caller, decoded).await?)?.map(Body::from))
            })
        });
        self.add_at(&R::METHOD, paths, &answer);
    }

    /// The same, for requests that read the room in the first argument of the path. A user who has forgotten that room
    /// gets `refusal`.
    pub fn reading<R, H, F>(&mut self, refusal: fn() -> Error, handler: H)
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + 'static,
        H: Fn(World, Reader, R) -> F + Copy + 'static,
        F: Future<Output = Result<R::OutgoingResponse>>,
    {
        self.reading_at(&paths_of::<R>(), refusal, handler);
    }

    /// The same, under these paths instead of the request type's own.
    pub fn reading_at<R, H, F>(&mut self, paths: &[&str], refusal: fn() -> Error, handler: H)
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + 'static,
        H: Fn(World, Reader, R) -> F + Copy + 'static,
        F: Future<Output = Result<R::OutgoingResponse>>,
    {
        let answer: Handler = Rc::new(move |world, request, arguments| {
            Box::pin(async move {
                let request = whole(request, MAX_BODY).await?;
                let room_id = arguments.first().and_then(|room| RoomId::parse(room).ok());
                let reader = auth::reader(&world, &request, room_id).await?.ok_or_else(refusal)?;
                let decoded = decode::<R>(&request, &arguments)?;
                Ok(encode(handler(world, reader, decoded).await?)?.map(Body::from))
            })
        });
        self.add_at(&R::METHOD, paths, &answer);
    }

    fn add_at(&mut self, method: &http::Method, paths: &[&str], answer: &Handler) {
        for path in paths {
            self.add(method, path, Rc::clone(answer));
        }
    }

    /// Registers a handler for which ruma has no request type, or whose body must be read by our own rules.
    pub fn page<P, H, F>(&mut self, method: &http::Method, path: &str, handler: H)
    where
        P: Arguments,
        H: Fn(World, Request<Bytes>, P) -> F + Copy + 'static,
        F: Future<Output = Result<Response<Bytes>>>,
    {
        self.add(method, path, page_handler(handler));
    }
}

/// The handler of a [`Router::page`].
pub fn page_handler<P, H, F>(handler: H) -> Handler
where
    P: Arguments,
    H: Fn(World, Request<Bytes>, P) -> F + Copy + 'static,
    F: Future<Output = Result<Response<Bytes>>>,
{
    Rc::new(move |world, request, arguments| {
        Box::pin(async move {
            let request = whole(request, MAX_BODY).await?;
            Ok(handler(world, request, P::read(&arguments)?).await?.map(Body::from))
        })
    })
}

/// Reads the whole body of a request, if it has at most `most` bytes.
pub async fn whole(request: Request<Body>, most: usize) -> Result<Request<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.whole(most).await.map_err(|unread| match unread {
        Unread::TooLarge(_) => too_large("The body is too large"),
        Unread::Broken(why) => {
            tracing::debug!(why, "a request's body broke off");
            Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "The body broke off")
        }
    })?;
    Ok(Request::from_parts(head, body))
}

/// Every path of a request type.
pub fn paths_of<R: Metadata>() -> Vec<&'static str> {
    R::PATH_BUILDER.all_paths().collect()
}

/// Parses ruma's request type, after our own scan has bounded the body.
pub fn decode<R: IncomingRequest>(request: &Request<Bytes>, arguments: &[String]) -> Result<R> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    R::try_from_http_request_inner(bounded(request)?, &arguments).map_err(unparsed)
}

/// A request as ruma's types read it.
fn bounded(request: &Request<Bytes>) -> Result<Request<&[u8]>> {
    let body = request.body();
    // Old clients omit the body of a POST that needs none; a PUT always has one.
    if !body.is_empty() || request.method() == http::Method::PUT {
        json::scan(body).map_err(|fault| fault_response(&fault))?;
    }
    let body = if body.is_empty() && request.method() == http::Method::POST {
        b"{}"
    } else {
        body.as_ref()
    };
    let mut raw = Request::new(body);
    *raw.method_mut() = request.method().clone();
    *raw.uri_mut() = request.uri().clone();
    *raw.headers_mut() = request.headers().clone();
    Ok(raw)
}

fn unparsed(error: DeserializationError) -> Error {
    match error {
        // An error without a place in the text: the body lacks the field that the path names.
        DeserializationError::Json(error) if error.line() == 0 && lacks_field(&error) => {
            missing_param(error.to_string())
        }
        DeserializationError::Json(error) => misread(&error),
        // The query lacks a parameter, which serde's message names. A body that lacks a field is bad JSON instead.
        DeserializationError::Query(error) if lacks_field(&error) => {
            missing_param(error.to_string())
        }
        error => invalid_param(error.to_string()),
    }
}

fn lacks_field(error: &impl std::fmt::Display) -> bool {
    error.to_string().starts_with("missing field")
}

/// The body of a [`Router::page`], read as JSON under the same bounds.
pub fn json_body<T: serde::de::DeserializeOwned>(request: &Request<Bytes>) -> Result<T> {
    let body = request.body();
    json::scan(body).map_err(|fault| fault_response(&fault))?;
    json::from_bytes(body).map_err(|error| misread(&error))
}

/// The same, of a request that may have none: then the defaults stand.
pub fn json_body_if_any<T: serde::de::DeserializeOwned + Default>(
    request: &Request<Bytes>,
) -> Result<T> {
    if request.body().is_empty() { Ok(T::default()) } else { json_body(request) }
}

/// Whether this is a JSON object, whatever is in it.
pub fn is_object(value: &RawValue) -> bool {
    value.get().trim_start().starts_with('{')
}

/// A body that serde could not read: no JSON at all, or not what was expected.
fn misread(error: &serde_json::Error) -> Error {
    if error.is_syntax() || error.is_eof() {
        not_json(error.to_string())
    } else {
        bad_json(error.to_string())
    }
}

/// A body that is not JSON, or not the JSON that Matrix allows.
pub fn fault_response(fault: &json::JsonFault) -> Error {
    match fault {
        json::JsonFault::NotJson(_) => not_json(fault.to_string()),
        json::JsonFault::BadJson(_) => bad_json(fault.to_string()),
    }
}

/// Writes a response of ruma's types.
pub fn encode<S: OutgoingResponse>(response: S) -> Result<Response<Bytes>> {
    let response = response.try_into_http_response::<Vec<u8>>().map_err(crate::error::internal)?;
    Ok(response.map(Bytes::from))
}

/// Writes a JSON response of our own types.
pub fn json_response(status: StatusCode, body: &impl serde::Serialize) -> Result<Response<Bytes>> {
    let mut response = of_json(Bytes::from(serde_json::to_vec(body)?));
    *response.status_mut() = status;
    Ok(response)
}

/// A response whose body is JSON.
pub fn of_json<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
