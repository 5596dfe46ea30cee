//! Calls about containers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{networks::Listing, refusal::Refusal};
use crate::engine::{
    Engine,
    addresses::{CLIENT, FEDERATION},
    container::Container,
    labels::Labels,
    ledger::NewContainer,
    logs, usage,
};

type Engined = State<Arc<Engine>>;

/// How long a server that is to stop is waited for when the call does not say.
const PATIENCE: u64 = 10;

/// A container to be made. What else Docker could be told (limits, mounts, capabilities) has no meaning here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wanted {
    image: String,
    env: Option<Vec<String>>,
    labels: Option<Labels>,
    networking_config: Option<Networking>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networking {
    endpoints_config: Option<BTreeMap<String, Endpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    aliases: Option<Vec<String>>,
}

/// The name of a container to be made.
#[derive(Deserialize)]
pub struct Named {
    #[serde(default)]
    name: String,
}

/// How long to wait for a server that is to stop, in seconds.
#[derive(Deserialize)]
pub struct Stopping {
    t: Option<u64>,
}

pub async fn list(
    State(engine): Engined,
    Query(listing): Query<Listing>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let filter = listing.filter()?;
    let ledger = engine.ledger.lock().await;
    let plans = ledger.containers().map(|container| &container.plan);
    let shown = plans.filter(|plan| filter.admits(&plan.labels)).map(
        |plan| json!({ "Id": plan.id, "Names": [format!("/{}", plan.name)], "Labels": plan.labels }),
    );
    Ok(Json(shown.collect()))
}

pub async fn create(
    State(engine): Engined,
    Query(Named { name }): Query<Named>,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut ledger = engine.ledger.lock().await;
    if ledger.containers().any(|container| container.plan.name == name) {
        return Err(Refusal::Taken(name));
    }
    let endpoints = wanted.networking_config.and_then(|networking| networking.endpoints_config);
    let networks: BTreeMap<String, Vec<String>> = endpoints
        .unwrap_or_default()
        .into_iter()
        .map(|(network, endpoint)| (network, endpoint.aliases.unwrap_or_default()))
        .collect();
    if let Some(missing) = networks.keys().find(|network| ledger.network(network).is_none()) {
        return Err(Refusal::Unknown(format!("network: {missing}")));
    }
    let new = NewContainer {
        name,
        image: wanted.image,
        labels: wanted.labels.unwrap_or_default(),
        env: wanted.env.unwrap_or_default(),
        networks,
    };
    let made = ledger.create(new).await?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": made.plan.id, "Warnings": [] }))))
}

pub async fn inspect(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let container = find(&engine, &wanted).await?;
    let condition = container.condition().await;
    let published = |port: u16| json!([{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }]);
    let ports = if condition.running {
        json!({
            format!("{CLIENT}/tcp"): published(container.client.port),
            format!("{FEDERATION}/tcp"): published(container.federation.port),
        })
    } else {
        json!({})
    };
    let plan = &container.plan;
    Ok(Json(json!({
        "Id": plan.id,
        "Name": format!("/{}", plan.name),
        "State": { "Running": condition.running, "Status": condition.status, "Pid": condition.pid },
        "Config": { "Labels": plan.labels, "Env": plan.env },
        "NetworkSettings": { "Ports": ports },
    })))
}

pub async fn archive(
    State(engine): Engined,
    Path(wanted): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    find(&engine, &wanted).await?.unpack(&*body)?;
    Ok(StatusCode::OK)
}

pub async fn start(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Refusal> {
    let container = find(&engine, &wanted).await?;
    run(&engine, &container).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn stop(
    State(engine): Engined,
    Path(wanted): Path<String>,
    Query(Stopping { t }): Query<Stopping>,
) -> Result<StatusCode, Refusal> {
    let patience = Duration::from_secs(t.unwrap_or(PATIENCE));
    find(&engine, &wanted).await?.stop(patience).await;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn kill(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Refusal> {
    find(&engine, &wanted).await?.kill().await;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn pause(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Refusal> {
    find(&engine, &wanted).await?.pause(true).await;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn unpause(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Refusal> {
    find(&engine, &wanted).await?.pause(false).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Complement asks for the logs of shared servers when a test has failed. One that the test left stopped would make all
/// tests after it fail, so it is started again.
pub async fn logs(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let container = find(&engine, &wanted).await?;
    let log = container.log();
    if container.is_shared() && !container.condition().await.running {
        run(&engine, &container).await?;
        container.until_it_answers().await;
    }
    let kind = [(header::CONTENT_TYPE, "application/vnd.docker.multiplexed-stream")];
    Ok((kind, logs::framed(&log)))
}

pub async fn stats(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let container = find(&engine, &wanted).await?;
    let used = usage::of_group(container.condition().await.pid);
    let bytes = |op: &str, value: u64| json!({ "major": 0, "minor": 0, "op": op, "value": value });
    Ok(Json(json!({
        "cpu_stats": { "cpu_usage": {
            "total_usage": used.user_ns + used.kernel_ns,
            "usage_in_usermode": used.user_ns,
            "usage_in_kernelmode": used.kernel_ns,
        } },
        "memory_stats": { "usage": used.memory },
        "blkio_stats": { "io_service_bytes_recursive": [
            bytes("read", used.read),
            bytes("write", used.written),
        ] },
    })))
}

pub async fn remove(
    State(engine): Engined,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Refusal> {
    let container = find(&engine, &wanted).await?;
    container.kill().await;
    engine.ledger.lock().await.forget(&container.plan.id)?;
    tokio::fs::remove_dir_all(&container.plan.folder).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn run(engine: &Engine, container: &Container) -> Result<(), Refusal> {
    let hosts = engine.ledger.lock().await.hosts(container)?;
    Ok(container.start(&engine.serve, &hosts).await?)
}

async fn find(engine: &Engine, wanted: &str) -> Result<Arc<Container>, Refusal> {
    let found = engine.ledger.lock().await.container(wanted).cloned();
    found.ok_or_else(|| Refusal::Unknown(format!("container: {wanted}")))
}
