//! How is a network of servers run from one seed?

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::{StreamExt, future::Either, stream};

use super::{
    dice::Dice,
    executor::{Executor, ROOT, hop},
    faults::Faults,
    network::Network,
    server::{Server, ServerState},
};
use crate::{AnyAddress, Application, Body, Unreachable, World};

/// A run that takes longer than this in simulated time will never end (30 days).
const LONGEST_RUN: u64 = 30 * 86_400_000;

/// So many steps at one instant mean a loop in which nobody waits for anything.
const MOST_STEPS_AT_ONCE: u64 = 20_000_000;

/// The alarms of all objects, by time.
type Calendar = BTreeMap<(u64, String, AnyAddress), Rc<ServerState>>;

/// What everything in a simulation shares.
pub(super) struct Core {
    pub(super) dice: Dice,
    pub(super) executor: Rc<Executor>,
    pub(super) faults: Cell<Faults>,
    pub(super) servers: RefCell<BTreeMap<String, Rc<ServerState>>>,
    pub(super) network: Network,
    pub(super) alarms: RefCell<Calendar>,
    seed: u64,
    /// The time, and how many steps were taken at it.
    steps: Cell<(u64, u64)>,
    transcript: RefCell<Option<String>>,
}

/// What a step of the simulation was.
enum Step {
    /// The future that `run` was given is to be polled.
    Root,
    Taken,
    /// Nothing is ready, and nothing comes in time.
    Idle,
}

/// A deterministic world: the same seed gives the same run, byte for byte.
pub struct Simulation {
    core: Rc<Core>,
}

impl Simulation {
    /// An empty world without faults.
    pub fn new(seed: u64) -> Self {
        let core = Core {
            dice: Dice::new(seed),
            executor: Rc::new(Executor::new()),
            faults: Cell::default(),
            servers: RefCell::default(),
            network: Network::default(),
            alarms: RefCell::default(),
            seed,
            steps: Cell::default(),
            transcript: RefCell::default(),
        };
        Self { core: Rc::new(core) }
    }

    /// From now on these faults happen.
    pub fn faults(&self, faults: Faults) {
        self.core.faults.set(faults);
    }

    /// From now on [`Simulation::transcript`] grows.
    pub fn record(&self) {
        self.core.transcript.replace(Some(String::new()));
    }

    /// What happened since [`Simulation::record`], one line each.
    pub fn transcript(&self) -> String {
        self.core.transcript.borrow().clone().unwrap_or_default()
    }

    /// Adds a server. Its name is where `fetch` finds it; `migrations` are file names and SQL for its D1.
    #[expect(clippy::panic, reason = "a test cannot go on without its servers")]
    pub fn server(
        &self,
        name: &str,
        application: Rc<dyn Application<World>>,
        variables: &[(&str, &str)],
        migrations: &[(&str, &str)],
    ) -> Server {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let state = ServerState::new(name, application, variables, migrations)
            .unwrap_or_else(|error| panic!("the database of {name}: {error}"));
        let state = Rc::new(state);
        self.core.servers.borrow_mut().insert(name.to_owned(), Rc::clone(&state));
        Server { core: Rc::clone(&self.core), state }
    }

    /// Until this time (milliseconds since the epoch) nothing passes between the two servers.
    pub fn partition(&self, a: &str, b: &str, until: u64) {
        self.core.network.partition(a, b, until);
    }

    /// Ends every partition.
    pub fn heal(&self) {
        self.core.network.heal();
    }

    /// The simulated time.
    pub fn now(&self) -> u64 {
        self.core.executor.now()
    }

    /// Runs until the future is done. Panics, naming the seed, if it never can be.
    #[expect(
        clippy::panic,
        reason = "only tests run simulations, and a run that cannot end has failed"
    )]
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = self.core.executor.waker(ROOT);
        self.core.executor.make_ready(ROOT);
        let end = self.now() + LONGEST_RUN;
        loop {
            let polled = match self.core.step(end) {
                Step::Root => future.as_mut().poll(&mut Context::from_waker(&waker)),
                Step::Taken => Poll::Pending,
                Step::Idle => {
                    panic!("seed {}: the future waits for what never comes", self.core.seed)
                }
            };
            if let Poll::Ready(output) = polled {
                return output;
            }
        }
    }

    /// Without faults or partitions from now on, runs until nothing is ready and nothing is due
    /// within the limit.
    pub fn settle(&self, limit_ms: u64) {
        self.faults(Faults::NONE);
        self.heal();
        let end = self.now() + limit_ms;
        while !matches!(self.core.step(end), Step::Idle) {}
    }
}

impl Drop for Simulation {
    // Futures and isolates hold worlds, which hold the core that holds them.
    fn drop(&mut self) {
        self.core.executor.clear();
        let servers = self.core.servers.take();
        self.core.alarms.take();
        for server in servers.values() {
            server.renew_isolate();
            server.objects.take();
        }
    }
}

impl Core {
    /// Adds a line to the transcript, if there is one.
    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(transcript) = self.transcript.borrow_mut().as_mut() {
            transcript.push_str(&format!("{} {}\n", self.executor.now(), line()));
        }
    }

    /// Polls what the dice choose, or else moves the clock, not beyond `end`.
    fn step(self: &Rc<Self>, end: u64) -> Step {
        self.count_step();
        match self.executor.pick(&self.dice) {
            Some(ROOT) => Step::Root,
            Some(id) => {
                self.poll(id);
                Step::Taken
            }
            None if self.advance(end) => Step::Taken,
            None => Step::Idle,
        }
    }

    fn count_step(&self) {
        let (at, count) = self.steps.get();
        let now = self.executor.now();
        self.steps.set(if at == now { (now, count + 1) } else { (now, 0) });
        assert!(count < MOST_STEPS_AT_ONCE, "seed {}: time stands still", self.seed);
    }

    fn poll(&self, id: u64) {
        let chances = self.faults.get().crashes_per_million;
        let server = self.executor.server_of(id);
        match server.filter(|_| self.dice.per_million(chances)) {
            Some(server) => self.crash(&server),
            None => self.executor.poll(id),
        }
    }

    /// Moves the clock to whatever comes next, if that is not after `end`.
    fn advance(self: &Rc<Self>, end: u64) -> bool {
        let alarm = self.alarms.borrow().keys().next().map(|(at, ..)| *at);
        let next = [alarm, self.executor.next_sleeper()].into_iter().flatten().min();
        let Some(at) = next.filter(|at| *at <= end) else { return false };
        self.executor.advance(at);
        self.fire_alarms();
        true
    }

    fn fire_alarms(self: &Rc<Self>) {
        loop {
            let due = self
                .alarms
                .borrow_mut()
                .first_entry()
                .filter(|first| first.key().0 <= self.executor.now())
                .map(|first| first.remove_entry());
            let Some(((at, _, address), server)) = due else { return };
            self.fire(at, &server, &address);
        }
    }

    pub(super) fn crash(&self, server: &Rc<ServerState>) {
        self.note(|| format!("{} goes down", server.name));
        server.begin_life();
        self.executor.drop_dead();
        server.renew_isolate();
        self.rearm_all(server);
    }

    /// A request enters the server from outside.
    pub(super) fn deliver(
        self: &Rc<Self>,
        server: &Rc<ServerState>,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Body>, Unreachable>> + use<> {
        let (core, server) = (Rc::clone(self), Rc::clone(server));
        async move {
            hop().await;
            if core.dice.per_mille(core.faults.get().fresh_isolate) {
                server.renew_isolate();
            }
            server.meter.count(|units| units.requests += 1);
            core.note(|| format!("{} ← {} {}", server.name, request.method(), request.uri()));
            let world = World::begin(&core, &server, None);
            let request = with_authority(request, &server.name)?;
            let response = server.application.http(world, request.map(arriving));
            let response = core.detached(&server, async { produced(response.await).await }).await?;
            core.note(|| format!("{} → {} {:?}", server.name, response.status(), response.body()));
            Ok(response)
        }
    }

    /// Runs the future as one of the server's; it fails if the server goes down first.
    async fn detached<T: 'static>(
        &self,
        server: &Rc<ServerState>,
        future: impl Future<Output = T> + 'static,
    ) -> Result<T, Unreachable> {
        let (sender, receiver) = oneshot::channel();
        let task = async move {
            // Nobody is left to hear it when the caller went away: the work was done all the same.
            drop(sender.send(future.await));
        };
        self.executor.spawn(server, Box::pin(task));
        receiver.await.map_err(|_| Unreachable(format!("{} went down", server.name)))
    }
}

/// A body of at most so many bytes arrives whole; a larger one in chunks of this size.
const CHUNK: usize = 1 << 16;

fn arriving(bytes: Bytes) -> Body {
    if bytes.len() <= CHUNK {
        return bytes.into();
    }
    let chunks: Vec<_> = bytes.chunks(CHUNK).map(|chunk| Ok(bytes.slice_ref(chunk))).collect();
    Body::stream(stream::iter(chunks)).announcing(Some(bytes.len()))
}

/// A response whose stream was produced to its end.
async fn produced(response: http::Response<Body>) -> http::Response<Body> {
    let (head, body) = response.into_parts();
    let body = match body.bytes_or_chunks() {
        Either::Left(bytes) => bytes.into(),
        Either::Right(chunks) => Body::stream(stream::iter(chunks.collect::<Vec<_>>().await)),
    };
    http::Response::from_parts(head, body)
}

/// Workers sees every request with its whole URL.
fn with_authority(
    request: http::Request<Bytes>,
    name: &str,
) -> Result<http::Request<Bytes>, Unreachable> {
    if request.uri().authority().is_some() {
        return Ok(request);
    }
    let (mut head, body) = request.into_parts();
    head.uri = format!("https://{name}{}", head.uri)
        .parse()
        .map_err(|error| Unreachable(format!("{} is no URL: {error}", head.uri)))?;
    Ok(http::Request::from_parts(head, body))
}
