//! Calls about images: the data of servers that a blueprint has set up.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{networks::Listing, refusal::Refusal};
use crate::engine::{
    Engine,
    labels::{Labels, set_by},
};

pub async fn list(
    State(engine): State<Arc<Engine>>,
    Query(listing): Query<Listing>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let filter = listing.filter()?;
    let ledger = engine.ledger.lock().await;
    let images = ledger.images.iter().filter(|(_, image)| filter.admits(&image.labels));
    let shown = images.map(|(id, image)| {
        json!({ "Id": format!("sha256:{id}"), "RepoTags": [image.tag], "Labels": image.labels })
    });
    Ok(Json(shown.collect()))
}

pub async fn remove(
    State(engine): State<Arc<Engine>>,
    Path(wanted): Path<String>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let mut ledger = engine.ledger.lock().await;
    let id = ledger.image(&wanted).map(|(id, _)| id.clone());
    let removed = id.and_then(|id| ledger.images.remove(&id));
    let image = removed.ok_or_else(|| Refusal::Unknown(format!("image: {wanted}")))?;
    tokio::fs::remove_dir_all(image.data).await?;
    Ok(Json(Vec::new()))
}

/// `changes` may come many times, so the query is read as pairs.
pub async fn commit(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let value = |wanted: &str| {
        let pair = query.iter().find(|(key, _)| key == wanted);
        pair.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let changes = query.iter().filter(|(key, _)| key == "changes");
    let set: Labels = changes.filter_map(|(_, change)| set_by(change)).collect();
    let mut ledger = engine.ledger.lock().await;
    let wanted = value("container");
    let container = ledger.container(wanted).cloned();
    let container = container.ok_or_else(|| Refusal::Unknown(format!("container: {wanted}")))?;
    let tag = format!("{}:{}", value("repo"), value("tag"));
    let id = ledger.commit(&container, tag, set).await?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": format!("sha256:{id}") }))))
}
