//! Calls about networks.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::engine::{
    Engine,
    labels::{Filter, Labels},
    ledger::Network,
};

/// What lists are asked with.
#[derive(Deserialize)]
pub struct Listing {
    filters: Option<String>,
}

impl Listing {
    /// Which labels are asked for.
    pub fn filter(&self) -> Result<Filter, Refusal> {
        let filter = Filter::parse(self.filters.as_deref());
        filter.map_err(|error| Refusal::Malformed(format!("filters: {error}")))
    }
}

/// A network to be made.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wanted {
    name: String,
    labels: Option<Labels>,
}

pub async fn list(
    State(engine): State<Arc<Engine>>,
    Query(listing): Query<Listing>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let filter = listing.filter()?;
    let ledger = engine.ledger.lock().await;
    let networks = ledger.networks.iter().filter(|(_, network)| filter.admits(&network.labels));
    let shown = networks.map(|(id, Network { name, labels })| {
        json!({ "Id": id, "Name": name, "Labels": labels, "Driver": "bridge", "Scope": "local" })
    });
    Ok(Json(shown.collect()))
}

pub async fn create(
    State(engine): State<Arc<Engine>>,
    Json(wanted): Json<Wanted>,
) -> (StatusCode, Json<Value>) {
    let mut ledger = engine.ledger.lock().await;
    let id = ledger.fresh_id();
    let network = Network { name: wanted.name, labels: wanted.labels.unwrap_or_default() };
    ledger.networks.insert(id.clone(), network);
    (StatusCode::CREATED, Json(json!({ "Id": id, "Warning": "" })))
}

/// A network that containers are in stays, and that is no failure: Complement removes networks while it still has
/// images that were made in them.
pub async fn remove(
    State(engine): State<Arc<Engine>>,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Refusal> {
    let mut ledger = engine.ledger.lock().await;
    let id = ledger.network(&wanted).cloned();
    let id = id.ok_or_else(|| Refusal::Unknown(format!("network: {wanted}")))?;
    ledger.remove_network(&id);
    Ok(StatusCode::NO_CONTENT)
}
