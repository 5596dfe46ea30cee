//! What happens to a request on its way from one server to another?
//!
//! Each way takes its own time, so that requests overtake each other; either way may be lost, and
//! the request may arrive twice. Whoever sends learns of a loss only when its time is over.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::pending,
    rc::Rc,
};

use bytes::Bytes;
use futures_channel::oneshot;

use super::{executor::Sleep, server::ServerState, simulation::Core};
use crate::{Body, Unreachable};

/// So many fetches one invocation may have under way; others wait.
pub(super) const MOST_CONNECTIONS: usize = 6;

/// The ways that are closed, each until a time.
#[derive(Default)]
pub(super) struct Network {
    closed: RefCell<BTreeMap<(String, String), u64>>,
}

impl Network {
    pub(super) fn partition(&self, a: &str, b: &str, until: u64) {
        self.closed.borrow_mut().insert(pair(a, b), until);
    }

    pub(super) fn heal(&self) {
        self.closed.borrow_mut().clear();
    }

    fn is_closed(&self, a: &str, b: &str, now: u64) -> bool {
        self.closed.borrow().get(&pair(a, b)).is_some_and(|until| now < *until)
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

impl Core {
    /// Carries a request to the server that its URL names, and the response back.
    pub(super) async fn exchange(
        self: &Rc<Self>,
        from: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, Unreachable> {
        let url = request.uri().clone();
        self.note(|| format!("{from} fetches {} {url} {:?}", request.method(), request.body()));
        let Some(to) = self.find(&url) else {
            self.journey().await;
            return Err(Unreachable(format!("no server listens at {url}")));
        };
        self.travel(from, &to.name).await;
        if self.dice.per_mille(self.faults.get().repeated_fetch) {
            self.deliver_again(&to, request.clone());
        }
        let outcome = self.deliver(&to, request).await;
        self.travel(&to.name, from).await;
        outcome
    }

    fn deliver_again(self: &Rc<Self>, to: &Rc<ServerState>, request: http::Request<Bytes>) {
        let (core, server, delay) = (Rc::clone(self), Rc::clone(to), self.journey());
        let again = async move {
            delay.await;
            // The sender has the first response; what becomes of this one concerns nobody.
            drop(core.deliver(&server, request).await);
        };
        self.executor.spawn(to, Box::pin(again));
    }

    /// One way: takes its time, or never ends.
    async fn travel(&self, from: &str, to: &str) {
        self.journey().await;
        let lost = self.dice.per_mille(self.faults.get().lost_fetch);
        if lost || self.network.is_closed(from, to, self.executor.now()) {
            self.note(|| format!("lost from {from} to {to}"));
            pending::<()>().await;
        }
    }

    fn journey(&self) -> Sleep {
        let latency = 1 + self.dice.below(self.faults.get().latency);
        self.executor.sleep_until(self.executor.now() + latency)
    }

    /// A server listens at its name, and if the name has no port, at every port of it.
    fn find(&self, url: &http::Uri) -> Option<Rc<ServerState>> {
        let servers = self.servers.borrow();
        let authority = url.authority()?;
        servers.get(authority.as_str()).or_else(|| servers.get(authority.host())).cloned()
    }
}

/// The connections of one invocation.
#[derive(Default)]
pub(super) struct Connections {
    used: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<()>>>,
}

/// One of them, until dropped.
pub(super) struct Connection(Rc<Connections>);

impl Connections {
    /// Waits for a free one, first come first served.
    pub(super) async fn open(self: &Rc<Self>) -> Connection {
        while self.used.get() >= MOST_CONNECTIONS {
            let (sender, receiver) = oneshot::channel();
            self.waiting.borrow_mut().push_back(sender);
            // A sender that was dropped says the same: look again.
            receiver.await.ok();
        }
        self.used.set(self.used.get() + 1);
        Connection(Rc::clone(self))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.used.set(self.0.used.get() - 1);
        while let Some(next) = self.0.waiting.borrow_mut().pop_front() {
            if next.send(()).is_ok() {
                break;
            }
        }
    }
}
