//! Does what a server names as its place lead us only where we may go? (NET2 and NET5 of `tests/hostile/README.md`)

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use futures_util::{FutureExt, future::LocalBoxFuture};
use http::{Request, Response};
use serde_json::Value;
use tombolo::app::Tombolo;
use tombolo_platform::{
    Answer, AnyAddress, Application, Body, Fault, Moment, Object, World, simulated::Simulation,
};
use tombolo_support::Scene;

use crate::servers::ONE;

/// A site that gives every request one answer.
struct Site {
    answer: Response<Bytes>,
    asked: Cell<usize>,
}

impl Site {
    fn at(simulation: &Simulation, name: &str, answer: Response<Bytes>) -> Rc<Self> {
        let site = Rc::new(Self { answer, asked: Cell::new(0) });
        simulation.server(name, Rc::<Self>::clone(&site), &[], &[]);
        site
    }
}

impl Application<World> for Site {
    fn answer(&self, _: &Object<'_>, _: &Moment, _: &str, _: &str) -> Result<Answer, Fault> {
        Err(Fault("a site has no objects".to_owned()))
    }

    fn due(&self, _: World, _: AnyAddress) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        async { Ok(None) }.boxed_local()
    }

    fn http(&self, _: World, _: Request<Body>) -> LocalBoxFuture<'static, Response<Body>> {
        self.asked.set(self.asked.get() + 1);
        let answer = self.answer.clone();
        async move { answer.map(Body::from) }.boxed_local()
    }
}

fn text(body: &'static str) -> Response<Bytes> {
    Response::new(Bytes::from_static(body.as_bytes()))
}

/// A server that goes where the platform lets a Worker go.
fn one(more: &[(&str, &str)]) -> Scene {
    let more = [&[("ALLOW_PRIVATE_ADDRESSES", "no")], more].concat();
    Scene::new(Rc::new(Tombolo), ONE, &more)
}

/// Has the server look up another one, for its keys.
fn look_up(scene: &Scene, name: &str) {
    scene.call(None, &format!("GET /_matrix/key/v2/query/{name}"), &Value::Null).ok();
}

#[test]
fn a_redirect_does_not_lead_to_what_a_url_reads_as_an_address() {
    for host in ["127.1", "2130706433", "0x7f000001", "127.0.0.1", "localhost.", "a.localhost"] {
        let scene = one(&[]);
        let simulation = &scene.simulation;
        let inside = Site::at(simulation, host, text("{\"m.server\":\"evil.test:1\"}"));
        let away = Response::builder().status(302).header("location", format!("https://{host}/"));
        let evil = Site::at(simulation, "evil.test", away.body(Bytes::new()).unwrap());
        look_up(&scene, "evil.test");
        assert!(evil.asked.get() > 0, "{host}: nothing was redirected");
        assert_eq!(inside.asked.get(), 0, "{host}");
    }
}

#[test]
fn a_name_of_which_the_resolver_knows_no_address_is_not_connected_to() {
    for (answer, reached) in [
        ("{\"Status\":0}", false),
        ("{\"Status\":3}", false),
        ("{\"Status\":0,\"Answer\":[{\"type\":1,\"data\":\"10.0.0.1\"}]}", false),
        ("{\"Status\":0,\"Answer\":[{\"type\":1,\"data\":\"8.8.8.8\"}]}", true),
    ] {
        let scene = one(&[("DNS_OVER_HTTPS", "https://resolver.test/dns-query")]);
        let simulation = &scene.simulation;
        Site::at(simulation, "resolver.test", text(answer));
        let other = Site::at(simulation, "other.test:8448", text("{}"));
        look_up(&scene, "other.test:8448");
        assert_eq!(other.asked.get() > 0, reached, "{answer}");
    }
}
