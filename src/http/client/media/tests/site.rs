//! A host that answers in tests.

use std::{cell::RefCell, rc::Rc};

use futures_util::future::LocalBoxFuture;
use http::{Request, Response};
use tombolo_platform::{
    Answer as ObjectAnswer, AnyAddress, Application, Body, Fault, Moment, Object, World,
};
use tombolo_support::Scene;

type Script = Rc<dyn Fn(&str) -> Response<Body>>;

/// A host of the web that answers by a script, and what it was asked.
#[derive(Clone)]
pub struct Site {
    script: Script,
    asked: Rc<RefCell<Vec<Request<()>>>>,
}

impl Site {
    pub fn on(
        scene: &Scene,
        host: &str,
        script: impl Fn(&str) -> Response<Body> + 'static,
    ) -> Self {
        let site = Self { script: Rc::new(script), asked: Rc::default() };
        scene.simulation.server(host, Rc::new(site.clone()), &[], &[]);
        site
    }

    /// The paths that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|request| request.uri().path().to_owned()).collect()
    }

    /// The last request.
    pub fn last(&self) -> Request<()> {
        self.asked.borrow().last().unwrap().clone()
    }

    /// What the last request said under a header.
    pub fn told(&self, header: &str) -> String {
        self.last().headers()[header].to_str().unwrap().to_owned()
    }
}

impl Application<World> for Site {
    fn answer(&self, _: &Object<'_>, _: &Moment, _: &str, _: &str) -> Result<ObjectAnswer, Fault> {
        Err(Fault("no object".to_owned()))
    }

    fn due(&self, _: World, _: AnyAddress) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        Box::pin(async { Ok(None) })
    }

    fn http(&self, _: World, request: Request<Body>) -> LocalBoxFuture<'static, Response<Body>> {
        let path = request.uri().path().to_owned();
        self.asked.borrow_mut().push(request.map(drop));
        let answer = (self.script)(&path);
        Box::pin(async { answer })
    }
}
