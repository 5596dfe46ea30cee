//! Which program is the contract tried on?

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, future::LocalBoxFuture, stream};
use http::{Method, Request, Response, StatusCode, header::LOCATION};
use tombolo_platform::{
    Address, Answer, AnyAddress, Application, Body, Fault, Message, Moment, Object, SqlError,
    Unread, Value, World, unknown, values,
};

use super::{messages::*, run};

/// The largest body of a request to `/short`.
pub const SHORT: usize = 5000;
/// The same elsewhere.
const USUAL: usize = 1 << 20;

/// The program: shelves, and pages that `fetch` scenarios ask for.
pub struct Contract;

impl Application<World> for Contract {
    fn answer(
        &self,
        object: &Object<'_>,
        moment: &Moment,
        message: &str,
        body: &str,
    ) -> Result<Answer, Fault> {
        match message {
            Put::NAME => reply(body, |m: Put| put(object, &m)),
            Count::NAME => reply(body, |_: Count| count(object).map(Ok)),
            Exists::NAME => reply(body, |_: Exists| Ok(Ok(object.sql.exists()?))),
            Query::NAME => {
                reply(body, |m: Query| Ok(query(object, &m).map_err(|error| error.to_string())))
            }
            Writes::NAME => {
                reply(body, |m: Writes| Ok(writes(object, &m).map_err(|error| error.to_string())))
            }
            Types::NAME => reply(body, |_: Types| super::sql::types(object)),
            Integer::NAME => {
                reply(body, |m: Integer| Ok(integer(object, &m).map_err(|error| error.to_string())))
            }
            Arm::NAME => arm(object, body),
            Ring::NAME => reply(body, |m: Ring| ring(object, &m).map(Ok)),
            Rung::NAME => reply(body, |_: Rung| rung(object).map(Ok)),
            Listen::NAME => listen(object, body),
            Tell::NAME => {
                let told = reply(body, |_: Tell| tell(object).map(Ok))?;
                Ok(Answer { wake: true, ..told })
            }
            Remember::NAME => reply(body, |m: Remember| Ok(remember(object, &m))),
            Draw::NAME => reply(body, |_: Draw| Ok(Ok((moment.draw(), moment.draw())))),
            Variable::NAME => reply(body, |m: Variable| Ok(Ok(object.variable(&m.name)))),
            Echo::NAME => reply(body, |m: Echo| Ok(Ok(m.json))),
            NotYet::NAME => not_yet(object),
            _ => Err(unknown(message)),
        }
    }

    fn due(
        &self,
        world: World,
        address: AnyAddress,
    ) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        Box::pin(async move {
            let now = world.now();
            let (times, first) = world
                .ask(&Address::<Shelf>::new(address.name), &Ring { now })
                .await
                .map_err(|error| Fault(error.to_string()))?;
            match first {
                First::Fault if times == 1 => Err(Fault("the first time fails".to_owned())),
                First::Again if times == 1 => Ok(Some(now + 50)),
                First::Dawdle if times == 1 => {
                    world.sleep(Duration::from_secs(1)).await;
                    Ok(None)
                }
                _ => Ok(None),
            }
        })
    }

    fn http(
        &self,
        world: World,
        request: Request<Body>,
    ) -> LocalBoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let short = request.uri().path().starts_with("/short");
            let (head, body) = request.into_parts();
            match body.whole(if short { SHORT } else { USUAL }).await {
                Ok(body) => page(world, Request::from_parts(head, body)).await,
                Err(_) => with_status(StatusCode::PAYLOAD_TOO_LARGE, "/"),
            }
        })
    }
}

/// Reads the message, lets `work` answer it, writes the answer.
fn reply<M: Message>(
    body: &str,
    work: impl FnOnce(M) -> Result<Result<M::Reply, M::Refusal>, Fault>,
) -> Result<Answer, Fault> {
    answered::<M>(work(serde_json::from_str(body)?)?)
}

fn answered<M: Message>(outcome: Result<M::Reply, M::Refusal>) -> Result<Answer, Fault> {
    match outcome {
        Ok(reply) => Answer::reply(M::NAME, &reply),
        Err(refusal) => Answer::refused(&refusal),
    }
}

fn put(object: &Object<'_>, message: &Put) -> Result<Result<i64, String>, Fault> {
    object.sql.script("CREATE TABLE IF NOT EXISTS things (key TEXT UNIQUE)")?;
    object.sql.run("INSERT OR IGNORE INTO things VALUES (?)", values![&message.key])?;
    match message.then {
        Then::Reply => count(object).map(Ok),
        Then::Refuse => Ok(Err("refused as asked".to_owned())),
        Then::Fault => Err(Fault("faulted as asked".to_owned())),
        Then::Stumble => {
            let again = object.sql.run("INSERT INTO things VALUES (?)", values![&message.key]);
            Ok(again.map(|_| 0).map_err(|error| error.to_string()))
        }
        #[expect(clippy::panic, reason = "what a trap does is what is tested")]
        Then::Panic => panic!("panicked as asked"),
    }
}

fn count(object: &Object<'_>) -> Result<i64, Fault> {
    if !object.sql.exists()? {
        return Ok(0);
    }
    Ok(object.sql.row("SELECT count(*) FROM things", &[], |row| row.int(0))?.unwrap_or_default())
}

fn query(object: &Object<'_>, message: &Query) -> Result<usize, SqlError> {
    let ones = vec![Value::Int(1); message.parameters];
    object.sql.rows(&message.sql, &ones, |_| Ok(())).map(|rows| rows.len())
}

fn writes(object: &Object<'_>, message: &Writes) -> Result<Vec<u64>, SqlError> {
    message.statements.iter().map(|sql| object.sql.run(sql, &[])).collect()
}

fn integer(object: &Object<'_>, message: &Integer) -> Result<i64, SqlError> {
    object.sql.script("CREATE TABLE IF NOT EXISTS integers (value INTEGER)")?;
    let back = "INSERT INTO integers VALUES (?) RETURNING value";
    Ok(object.sql.row(back, values![message.value], |row| row.int(0))?.unwrap_or_default())
}

fn arm(object: &Object<'_>, body: &str) -> Result<Answer, Fault> {
    let message: Arm = serde_json::from_str(body)?;
    object.sql.script("CREATE TABLE IF NOT EXISTS bells (at INTEGER); CREATE TABLE IF NOT EXISTS plan (first TEXT)")?;
    object
        .sql
        .run("INSERT INTO plan VALUES (?)", values![&serde_json::to_string(&message.first)?])?;
    let outcome = if message.refuse { Err("refused as asked".to_owned()) } else { Ok(()) };
    Ok(Answer { alarm: Some(message.at), ..answered::<Arm>(outcome)? })
}

fn ring(object: &Object<'_>, message: &Ring) -> Result<(i64, First), Fault> {
    object.sql.run("INSERT INTO bells VALUES (?)", values![message.now])?;
    let times =
        object.sql.row("SELECT count(*) FROM bells", &[], |row| row.int(0))?.unwrap_or_default();
    let first =
        object.sql.row("SELECT first FROM plan", &[], |row| row.text(0))?.unwrap_or_default();
    Ok((times, serde_json::from_str(&first)?))
}

fn rung(object: &Object<'_>) -> Result<Vec<i64>, Fault> {
    if !object.sql.exists()? {
        return Ok(Vec::new());
    }
    Ok(object.sql.rows("SELECT at FROM bells ORDER BY rowid", &[], |row| row.int(0))?)
}

fn news(object: &Object<'_>) -> Result<i64, Fault> {
    if !object.sql.exists()? {
        return Ok(0);
    }
    Ok(object.sql.row("SELECT count FROM news", &[], |row| row.int(0))?.unwrap_or_default())
}

fn listen(object: &Object<'_>, body: &str) -> Result<Answer, Fault> {
    let message: Listen = serde_json::from_str(body)?;
    if message.fault {
        return Err(Fault("faulted as asked".to_owned()));
    }
    if message.since < 0 {
        return answered::<Listen>(Err("refused as asked".to_owned()));
    }
    let count = news(object)?;
    Ok(Answer { hold: count <= message.since, ..answered::<Listen>(Ok(count))? })
}

fn tell(object: &Object<'_>) -> Result<i64, Fault> {
    object
        .sql
        .script("CREATE TABLE IF NOT EXISTS news (one INTEGER PRIMARY KEY, count INTEGER)")?;
    let add = "INSERT INTO news VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET count = count + 1";
    object.sql.run(add, &[])?;
    news(object)
}

fn remember(object: &Object<'_>, message: &Remember) -> Result<u64, String> {
    let count = object.memory.with(|count: &mut u64| {
        *count += 1;
        *count
    });
    if message.refuse { Err(count.to_string()) } else { Ok(count) }
}

/// How often each object was asked what it did not know.
#[derive(Default)]
struct Asked(RefCell<BTreeMap<AnyAddress, u32>>);

fn not_yet(object: &Object<'_>) -> Result<Answer, Fault> {
    let asked = object.isolate(Asked::default);
    let mut asked = asked.0.borrow_mut();
    let times = asked.entry(object.address.clone()).or_default();
    *times += 1;
    if *times < 3 { Err(unknown(NotYet::NAME)) } else { answered::<NotYet>(Ok(*times)) }
}

async fn page(world: World, request: Request<Bytes>) -> Response<Body> {
    let path: Vec<String> = request.uri().path().split('/').skip(1).map(str::to_owned).collect();
    let number =
        |at: usize| path.get(at).and_then(|part| part.parse::<u64>().ok()).unwrap_or_default();
    match path.first().map(String::as_str) {
        Some("contract") => outcomes(&world, path.get(1).map_or("", String::as_str)).await,
        Some("echo" | "short") => echo(&request),
        Some("slow") => {
            world.sleep(Duration::from_millis(number(1))).await;
            Response::new("slow".into())
        }
        Some("bytes") => {
            Response::new(vec![b'x'; usize::try_from(number(1)).unwrap_or_default()].into())
        }
        Some("chunks") => Response::new(chunks(world, number(1), number(2))),
        Some("broken") => Response::new(broken()),
        #[expect(clippy::panic, reason = "what a trap does is what is tested")]
        Some("panic") => panic!("panicked as asked"),
        Some("put") => {
            let then = if path.get(2).is_some() { Then::Panic } else { Then::Reply };
            put_from_outside(&world, path.get(1).map_or("", String::as_str), then).await
        }
        Some("log") => {
            tracing::error!(number = 7, "something is broken");
            tracing::warn!(peer = "one.test", "something is odd");
            tracing::info!("nothing is wrong");
            Response::default()
        }
        Some("redirect") => with_status(StatusCode::FOUND, "/echo"),
        Some("later") => later(&world, path.get(1).map_or("", String::as_str)),
        _ => with_status(StatusCode::NOT_FOUND, "/"),
    }
}

/// So many chunks of 1000 bytes, with a pause (ms) before each.
fn chunks(world: World, count: u64, pause: u64) -> Body {
    Body::stream(stream::iter(0..count).then(move |_| {
        let world = world.clone();
        async move {
            world.sleep(Duration::from_millis(pause)).await;
            Ok(Bytes::from(vec![b'x'; 1000]))
        }
    }))
}

/// A body that ends too early.
fn broken() -> Body {
    let chunks = [Ok(Bytes::from_static(b"begun")), Err(Unread::Broken("no more".to_owned()))];
    Body::stream(stream::iter(chunks))
}

/// Puts a thing on the shelf `outside`; answers how many there are.
async fn put_from_outside(world: &World, key: &str, then: Then) -> Response<Body> {
    let put = Put { key: key.to_owned(), then };
    match world.ask(&Address::<Shelf>::new("outside"), &put).await {
        Ok(count) => Response::new(count.to_string().into()),
        Err(_) => with_status(StatusCode::INTERNAL_SERVER_ERROR, "/"),
    }
}

fn with_status(status: StatusCode, location: &'static str) -> Response<Body> {
    let mut response = Response::<Body>::default();
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, http::HeaderValue::from_static(location));
    response
}

/// Status 201, the body, and in headers what else arrived.
fn echo(request: &Request<Bytes>) -> Response<Body> {
    let mut response = Response::<Body>::new(request.body().clone().into());
    *response.status_mut() = StatusCode::CREATED;
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let seen = [
        ("x-seen-method", http::HeaderValue::from_str(request.method().as_str())),
        ("x-seen-path", http::HeaderValue::from_str(path)),
    ];
    for (name, value) in seen {
        if let Ok(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    if let Some(probe) = request.headers().get("x-probe") {
        response.headers_mut().insert("x-seen-probe", probe.clone());
    }
    if *request.method() == Method::GET {
        response.headers_mut().append("x-twice", http::HeaderValue::from_static("one"));
        response.headers_mut().append("x-twice", http::HeaderValue::from_static("two"));
    }
    response
}

/// Answers at once and writes to the shelf of this name after a while.
fn later(world: &World, name: &str) -> Response<Body> {
    let (shelf, later) = (Address::<Shelf>::new(name), world.clone());
    world.later(async move {
        later.sleep(Duration::from_millis(50)).await;
        // Whether it worked is seen on the shelf.
        later.ask(&shelf, &Put { key: "later".to_owned(), then: Then::Reply }).await.ok();
    });
    Response::new("now".into())
}

/// The outcome of each scenario, one line each; status 500 if a promise is broken.
async fn outcomes(world: &World, filter: &str) -> Response<Body> {
    let outcomes = run(world, filter).await;
    let broken = outcomes.iter().any(|(_, outcome)| outcome.is_err());
    let lines: Vec<String> = outcomes
        .iter()
        .map(|(name, outcome)| match outcome {
            Ok(()) => format!("ok {name}\n"),
            Err(found) => format!("BROKEN {name}: {found}\n"),
        })
        .collect();
    let mut response = Response::<Body>::new(lines.concat().into());
    if broken || outcomes.is_empty() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}
