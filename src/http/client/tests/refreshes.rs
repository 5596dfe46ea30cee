//! When does a session that can be refreshed expire, and which one dies when?

use serde_json::{Value, json};
use tombolo_support::{PASSWORD, Scene, User};

use super::{one_server, one_server_with};

const LIFETIME: u64 = 300_000;

/// A session with its refresh token.
struct Pair {
    user: User,
    refresh: Value,
}

impl Pair {
    fn of(scene: &Scene, id: &str, answer: &Value) -> Self {
        let token = answer["access_token"].as_str().unwrap().to_owned();
        let user = User { server: scene.server.clone(), id: id.to_owned(), token };
        assert_eq!(answer["expires_in_ms"], LIFETIME);
        Self { user, refresh: answer["refresh_token"].clone() }
    }

    /// A session of alice that can be refreshed.
    fn opened(scene: &Scene) -> Self {
        let id = scene.register("alice").id;
        let identifier = json!({ "type": "m.id.user", "user": id });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "refresh_token": true });
        let answer = scene.call(None, "POST /_matrix/client/v3/login", &body).ok();
        Self::of(scene, &id, &answer)
    }

    /// The session that replaces this one.
    #[track_caller]
    fn refreshed(&self, scene: &Scene) -> Self {
        Self::of(scene, &self.user.id, &ask(scene, &self.refresh).ok())
    }

    fn is_alive(&self, scene: &Scene) -> bool {
        scene.get(&self.user, "/_matrix/client/v3/account/whoami").status == 200
    }
}

fn ask(scene: &Scene, refresh: &Value) -> tombolo_support::Answer {
    scene.call(None, "POST /_matrix/client/v3/refresh", &json!({ "refresh_token": refresh }))
}

#[test]
fn a_session_expires_softly_and_goes_on_refreshed() {
    let scene = one_server();
    let first = Pair::opened(&scene);
    scene.pass(LIFETIME - 1000);
    assert!(first.is_alive(&scene));
    scene.pass(1000);
    let whoami = "/_matrix/client/v3/account/whoami";
    let refused = scene.get(&first.user, whoami).refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(refused["soft_logout"], true);
    let second = first.refreshed(&scene);
    assert!(second.is_alive(&scene));
    scene.call(Some(&second.user), "POST /_matrix/client/v3/logout", &json!({})).ok();
    ask(&scene, &second.refresh).refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn the_old_session_lives_until_the_new_one_is_used() {
    let scene = one_server();
    let first = Pair::opened(&scene);
    // The answer to the first refresh was lost.
    let lost = first.refreshed(&scene);
    let second = first.refreshed(&scene);
    assert!(!lost.is_alive(&scene), "it was replaced before it was used");
    assert!(first.is_alive(&scene));
    assert!(second.is_alive(&scene));
    let whoami = "/_matrix/client/v3/account/whoami";
    let refused = scene.get(&first.user, whoami).refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(refused["soft_logout"], true, "the new access token was used; the device is there");
    let logout = "POST /_matrix/client/v3/logout";
    scene.call(Some(&first.user), logout, &json!({})).refused(401, "M_UNKNOWN_TOKEN");
    assert!(second.is_alive(&scene));
    ask(&scene, &first.refresh).refused(401, "M_UNKNOWN_TOKEN");
    // The use of a refresh token counts, too.
    let third = second.refreshed(&scene);
    let fourth = third.refreshed(&scene);
    assert!(!second.is_alive(&scene) && fourth.is_alive(&scene));
}

#[test]
fn a_refresh_token_is_no_access_token_nor_the_other_way_round() {
    let scene = one_server();
    let pair = Pair::opened(&scene);
    let token = pair.refresh.as_str().unwrap().to_owned();
    let swapped = User { token, ..pair.user.clone() };
    let whoami = "/_matrix/client/v3/account/whoami";
    scene.get(&swapped, whoami).refused(401, "M_UNKNOWN_TOKEN");
    ask(&scene, &json!(pair.user.token)).refused(401, "M_UNKNOWN_TOKEN");
    ask(&scene, &json!("tmr.YQ.x.AAAA")).refused(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_client_that_cannot_refresh_gets_a_session_that_stays() {
    let scene = one_server();
    let alice = scene.register("alice");
    scene.pass(10 * LIFETIME);
    scene.get(&alice, "/_matrix/client/v3/account/whoami").ok();
}

#[test]
fn an_expired_session_can_be_logged_out() {
    for all in [false, true] {
        let scene = one_server();
        let first = Pair::opened(&scene);
        scene.pass(LIFETIME);
        let line = format!("POST /_matrix/client/v3/logout{}", if all { "/all" } else { "" });
        scene.call(Some(&first.user), &line, &json!({})).ok();
        ask(&scene, &first.refresh).refused(401, "M_UNKNOWN_TOKEN");
        let refused = scene.call(Some(&first.user), &line, &json!({}));
        assert_eq!(refused.refused(401, "M_UNKNOWN_TOKEN")["soft_logout"], false);
    }
}

#[test]
fn strangers_use_up_no_refreshes() {
    let scene = one_server_with(&[("RATE_LIMITS", "on")]);
    let first = Pair::opened(&scene);
    let login = "POST /_matrix/client/v3/login";
    let guess = |number: u32| {
        let user = format!("nobody{number}");
        let body = json!({ "type": "m.login.password", "user": user, "password": "x" });
        scene.call(None, login, &body).status
    };
    assert!((0..30).map(guess).any(|status| status == 429));
    assert!(first.refreshed(&scene).is_alive(&scene));
}
