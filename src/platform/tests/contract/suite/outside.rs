//! How does a request reach another server?
//!
//! The other server is this one: the variable `ORIGIN` says where it listens.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use tombolo_platform::{Address, Limits, Unreachable, World};

use super::{Outcome, application::SHORT, fresh, holds, messages::*, same, text};

const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 10_000 };

fn request(
    world: &World,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
) -> Result<Request<Bytes>, String> {
    let origin = world.variable("ORIGIN").ok_or("the variable ORIGIN is missing")?;
    let request =
        Request::builder().method(method).uri(format!("{origin}{path}")).header("x-probe", "probe");
    request.body(body.into()).map_err(text)
}

async fn get(
    world: &World,
    path: &str,
    limits: Limits,
) -> Result<Result<Response<Bytes>, Unreachable>, String> {
    Ok(world.fetch(request(world, "GET", path, "")?, limits).await)
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Vec<&'a str> {
    let values = response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(", ")).collect()
}

pub async fn a_fetch_brings_everything_across(world: World) -> Outcome {
    let path = "/echo/a%2Fb%C3%BC?q=%26&r";
    let response =
        world.fetch(request(&world, "PUT", path, "bödy")?, LIMITS).await.map_err(text)?;
    same("status", response.status().as_u16(), 201)?;
    same("method", header(&response, "x-seen-method"), vec!["PUT"])?;
    same("path", header(&response, "x-seen-path"), vec![path])?;
    same("header", header(&response, "x-seen-probe"), vec!["probe"])?;
    same("body", response.body().as_ref(), "bödy".as_bytes())?;
    let response = get(&world, "/echo", LIMITS).await?.map_err(text)?;
    same("repeated header", header(&response, "x-twice"), vec!["one", "two"])?;
    same("empty body", response.body().len(), 0)
}

pub async fn a_redirect_is_not_followed(world: World) -> Outcome {
    let response = get(&world, "/redirect", LIMITS).await?.map_err(text)?;
    same("status", response.status().as_u16(), 302)?;
    same("location", header(&response, "location"), vec!["/echo"])
}

pub async fn a_request_over_the_limit_of_its_path_is_refused(world: World) -> Outcome {
    for (path, bytes, status) in
        [("/short", SHORT, 201), ("/short", SHORT + 1, 413), ("/echo", SHORT + 1, 201)]
    {
        let body = vec![b'x'; bytes];
        let limits = Limits { bytes: 2 * SHORT, ..LIMITS };
        let response =
            world.fetch(request(&world, "PUT", path, body)?, limits).await.map_err(text)?;
        same(path, response.status().as_u16(), status)?;
    }
    Ok(())
}

pub async fn a_fetch_ends_when_its_time_is_over(world: World) -> Outcome {
    let begin = world.now();
    let limits = Limits { time: Duration::from_millis(300), ..LIMITS };
    let outcome = get(&world, "/slow/3000", limits).await?;
    holds("outcome", &outcome, outcome.is_err())?;
    let took = world.now() - begin;
    holds("time", took, (300..2000).contains(&took))
}

pub async fn a_response_over_the_limit_is_refused(world: World) -> Outcome {
    let limits = Limits { bytes: 5000, ..LIMITS };
    let response = get(&world, "/bytes/5000", limits).await?.map_err(text)?;
    same("as allowed", response.body().len(), 5000)?;
    let outcome = get(&world, "/bytes/5001", limits).await?;
    holds("too large", &outcome, matches!(&outcome, Err(Unreachable(why)) if why.contains("5000")))
}

pub async fn a_response_comes_in_chunks(world: World) -> Outcome {
    let response =
        world.open(request(&world, "GET", "/chunks/5/10", "")?, LIMITS).await.map_err(text)?;
    let (mut body, mut bytes) = (response.into_body(), 0);
    while let Some(chunk) = body.next().await {
        bytes += chunk.map_err(text)?.len();
    }
    same("bytes", bytes, 5000)
}

pub async fn a_stream_is_read_within_its_limits(world: World) -> Outcome {
    let outcome = get(&world, "/chunks/5/0", Limits { bytes: 4999, ..LIMITS }).await?;
    holds(
        "too large",
        &outcome,
        matches!(&outcome, Err(Unreachable(why)) if why.contains("4999")),
    )?;
    let begin = world.now();
    let limits = Limits { time: Duration::from_millis(300), ..LIMITS };
    let outcome = get(&world, "/chunks/9/200", limits).await?;
    holds("too slow", &outcome, matches!(&outcome, Err(Unreachable(why)) if why.contains("time")))?;
    let took = world.now() - begin;
    holds("time", took, (300..1500).contains(&took))
}

/// Workerd ends it like any other: only its content shows that it is not whole.
pub async fn a_response_that_breaks_off_gives_no_more_than_came(world: World) -> Outcome {
    match get(&world, "/broken", LIMITS).await? {
        Ok(response) => same("body", response.body().as_ref(), b"begun".as_slice()),
        Err(_) => Ok(()),
    }
}

pub async fn a_server_that_is_not_there_is_unreachable(world: World) -> Outcome {
    let nobody = Request::get("http://nobody.invalid/").body(Bytes::new()).map_err(text)?;
    let outcome = world.fetch(nobody, LIMITS).await;
    holds("outcome", &outcome, outcome.is_err())
}

pub async fn many_fetches_at_once_all_end(world: World) -> Outcome {
    let responses = join_all((0..20).map(|_| get(&world, "/slow/50", LIMITS))).await;
    let good = responses
        .iter()
        .filter(|response| matches!(response, Ok(Ok(response)) if response.body() == "slow"));
    same("responses", good.count(), 20)
}

pub async fn what_comes_later_happens_after_the_response(world: World) -> Outcome {
    let shelf = Address::<Shelf>::new(fresh(&world, "later"));
    let response = get(&world, &format!("/later/{}", shelf.name), LIMITS).await?.map_err(text)?;
    same("response", response.body().as_ref(), b"now".as_slice())?;
    let end = world.now() + 5000;
    while world.ask(&shelf, &Count {}).await.map_err(text)? == 0 && world.now() < end {
        world.sleep(Duration::from_millis(20)).await;
    }
    same("count", world.ask(&shelf, &Count {}).await.map_err(text)?, 1)
}
