//! What do other servers hear that ask for media in a wrong way, or for none?

use tombolo_support::{Answer, Peer};

use super::*;

const MEDIA: &str = "/_matrix/federation/v1/media";

struct Asking {
    scene: Scene,
    peer: Peer,
}

impl Asking {
    fn begin() -> Self {
        let scene = one_server();
        let peer = Peer::new(&scene.simulation, "peer.test", 3);
        Self { scene, peer }
    }

    fn get(&self, path: &str) -> Answer {
        let path = format!("{MEDIA}/{path}");
        let request = self.peer.request(self.scene.server.name(), ("GET", &path), None);
        let answer = self.scene.simulation.run(self.scene.server.request(request));
        Answer::of(answer.unwrap())
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let asking = Asking::begin();
    for id in ["unknown", "..%2Fetc", "a.b", &"a".repeat(256)] {
        asking.get(&format!("download/{id}")).refused(404, "M_NOT_FOUND");
        asking.get(&format!("thumbnail/{id}?width=1&height=1")).refused(404, "M_NOT_FOUND");
    }
}

#[test]
fn what_is_not_uploaded_yet_is_waited_for() {
    let asking = Asking::begin();
    let alice = asking.scene.register("alice");
    let create = "POST /_matrix/media/v1/create";
    let id = media_id(&asking.scene.send(Some(&alice), create, String::new()).ok());
    let begun = asking.scene.simulation.now();
    asking.get(&format!("download/{id}?timeout_ms=3000")).refused(504, "M_NOT_YET_UPLOADED");
    assert!(asking.scene.simulation.now() >= begun + 3000);
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let asking = Asking::begin();
    let alice = asking.scene.register("alice");
    let id = uploaded(&asking.scene, &alice, "", "image/png", "no picture");
    asking.get(&format!("download/{id}?timeout_ms=soon")).refused(400, "M_INVALID_PARAM");
    asking.get(&format!("thumbnail/{id}?width=1")).refused(400, "M_MISSING_PARAM");
    asking.get(&format!("thumbnail/{id}?width=0&height=1")).refused(400, "M_UNKNOWN");
    asking.get(&format!("thumbnail/{id}?width=1&height=1")).refused(400, "M_UNKNOWN");
    let id = uploaded(&asking.scene, &alice, "", "image/gif", HUGE);
    asking.get(&format!("thumbnail/{id}?width=1&height=1")).refused(413, "M_TOO_LARGE");
}

#[test]
fn who_does_not_sign_gets_nothing() {
    let asking = Asking::begin();
    let alice = asking.scene.register("alice");
    let id = uploaded(&asking.scene, &alice, "", "text/plain", "a");
    assert_eq!(asking.get(&format!("download/{id}")).status, 200);
    for path in [format!("download/{id}"), format!("thumbnail/{id}?width=1&height=1")] {
        let line = format!("GET {MEDIA}/{path}");
        asking.scene.send(None, &line, String::new()).refused(401, "M_UNAUTHORIZED");
    }
}
