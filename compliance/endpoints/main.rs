//! Does every route of the specification answer, or stand in a list with the reason why not? `routes.txt` names the
//! routes of [v1.19](https://spec.matrix.org/v1.19/), `unbuilt.txt` those that answer as if there were none.
//!
//! Run by `make test-endpoints`: it asks a server that `local/serve` runs, so it is ignored elsewhere.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod lists;
mod server;

use std::collections::BTreeSet;

use self::{
    lists::{Route, routes, unbuilt},
    server::Server,
};

#[tokio::test]
#[ignore = "starts a server"]
async fn every_route_answers_or_its_absence_has_a_reason() {
    let server = Server::start();
    let mut absent = BTreeSet::new();
    for route in routes() {
        let answer = server.ask(&route).await;
        assert!(answer.status < 500, "{route} answers {}", answer.status);
        if answer.is_of_no_route() {
            absent.insert(route);
        }
    }
    let listed: BTreeSet<Route> = unbuilt().into_keys().collect();
    let unlisted: Vec<String> = absent.difference(&listed).map(Route::to_string).collect();
    let answering: Vec<String> = listed.difference(&absent).map(Route::to_string).collect();
    assert!(
        unlisted.is_empty() && answering.is_empty(),
        "not in unbuilt.txt, but do not answer: {unlisted:#?}\nin unbuilt.txt, but answer: {answering:#?}"
    );
}

#[test]
fn a_route_is_listed_once_and_an_absent_one_has_a_reason() {
    let all: BTreeSet<Route> = routes().into_iter().collect();
    assert_eq!(all.len(), routes().len());
    for (route, reason) in unbuilt() {
        assert!(all.contains(&route), "{route} is no route of the specification");
        assert!(!reason.is_empty(), "{route} has no reason");
    }
}

#[test]
fn arguments_are_such_as_could_be_meant() {
    let path = |line: &str| Route::parse(line).unwrap().0.example();
    assert_eq!(path("GET /rooms/{roomId}/event/{eventId}"), "/rooms/%21r:localhost/event/%24e");
    assert_eq!(path("GET /users/{userId}/x/{other}"), "/users/@u:localhost/x/x");
}
