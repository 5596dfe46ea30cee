//! How does an application service ask a server?

use http::Request;
use serde_json::{Value, json};
use tombolo_platform::values;

use crate::{
    client::{Answer, User, ask, encode, request, text},
    scene::Scene,
};

/// The registration of a service that has the users `@{id}_…`, the aliases `#{id}_…`, and an exclusive bot.
pub fn registration_of(id: &str) -> Value {
    json!({
        "id": id,
        "url": null,
        "as_token": format!("token of {id}"),
        "hs_token": format!("hs token of {id}"),
        "sender_localpart": format!("{id}-sender"),
        "namespaces": {
            "users": [{ "regex": format!("@{id}_.*"), "exclusive": true }],
            "aliases": [{ "regex": format!("#{id}_.*"), "exclusive": true }],
        },
    })
}

/// An application service that an operator has registered.
pub struct Service {
    pub scene: Scene,
    pub admin: User,
    token: String,
}

impl Service {
    /// Registers a service on the scene's server.
    #[track_caller]
    pub fn new(scene: Scene, registration: &Value) -> Self {
        let admin = scene.register("admin");
        let update = "UPDATE accounts SET admin = 1 WHERE localpart = 'admin'";
        scene.server.d1().run(update, values![]).unwrap();
        let service = Self { scene, admin, token: text(&registration["as_token"]) };
        service.add(registration);
        service
    }

    /// Registers one more service.
    #[track_caller]
    pub fn add(&self, registration: &Value) {
        let line = "POST /_tombolo/admin/v1/appservices";
        self.scene.call(Some(&self.admin), line, registration).ok();
    }

    /// One request of the service. `line` is a method and a path.
    pub fn call(&self, line: &str, body: &Value) -> Answer {
        self.with_token(&self.token, line, body)
    }

    /// The same as a user.
    pub fn call_as(&self, user: &str, line: &str, body: &Value) -> Answer {
        let mark = if line.contains('?') { '&' } else { '?' };
        self.call(&format!("{line}{mark}user_id={}", encode(user)), body)
    }

    /// One request with whatever token.
    pub fn with_token(&self, token: &str, line: &str, body: &Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut request: Request<_> = request(None, line.split_once(' ').unwrap(), text);
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        self.scene.simulation.run(ask(&self.scene.server, request)).unwrap()
    }

    /// Registers a user of the service without logging in.
    #[track_caller]
    pub fn register(&self, localpart: &str) -> String {
        let body = json!({ "type": "m.login.application_service", "username": localpart, "inhibit_login": true });
        text(&self.call("POST /_matrix/client/v3/register", &body).ok()["user_id"])
    }
}
