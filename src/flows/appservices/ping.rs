//! Does an application service answer?
//! ([ping](https://spec.matrix.org/v1.19/application-service-api/#pinging))
//!
//! One that does is up: what it is owed is sent at once.

use bytes::Bytes;
use serde::Serialize;
use tombolo_platform::World;

use super::Appservice;
use crate::{
    flows::ours::Ours,
    objects::{appservice::messages::Retry, appservice_object},
    remote::appservices::{self as remote, Undone},
};

/// Why a service is not known to be up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpinged {
    #[error("The application service has no URL")]
    NoUrl,
    #[error("The application service answers {status}")]
    BadStatus { status: u16, body: String },
    #[error("The application service cannot be reached: {0}")]
    ConnectionFailed(String),
    #[error("The application service did not answer in time")]
    ConnectionTimeout,
    #[error(transparent)]
    Ours(#[from] Ours),
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
}

/// Asks a service whether it is there; answers how long that took (ms).
pub async fn ping(
    world: &World,
    service: &Appservice,
    transaction_id: Option<&str>,
) -> Result<u64, Unpinged> {
    let place = service.place().ok_or(Unpinged::NoUrl)?;
    let body = serde_json::to_vec(&Content { transaction_id }).map_err(Ours::from)?;
    let began = world.now();
    remote::ping(world, place, Bytes::from(body)).await.map_err(|undone| match undone {
        Undone::Answered { status, body } => Unpinged::BadStatus { status, body },
        Undone::TimedOut => Unpinged::ConnectionTimeout,
        Undone::Unreachable(_) | Undone::Refused(_) | Undone::Tokenless | Undone::Unread(_) => {
            Unpinged::ConnectionFailed(undone.to_string())
        }
    })?;
    let took = world.now().saturating_sub(began);
    // The service is up, whether or not its object hears of it: that tries again by itself.
    if let Err(error) = world.ask(&appservice_object(service.id()), &Retry {}).await {
        tracing::warn!(id = service.id(), %error, "an application service waits for its back-off");
    }
    Ok(took)
}
