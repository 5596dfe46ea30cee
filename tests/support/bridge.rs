//! What is an application service that does what a test says, and remembers what it was sent?

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::LocalBoxFuture};
use http::{Request, Response};
use serde_json::{Value, json};
use tombolo_platform::{
    Answer, AnyAddress, Application, Body, Fault, Limits, Moment, Object, World,
    simulated::Simulation,
};

/// What a bridge does with what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes it.
    Takes,
    /// Answers this status.
    Answers(u16),
    /// Takes what is asked at the paths of older drafts alone.
    Old,
    /// Works on it for so long (ms), and takes it.
    Works(u64),
    /// Takes transactions, and has no user and no alias that it is asked for.
    Lacks,
}

/// A request that a bridge was sent.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub path: String,
    pub authorization: String,
    pub body: String,
    /// Whether it answered that it was.
    pub taken: bool,
}

/// An application service. Cheap to clone.
#[derive(Clone)]
pub struct Bridge(Rc<Inner>);

struct Inner {
    name: String,
    manner: Cell<Manner>,
    pushed: RefCell<Vec<Pushed>>,
    /// What it asks of a server before it answers a query, once.
    makes: RefCell<Option<Request<Bytes>>>,
    /// What it says of its network: the ends of the paths, with their queries, and the answers.
    knows: RefCell<Vec<(String, Value)>>,
    at_once: Cell<usize>,
    most_at_once: Cell<usize>,
}

impl Bridge {
    /// Adds a bridge that listens at this name to a simulation.
    pub fn new(simulation: &Simulation, name: &str) -> Self {
        let bridge = Self(Rc::new(Inner {
            name: name.to_owned(),
            manner: Cell::new(Manner::Takes),
            pushed: RefCell::default(),
            makes: RefCell::default(),
            knows: RefCell::default(),
            at_once: Cell::default(),
            most_at_once: Cell::default(),
        }));
        simulation.server(name, Rc::new(bridge.clone()), &[], &[]);
        bridge
    }

    /// A registration under this ID, whose users begin so; `more` overrides members of it.
    pub fn registration(&self, id: &str, users: &str, more: &Value) -> Value {
        let mut registration = json!({
            "id": id, "url": format!("http://{}", self.0.name), "as_token": format!("as-{id}"),
            "hs_token": format!("hs-{id}"), "sender_localpart": format!("{id}-bot"),
            "namespaces": { "users": [{ "regex": format!("@{users}.*"), "exclusive": false }] },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            registration[name] = value.clone();
        }
        registration
    }

    /// From now on it does so.
    pub fn is(&self, manner: Manner) {
        self.0.manner.set(manner);
    }

    /// It sends this before it answers the next query.
    pub fn makes(&self, request: Request<Bytes>) {
        self.0.makes.replace(Some(request));
    }

    /// From now on it says this of its network where it is asked at a path that ends so.
    pub fn knows(&self, path: &str, answer: Value) {
        self.0.knows.borrow_mut().push((path.to_owned(), answer));
    }

    /// All that it was sent, in order.
    pub fn pushed(&self) -> Vec<Pushed> {
        self.0.pushed.borrow().clone()
    }

    /// The most requests that it had at once.
    pub fn most_at_once(&self) -> usize {
        self.0.most_at_once.get()
    }

    /// The transactions that it took, each once however often it came.
    pub fn transactions(&self) -> Vec<Value> {
        let (mut seen, mut transactions) = (Vec::new(), Vec::new());
        for Pushed { path, body, taken, .. } in self.0.pushed.borrow().iter() {
            if path.contains("/transactions/") && *taken && !seen.contains(path) {
                seen.push(path.clone());
                transactions.push(serde_json::from_str(body).unwrap());
            }
        }
        transactions
    }

    /// The events in them, in order.
    pub fn events(&self) -> Vec<Value> {
        let transactions = self.transactions().into_iter();
        transactions.flat_map(|one| one["events"].as_array().unwrap().clone()).collect()
    }

    /// What is said in them, in order.
    pub fn heard(&self) -> Vec<String> {
        let events = self.events().into_iter();
        events.filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
    }

    /// The EDUs in them, in order.
    pub fn edus(&self) -> Vec<Value> {
        let transactions = self.transactions().into_iter();
        transactions
            .flat_map(|one| one["ephemeral"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    async fn answer(&self, world: &World, request: Request<Bytes>) -> (u16, String) {
        let Inner { manner, pushed, at_once, most_at_once, .. } = &*self.0;
        at_once.set(at_once.get() + 1);
        most_at_once.set(most_at_once.get().max(at_once.get()));
        if let Manner::Works(time) = manner.get() {
            world.sleep(Duration::from_millis(time)).await;
        }
        at_once.set(at_once.get() - 1);
        let (path, uri) = (request.uri().path().to_owned(), request.uri().to_string());
        let is_query = !path.contains("/transactions/");
        let made = if is_query { self.0.makes.take() } else { None };
        if let Some(request) = made {
            let limits = Limits { time: Duration::from_secs(10), bytes: 1 << 20 };
            assert_eq!(world.fetch(request, limits).await.unwrap().status(), 200);
        }
        let status = match manner.get() {
            Manner::Lacks if is_query => 404,
            Manner::Takes | Manner::Works(_) | Manner::Lacks => 200,
            Manner::Old if path.starts_with("/transactions/") || path.contains("/unstable/") => 200,
            Manner::Old => 404,
            Manner::Answers(status) => status,
        };
        let authorization = request.headers().get("authorization").unwrap().to_str().unwrap();
        pushed.borrow_mut().push(Pushed {
            path,
            authorization: authorization.to_owned(),
            body: String::from_utf8(request.body().to_vec()).unwrap(),
            taken: (200..300).contains(&status),
        });
        let knows = self.0.knows.borrow();
        match knows.iter().find(|(path, _)| uri.ends_with(path)) {
            Some((_, answer)) => (status, answer.to_string()),
            None if is_query && manner.get() == Manner::Lacks => {
                (status, r#"{"errcode":"M_NOT_FOUND"}"#.to_owned())
            }
            None => (status, "{}".to_owned()),
        }
    }
}

impl Application<World> for Bridge {
    fn answer(&self, _: &Object<'_>, _: &Moment, _: &str, _: &str) -> Result<Answer, Fault> {
        Err(Fault("a bridge has no objects".to_owned()))
    }

    fn due(&self, _: World, _: AnyAddress) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        async { Ok(None) }.boxed_local()
    }

    fn http(
        &self,
        world: World,
        request: Request<Body>,
    ) -> LocalBoxFuture<'static, Response<Body>> {
        let bridge = self.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.whole(usize::MAX).await.unwrap();
            let request = Request::from_parts(head, body);
            let (status, body) = Self::answer(&bridge, &world, request).await;
            Response::builder().status(status).body(Body::from(Bytes::from(body))).unwrap()
        }
        .boxed_local()
    }
}
