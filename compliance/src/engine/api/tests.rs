//! Are calls understood as Docker's client writes them?

use axum::{
    body::{Body, to_bytes},
    http::StatusCode,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

#[test]
fn a_version_in_front_of_the_path_says_nothing() {
    let path = |uri: &str| without_version(&uri.parse().unwrap()).to_string();
    assert_eq!(path("/v1.48/images/json?filters=%7B%7D"), "/images/json?filters=%7B%7D");
    assert_eq!(path("/images/json"), "/images/json");
    assert_eq!(path("/_ping"), "/_ping");
    assert_eq!(path("/volumes/v1.48"), "/volumes/v1.48");
    assert_eq!(path("/vault/x"), "/vault/x");
}

async fn call(router: &Router, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["api-version"], "1.48");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn what_is_unknown_is_said_to_be() {
    let router = router(Engine::new().unwrap());
    let (status, body) = call(&router, "GET", "/containers/x/json", json!({})).await;
    assert_eq!((status, &body["message"]), (StatusCode::NOT_FOUND, &json!("No such container: x")));
    let (status, body) = call(&router, "GET", "/volumes", json!({})).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(body["message"], "GET /volumes is not built");
    assert_eq!(call(&router, "GET", "/commit", json!({})).await.0, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_container_is_made_in_a_network_and_is_not_running() {
    let router = router(Engine::new().unwrap());
    let network = json!({ "Name": "net", "Labels": { "pkg": "fed" } });
    assert_eq!(call(&router, "POST", "/networks/create", network).await.0, StatusCode::CREATED);
    let wanted = json!({
        "Image": "any",
        "Env": ["SERVER_NAME=hs1"],
        "Labels": { "pkg": "fed" },
        "HostConfig": { "PublishAllPorts": true },
        "NetworkingConfig": { "EndpointsConfig": { "net": { "Aliases": ["hs1"] } } },
    });
    let (status, made) = call(&router, "POST", "/containers/create?name=one", wanted.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, seen) = call(&router, "GET", "/containers/one/json", json!({})).await;
    assert_eq!(seen["Id"], made["Id"]);
    assert_eq!(seen["State"]["Running"], false);
    assert_eq!(seen["NetworkSettings"]["Ports"], json!({}));
    let again = call(&router, "POST", "/containers/create?name=one", wanted).await;
    assert_eq!(again.0, StatusCode::CONFLICT);
    let listed = |filter| format!("/containers/json?all=1&filters={filter}");
    let mine = listed("%7B%22label%22:%7B%22pkg=fed%22:true%7D%7D");
    let (_, list) = call(&router, "GET", &mine, json!({})).await;
    assert_eq!(list[0]["Names"], json!(["/one"]));
    let theirs = listed("%7B%22label%22:%7B%22pkg=csapi%22:true%7D%7D");
    assert_eq!(call(&router, "GET", &theirs, json!({})).await.1, json!([]));
    let removed = call(&router, "DELETE", "/containers/one?force=1", json!({})).await;
    assert_eq!(removed.0, StatusCode::NO_CONTENT);
}
