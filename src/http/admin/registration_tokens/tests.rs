//! Do tokens open registration, as often and as long as the operator lets them?

use std::rc::Rc;

use ruma::UserId;
use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User};

use crate::{
    app::Tombolo,
    config::Config,
    http::client::account::login::{NewSession, logged_in},
    stores::accounts,
};

const TOKENS: &str = "/_synapse/admin/v1/registration_tokens";
const REGISTER: &str = "POST /_matrix/client/v3/register";
const VALIDITY: &str = "GET /_matrix/client/v1/register/m.login.registration_token/validity?token=";

/// A server on which accounts are made by tokens, and an operator.
struct Tokens {
    scene: Scene,
    admin: User,
}

impl Tokens {
    fn new() -> Self {
        let scene = Scene::new(Rc::new(Tombolo), "ours.test", &[("REGISTRATION", "token")]);
        let account = accounts::Account { password_hash: None, admin: true, deactivated: false };
        let world = scene.server.world();
        scene.simulation.run(accounts::insert(&world, "admin", &account)).unwrap();
        let admin = Self::logged_in(&scene, "admin");
        Self { scene, admin }
    }

    /// Logs somebody in without a password.
    fn logged_in(scene: &Scene, name: &str) -> User {
        let world = scene.server.world();
        let user = UserId::parse(format!("@{name}:ours.test")).unwrap();
        let login = async {
            let config = Config::of(&world)?;
            logged_in(&world, &config, (&user, None), NewSession::default()).await
        };
        let answer = scene.simulation.run(login).unwrap();
        User::of(&scene.server, &Answer::of(answer)).unwrap()
    }

    fn ask(&self, line: &str, body: &Value) -> Answer {
        let (method, rest) = line.split_once(' ').unwrap();
        self.scene.call(Some(&self.admin), &format!("{method} {TOKENS}{rest}"), body)
    }

    fn register(&self, name: &str, token: &str) -> Answer {
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        let body = json!({ "username": name, "password": "secret", "auth": auth });
        self.scene.call(None, REGISTER, &body)
    }

    fn is_valid(&self, token: &str) -> bool {
        self.scene.call(None, &format!("{VALIDITY}{token}"), &Value::Null).ok()["valid"] == true
    }
}

#[test]
fn an_account_is_made_by_a_token_as_often_as_it_allows() {
    let tokens = Tokens::new();
    let made = tokens.ask("POST /new", &json!({ "token": "two", "uses_allowed": 2 })).ok();
    let expected = json!({ "token": "two", "uses_allowed": 2, "pending": 0, "completed": 0, "expiry_time": null });
    assert_eq!(made, expected);
    let flows = tokens.scene.call(None, REGISTER, &json!({ "username": "a", "password": "x" }));
    assert_eq!(flows.body["flows"], json!([{ "stages": ["m.login.registration_token"] }]));
    // What lacks a password uses up nothing, nor does a name that is taken.
    let auth = json!({ "type": "m.login.registration_token", "token": "two" });
    let half = json!({ "username": "a", "auth": auth });
    tokens.scene.call(None, REGISTER, &half).refused(400, "M_MISSING_PARAM");
    tokens.register("a", "two").ok();
    tokens.register("a", "two").refused(400, "M_USER_IN_USE");
    assert!(tokens.is_valid("two"));
    tokens.register("b", "two").ok();
    assert!(!tokens.is_valid("two"));
    for token in ["two", "three", ""] {
        let refused = tokens.register("c", token);
        assert_eq!((refused.status, &refused.body["errcode"]), (401, &json!("M_FORBIDDEN")));
        assert!(refused.body["flows"].is_array());
    }
    let dummy = json!({ "username": "c", "password": "x", "auth": { "type": "m.login.dummy" } });
    assert_eq!(tokens.scene.call(None, REGISTER, &dummy).status, 401);
    assert_eq!(tokens.ask("GET /two", &Value::Null).ok()["completed"], 2);
}

#[test]
fn a_token_ends_at_its_time_or_when_it_is_removed() {
    let tokens = Tokens::new();
    let soon = tokens.scene.simulation.now() + 60_000;
    tokens.ask("POST /new", &json!({ "token": "soon", "expiry_time": soon })).ok();
    let made = tokens.ask("POST /new", &json!({ "length": 40 })).ok();
    let random = made["token"].as_str().unwrap();
    assert_eq!((random.len(), tokens.is_valid(random)), (40, true));
    tokens.register("a", "soon").ok();
    tokens.scene.pass(61_000);
    assert!(!tokens.is_valid("soon"));
    let names = |valid: &str| {
        let all = tokens.ask(&format!("GET ?valid={valid}"), &Value::Null).ok();
        let all = all["registration_tokens"].as_array().unwrap().clone();
        all.iter().map(|token| token["token"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((names("true"), names("false")), (vec![json!(random)], vec![json!("soon")]));
    tokens.ask("PUT /soon", &json!({ "expiry_time": null, "uses_allowed": 1 })).ok();
    assert!(!tokens.is_valid("soon"), "it was used once");
    tokens.ask("PUT /soon", &json!({ "uses_allowed": 0 })).ok();
    assert!(!tokens.is_valid("soon"));
    tokens.ask("PUT /soon", &json!({ "uses_allowed": 2 })).ok();
    tokens.register("b", "soon").ok();
    tokens.ask(&format!("DELETE /{random}"), &Value::Null).ok();
    assert!(!tokens.is_valid(random));
    // A new token of an old name begins anew.
    tokens.ask("DELETE /soon", &Value::Null).ok();
    tokens.ask("POST /new", &json!({ "token": "soon", "uses_allowed": 1 })).ok();
    assert_eq!(tokens.ask("GET /soon", &Value::Null).ok()["completed"], 0);
}

#[test]
fn malformed_requests_and_others_than_operators_are_refused() {
    let tokens = Tokens::new();
    for body in [
        json!({ "token": "" }),
        json!({ "token": "a b" }),
        json!({ "token": "x".repeat(65) }),
        json!({ "length": 0 }),
        json!({ "length": 65 }),
        json!({ "uses_allowed": -1 }),
        json!({ "uses_allowed": "1" }),
        json!({ "expiry_time": 5 }),
        json!({ "expiry_time": 1.5 }),
        json!({ "expiry_time": 9_007_199_254_740_992_u64 }),
        json!({ "uses_allowed": u64::MAX }),
        json!({ "token": 5 }),
        json!({ "length": "x" }),
    ] {
        tokens.ask("POST /new", &body).refused(400, "M_INVALID_PARAM");
    }
    tokens.ask("POST /new", &json!(["a"])).refused(400, "M_BAD_JSON");
    tokens.ask("POST /new", &json!({ "token": "a" })).ok();
    tokens.ask("POST /new", &json!({ "token": "a" })).refused(400, "M_INVALID_PARAM");
    tokens.ask("GET ?valid=maybe", &Value::Null).refused(400, "M_INVALID_PARAM");
    for line in ["GET /none", "PUT /none", "DELETE /none"] {
        tokens.ask(line, &json!({})).refused(404, "M_NOT_FOUND");
    }
    let user = User::of(&tokens.scene.server, &tokens.register("user", "a")).unwrap();
    for line in ["GET ", "POST /new", "GET /a", "PUT /a", "DELETE /a"] {
        let (method, rest) = line.split_once(' ').unwrap();
        let line = format!("{method} {TOKENS}{rest}");
        tokens.scene.call(Some(&user), &line, &json!({})).refused(403, "M_FORBIDDEN");
        tokens.scene.call(None, &line, &json!({})).refused(401, "M_MISSING_TOKEN");
    }
}

#[test]
fn where_registration_is_closed_no_token_is_valid_and_where_it_is_open_none_is_asked_for() {
    let scene = |kind: &str| Scene::new(Rc::new(Tombolo), "ours.test", &[("REGISTRATION", kind)]);
    let valid = |scene: &Scene| scene.call(None, &format!("{VALIDITY}a"), &Value::Null);
    valid(&scene("closed")).refused(403, "M_FORBIDDEN");
    assert_eq!(valid(&scene("open")).ok(), json!({ "valid": false }));
}
