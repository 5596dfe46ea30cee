//! To which threads is a user subscribed, and of which are they notified?
//! ([MSC4306](https://github.com/matrix-org/matrix-spec-proposals/pull/4306),
//! [MSC4308](https://github.com/matrix-org/matrix-spec-proposals/pull/4308))

use serde_json::{Value, json};
use tombolo_support::{Answer, User, encode, text};

use super::{one_server, one_server_with, related::Told};

const MESSAGE: &str = "m.room.message";
const CONFLICT: &str = "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION";
const ELSEWHERE: &str = "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD";

fn told() -> Told {
    Told::on(one_server_with(&[("THREAD_SUBSCRIPTIONS", "on")]))
}

impl Told {
    fn subscription(&self, user: &User, method: &str, root: &str, body: &Value) -> Answer {
        let (room, root) = (encode(&self.room), encode(root));
        let path = format!("/_matrix/client/unstable/io.element.msc4306/rooms/{room}");
        let line = format!("{method} {path}/thread/{root}/subscription");
        self.scene.call(Some(user), &line, body)
    }

    fn subscribe(&self, user: &User, root: &str, cause: Option<&str>) -> Answer {
        let body = cause.map_or_else(|| json!({}), |cause| json!({ "automatic": cause }));
        self.subscription(user, "PUT", root, &body)
    }

    fn unsubscribe(&self, user: &User, root: &str) {
        self.subscription(user, "DELETE", root, &Value::Null).ok();
    }

    /// Whether a client subscribed by itself, if the user is subscribed.
    fn automatic(&self, user: &User, root: &str) -> Option<bool> {
        let answer = self.subscription(user, "GET", root, &Value::Null);
        match answer.status {
            200 => answer.ok()["automatic"].as_bool(),
            _ => {
                answer.refused(404, "M_NOT_FOUND");
                None
            }
        }
    }

    fn answer(&self, user: &User) -> String {
        self.relate(user, MESSAGE, "m.thread", &self.root)
    }

    fn page(&self, user: &User, query: &str) -> Answer {
        let path = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions";
        self.scene.get(user, &format!("{path}{query}"))
    }

    /// The bump stamps of a page: of threads with and without a subscription.
    fn stamps(&self, user: &User, query: &str) -> [Vec<(String, i64)>; 2] {
        let page = self.page(user, query).ok();
        ["subscribed", "unsubscribed"].map(|kind| {
            let threads = page[kind][&self.room].as_object().cloned().unwrap_or_default();
            let stamp = |(root, thread): (String, Value)| (root, thread["bump_stamp"].as_i64());
            threads.into_iter().map(stamp).map(|(root, at)| (root, at.unwrap())).collect()
        })
    }
}

#[test]
fn the_users_own_subscription_replaces_an_automatic_one_and_not_the_other_way() {
    let told = told();
    let alice = &told.alice;
    assert_eq!(told.automatic(alice, &told.root), None);
    let answer = told.answer(alice);
    told.subscribe(alice, &told.root, Some(&answer)).ok();
    assert_eq!(told.automatic(alice, &told.root), Some(true));
    told.subscribe(alice, &told.root, None).ok();
    assert_eq!(told.automatic(alice, &told.root), Some(false));
    told.subscribe(alice, &told.root, Some(&answer)).ok();
    assert_eq!(told.automatic(alice, &told.root), Some(false));
    told.unsubscribe(alice, &told.root);
    told.unsubscribe(alice, &told.root);
    assert_eq!(told.automatic(alice, &told.root), None);
    told.subscribe(alice, &told.root, None).ok();
    assert_eq!(told.automatic(alice, &told.root), Some(false));
}

#[test]
fn an_event_of_before_an_unsubscription_subscribes_no_more() {
    let told = told();
    let alice = &told.alice;
    let one = told.answer(alice);
    told.subscribe(alice, &told.root, Some(&one)).ok();
    let two = told.answer(alice);
    told.unsubscribe(alice, &told.root);
    let three = told.answer(alice);
    for old in [&one, &two] {
        told.subscribe(alice, &told.root, Some(old)).refused(409, CONFLICT);
        assert_eq!(told.automatic(alice, &told.root), None);
    }
    told.subscribe(alice, &told.root, Some(&three)).ok();
    assert_eq!(told.automatic(alice, &told.root), Some(true));
    // The subscription is there, whichever event a client names.
    told.subscribe(alice, &told.root, Some(&one)).ok();
}

#[test]
fn a_cause_is_an_event_in_the_thread_that_the_user_sees() {
    let told = told();
    let alice = &told.alice;
    let bob = told.joined("bob");
    let other = told.scene.say(alice, &told.room, "other");
    let elsewhere = told.relate(alice, MESSAGE, "m.thread", &other);
    let reference = told.relate(alice, MESSAGE, "m.reference", &told.root);
    for cause in [&told.root, &other, &elsewhere, &reference] {
        told.subscribe(alice, &told.root, Some(cause)).refused(400, ELSEWHERE);
    }
    told.subscribe(alice, &told.root, Some("$unknown")).refused(404, "M_NOT_FOUND");
    told.subscribe(alice, &told.root, Some("x")).refused(400, "M_INVALID_PARAM");
    told.subscription(alice, "PUT", &told.root, &json!({ "automatic": 1 }))
        .refused(400, "M_BAD_JSON");
    told.subscription(alice, "PUT", &told.root, &Value::Null).refused(400, "M_NOT_JSON");
    let of_bob = told.answer(&bob);
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", alice.id);
    let content = json!({ "ignored_users": { &bob.id: {} } });
    told.scene.call(Some(alice), &line, &content).ok();
    told.subscribe(alice, &told.root, Some(&of_bob)).refused(404, "M_NOT_FOUND");
    told.subscription(alice, "PUT", &told.root, &json!({ "automatic": null })).ok();
    assert_eq!(told.automatic(alice, &told.root), Some(false));
}

#[test]
fn who_sees_no_thread_learns_nothing_of_it() {
    let told = told();
    let carl = told.scene.register("carl");
    let line = "PUT /_matrix/client/unstable/io.element.msc4306/rooms/!no:example.org/thread/$e/subscription";
    let unknown = told.scene.call(Some(&carl), line, &json!({})).refused(404, "M_NOT_FOUND");
    for method in ["GET", "PUT", "DELETE"] {
        let body = if method == "PUT" { json!({}) } else { Value::Null };
        let refused = told.subscription(&carl, method, &told.root, &body);
        let refused = refused.refused(404, "M_NOT_FOUND");
        assert!(method == "GET" || refused == unknown, "a room that is here looks like none");
        let nothing = told.subscription(&told.alice, method, "$no", &body);
        nothing.refused(404, "M_NOT_FOUND");
        told.subscription(&told.alice, method, "no", &body).refused(400, "M_INVALID_PARAM");
    }
    assert_eq!(told.page(&carl, "?dir=b").ok(), json!({}));
}

#[test]
fn a_subscription_goes_with_the_room_that_the_user_forgets() {
    let told = told();
    let bob = told.joined("bob");
    told.subscribe(&bob, &told.root, None).ok();
    told.scene.act(&bob, &told.room, "leave", &json!({})).ok();
    assert_eq!(told.automatic(&bob, &told.root), Some(false));
    told.scene.act(&bob, &told.room, "forget", &json!({})).ok();
    assert_eq!(told.page(&bob, "?dir=b").ok(), json!({}));
    told.subscribe(&bob, &told.root, None).refused(404, "M_NOT_FOUND");
    told.scene.act(&bob, &told.room, "join", &json!({})).ok();
    assert_eq!(told.automatic(&bob, &told.root), None);
}

#[test]
fn pages_go_back_from_the_newest_change() {
    let told = told();
    let alice = &told.alice;
    let roots = [(); 5].map(|()| told.scene.say(alice, &told.room, "root"));
    roots.iter().for_each(|root| _ = told.subscribe(alice, root, None).ok());
    told.unsubscribe(alice, &roots[0]);
    let of = |threads: &[(String, i64)]| -> Vec<String> {
        let mut threads = threads.to_vec();
        threads.sort_by_key(|(_, at)| -at);
        threads.into_iter().map(|(root, _)| root).collect()
    };
    let [subscribed, unsubscribed] = told.stamps(alice, "?dir=b&limit=3");
    assert_eq!(of(&subscribed), [&*roots[4], &*roots[3]]);
    assert_eq!(of(&unsubscribed), [&*roots[0]]);
    let page = told.page(alice, "?dir=b&limit=3").ok();
    assert_eq!(page["subscribed"][&told.room][&roots[4]]["automatic"], json!(false));
    assert!(page["unsubscribed"][&told.room][&roots[0]].get("automatic").is_none());
    let next = text(&page["end"]);
    let rest = format!("?dir=b&limit=2&from={next}");
    assert_eq!(of(&told.stamps(alice, &rest)[0]), [&*roots[2], &*roots[1]]);
    assert!(told.page(alice, &rest).ok().get("end").is_none(), "these were the last");
    let since = text(&told.scene.sync(alice, "")["next_batch"]);
    assert_eq!(told.page(alice, &format!("?dir=b&to={since}")).ok(), json!({}));
    told.subscribe(alice, &roots[0], None).ok();
    let [subscribed, unsubscribed] = told.stamps(alice, &format!("?dir=b&to={since}"));
    assert_eq!((of(&subscribed), unsubscribed), (vec![roots[0].clone()], Vec::new()));
    let [all, none] = told.stamps(alice, "?dir=b");
    assert_eq!((all.len(), none.len()), (5, 0), "a thread is told of once");
    for bad in ["", "?dir="] {
        assert_eq!(told.page(alice, bad).status, 400);
    }
    for bad in
        ["dir=f", "dir=b&limit=0", "dir=b&limit=-1", "dir=b&limit=x", "dir=b&from=t1", "dir=b&to=x"]
    {
        told.page(alice, &format!("?{bad}")).refused(400, "M_INVALID_PARAM");
    }
    assert_eq!(told.stamps(alice, "?dir=b&limit=99999999999")[0].len(), 5);
}

#[test]
fn a_subscription_is_no_news_to_a_sync_without_a_place_for_it() {
    let told = told();
    told.scene.pass(5000);
    let since = text(&told.scene.sync(&told.alice, "")["next_batch"]);
    told.subscribe(&told.alice, &told.root, None).ok();
    let sync = told.scene.sync(&told.alice, &format!("since={since}&timeout=1000"));
    assert!(sync.get("rooms").is_none_or(|rooms| rooms.get("join").is_none()), "{sync}");
}

#[test]
fn users_are_notified_of_threads_that_they_are_subscribed_to_and_of_mentions() {
    let told = told();
    let bob = told.joined("bob");
    let unread = || {
        told.scene.pass(5000);
        let sync = told.scene.sync(&bob, "");
        let room = &sync["rooms"]["join"][&told.room];
        room["unread_notifications"]["notification_count"].as_i64().unwrap()
    };
    let before = unread();
    told.answer(&told.alice);
    assert_eq!(unread(), before, "a thread without a subscription is silent");
    let mention = json!({ "msgtype": "m.text", "body": "hi", "m.mentions": { "user_ids": [bob.id] },
        "m.relates_to": { "rel_type": "m.thread", "event_id": told.root } });
    told.scene.put(&told.alice, &told.room, "send/m.room.message/m", &mention).ok();
    assert_eq!(unread(), before + 1);
    told.scene.say(&told.alice, &told.room, "in the main thread");
    assert_eq!(unread(), before + 2);
    told.subscribe(&bob, &told.root, None).ok();
    // A thread to which the user is subscribed is heard in a room that is mute.
    let line = format!("PUT /_matrix/client/v3/pushrules/global/room/{}", encode(&told.room));
    told.scene.call(Some(&bob), &line, &json!({ "actions": [] })).ok();
    told.answer(&told.alice);
    assert_eq!(unread(), before + 3);
    told.unsubscribe(&bob, &told.root);
    told.answer(&told.alice);
    assert_eq!(unread(), before + 3);
}

#[test]
fn the_rules_of_threads_can_be_disabled_and_none_added() {
    let told = told();
    let bob = told.joined("bob");
    let rules = "/_matrix/client/v3/pushrules/global/";
    let ids = || -> Vec<(String, bool)> {
        let rules = told.scene.get(&bob, rules).ok();
        let rules = rules["postcontent"].as_array().unwrap().iter();
        rules.map(|rule| (text(&rule["rule_id"]), rule["enabled"].as_bool().unwrap())).collect()
    };
    let named = |name: &str, enabled| (format!(".io.element.msc4306.rule.{name}"), enabled);
    assert_eq!(ids(), [named("unsubscribed_thread", true), named("subscribed_thread", true)]);
    let one = format!("{rules}postcontent/{}", named("unsubscribed_thread", true).0);
    let rule = told.scene.get(&bob, &one).ok();
    let condition =
        json!([{ "kind": "io.element.msc4306.thread_subscription", "subscribed": false }]);
    assert_eq!((&rule["conditions"], &rule["actions"]), (&condition, &json!([])));
    let call = |method: &str, path: &str, body: &Value| {
        told.scene.call(Some(&bob), &format!("{method} {path}"), body)
    };
    call("PUT", &format!("{one}/enabled"), &json!({ "enabled": false })).ok();
    assert_eq!(ids(), [named("unsubscribed_thread", false), named("subscribed_thread", true)]);
    told.scene.pass(5000);
    told.answer(&told.alice);
    told.scene.pass(5000);
    let sync = told.scene.sync(&bob, "");
    let unread = &sync["rooms"]["join"][&told.room]["unread_notifications"];
    assert_eq!(unread["notification_count"], json!(1), "threads are heard again");
    call("PUT", &format!("{one}/actions"), &json!({ "actions": ["notify"] })).ok();
    assert_eq!(told.scene.get(&bob, &format!("{one}/actions")).ok()["actions"], json!(["notify"]));
    let new = json!({ "conditions": [], "actions": ["notify"] });
    call("PUT", &format!("{rules}postcontent/mine"), &new).refused(400, "M_INVALID_PARAM");
    call("DELETE", &one, &Value::Null).refused(400, "M_INVALID_PARAM");
    call("PUT", &format!("{one}/enabled"), &json!({ "enabled": true })).ok();
    assert_eq!(ids(), [named("unsubscribed_thread", true), named("subscribed_thread", true)]);
}

#[test]
fn without_the_operators_word_there_are_no_subscriptions() {
    let told = Told::on(one_server());
    let feature = |told: &Told| {
        let versions = told.scene.get(&told.alice, "/_matrix/client/versions").ok();
        versions["unstable_features"]["org.matrix.msc4306"].clone()
    };
    assert_eq!((feature(&told), feature(&self::told())), (json!(false), json!(true)));
    told.subscribe(&told.alice, &told.root, None).refused(404, "M_UNRECOGNIZED");
    told.page(&told.alice, "?dir=b").refused(404, "M_UNRECOGNIZED");
    let rules = told.scene.get(&told.alice, "/_matrix/client/v3/pushrules/global/").ok();
    assert!(rules.get("postcontent").is_none());
}
