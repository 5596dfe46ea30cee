//! What is a server that does what a test says: answers by a script, and signs what it is given?

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use futures_util::{FutureExt, future::LocalBoxFuture};
use http::{Request, Response};
use percent_encoding::percent_decode_str;
use ruma::OwnedServerName;
use serde_json::{Value, json};
use tombolo_platform::{
    Answer, AnyAddress, Application, Body, Fault, Moment, Object, World, simulated::Simulation,
};
use tombolo_protocol::{
    canonical_json::{CanonicalJsonObject, loose_to_string},
    room_version::RoomVersion,
    server_keys::{ServerKeys, publish},
    signing::SigningKey,
    x_matrix::{self, Authorization},
};

use crate::{
    client::request,
    event::{canonical, hash},
};

/// A request that a peer was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub endpoint: String,
    /// What stands in the path after the endpoint's name.
    pub arguments: Vec<String>,
    pub query: String,
    pub body: Value,
    /// Who asks, by its own account.
    pub agent: String,
}

/// What a peer answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Bytes,
}

type Script = Rc<dyn Fn(&Asked) -> Reply>;

/// A server that does what a test says.
#[derive(Clone)]
pub struct Peer(Rc<Inner>);

struct Inner {
    name: OwnedServerName,
    key: SigningKey,
    scripts: RefCell<BTreeMap<String, Script>>,
    asked: RefCell<Vec<Asked>>,
}

pub fn ok(body: &Value) -> Reply {
    Reply { status: 200, body: Bytes::from(body.to_string()) }
}

pub fn refusal(status: u16, errcode: &str) -> Reply {
    let body = json!({ "errcode": errcode, "error": "no" });
    Reply { status, body: Bytes::from(body.to_string()) }
}

impl Peer {
    /// Adds a peer to a simulation. Its seed makes its key.
    pub fn new(simulation: &Simulation, name: &str, seed: u8) -> Self {
        let peer = Self::unlisted(name, seed);
        simulation.server(name, Rc::new(peer.clone()), &[], &[]);
        peer
    }

    /// A server that nobody can reach.
    pub fn unlisted(name: &str, seed: u8) -> Self {
        Self::with(name, SigningKey::from_seed("ed25519:k", [seed; 32]).unwrap())
    }

    /// What signs as the server that has this key.
    pub fn with(name: &str, key: SigningKey) -> Self {
        Self(Rc::new(Inner {
            name: name.try_into().unwrap(),
            key,
            scripts: RefCell::default(),
            asked: RefCell::default(),
        }))
    }

    pub fn name(&self) -> &str {
        self.0.name.as_str()
    }

    pub fn key(&self) -> &SigningKey {
        &self.0.key
    }

    /// One of its users.
    pub fn user(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.0.name)
    }

    /// From now on it answers an endpoint so.
    pub fn on(&self, endpoint: &str, script: impl Fn(&Asked) -> Reply + 'static) {
        self.0.scripts.borrow_mut().insert(endpoint.to_owned(), Rc::new(script));
    }

    /// How often it was asked this since [`Peer::forget_asked`].
    pub fn times_asked(&self, endpoint: &str) -> usize {
        self.0.asked.borrow().iter().filter(|asked| asked.endpoint == endpoint).count()
    }

    /// What it was asked at an endpoint.
    pub fn asked(&self, endpoint: &str) -> Vec<Asked> {
        let all = self.0.asked.borrow();
        all.iter().filter(|asked| asked.endpoint == endpoint).cloned().collect()
    }

    pub fn forget_asked(&self) {
        self.0.asked.borrow_mut().clear();
    }

    /// Signs an event as it is, whatever signatures and hashes it has.
    pub fn sign(&self, version: &RoomVersion, pdu: &Value) -> Value {
        let mut object = canonical(pdu);
        self.0.key.sign_event(version, &mut object, self.name());
        serde_json::to_value(&object).unwrap()
    }

    /// Hashes and signs an event.
    pub fn seal(&self, version: &RoomVersion, pdu: &Value) -> Value {
        let mut pdu = pdu.clone();
        pdu.as_object_mut().unwrap().remove("signatures");
        hash(&mut pdu);
        self.sign(version, &pdu)
    }

    /// What it publishes of its keys, signed.
    pub fn published(&self, valid_until: u64) -> CanonicalJsonObject {
        let until = i64::try_from(valid_until).unwrap();
        publish(&self.0.name, &self.0.key, &ServerKeys::default(), until)
    }

    /// The header that makes a request its own.
    pub fn authorization(
        &self,
        destination: &str,
        (method, uri): (&str, &str),
        content: Option<&Value>,
    ) -> Authorization {
        let content = content.map(loose_to_string);
        let signed = x_matrix::Request { method, uri, content: content.as_deref() };
        let destination: OwnedServerName = destination.try_into().unwrap();
        x_matrix::sign(signed, &self.0.name, &destination, &self.0.key)
    }

    /// A request to another server, signed as it should be.
    pub fn request(
        &self,
        destination: &str,
        line: (&str, &str),
        content: Option<&Value>,
    ) -> Request<Bytes> {
        let header = self.authorization(destination, line, content).header();
        request(Some(&header), line, content.map(loose_to_string).unwrap_or_default())
    }

    fn reply(&self, world: &World, request: &Request<Bytes>) -> Reply {
        let asked = read(request);
        self.0.asked.borrow_mut().push(asked.clone());
        let script = self.0.scripts.borrow().get(&asked.endpoint).cloned();
        match (script, asked.endpoint.as_str()) {
            (Some(script), _) => script(&asked),
            (None, "server") => {
                let keys = self.published(world.now() + 86_400_000);
                ok(&serde_json::to_value(&keys).unwrap())
            }
            (None, "send") => ok(&json!({ "pdus": {} })),
            _ => refusal(404, "M_NOT_FOUND"),
        }
    }
}

/// `/_matrix/{key|federation}/{version}/{endpoint}/{arguments…}`
fn read(request: &Request<Bytes>) -> Asked {
    let mut parts = request.uri().path().split('/').skip(4);
    let agent = request.headers().get("user-agent");
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    Asked {
        endpoint: parts.next().unwrap_or_default().to_owned(),
        arguments: parts.map(decoded).collect(),
        query: decoded(request.uri().query().unwrap_or_default()),
        body: serde_json::from_slice(request.body()).unwrap_or_default(),
        agent: agent.map(|agent| agent.to_str().unwrap().to_owned()).unwrap_or_default(),
    }
}

impl Application<World> for Peer {
    fn answer(&self, _: &Object<'_>, _: &Moment, _: &str, _: &str) -> Result<Answer, Fault> {
        Err(Fault("a peer has no objects".to_owned()))
    }

    fn due(&self, _: World, _: AnyAddress) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        async { Ok(None) }.boxed_local()
    }

    fn http(
        &self,
        world: World,
        request: Request<Body>,
    ) -> LocalBoxFuture<'static, Response<Body>> {
        let peer = self.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.whole(usize::MAX).await.unwrap();
            let Reply { status, body } = peer.reply(&world, &Request::from_parts(head, body));
            Response::builder().status(status).body(body.into()).unwrap()
        }
        .boxed_local()
    }
}
