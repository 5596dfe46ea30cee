//! How do clients find each other's keys, and reach each other's devices?
//! ([end-to-end encryption](https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption))

mod backup;
mod changes;
mod claim;
mod cross_signing;
mod dehydrated_device;
mod query;
mod restore;
mod to_device;
mod upload;

pub use self::upload::USUAL;

use std::collections::BTreeMap;

use ruma::OwnedServerName;
use serde_json::{Value, json};

use crate::{http::router::Router, remote::RemoteError};

/// Registers the routes.
pub fn routes(router: &mut Router) {
    upload::routes(router);
    query::routes(router);
    claim::routes(router);
    changes::routes(router);
    cross_signing::routes(router);
    to_device::routes(router);
    dehydrated_device::routes(router);
    backup::routes(router);
    restore::routes(router);
}

/// The servers that did not answer, as `failures`. What they said is theirs, and not passed on.
fn failures(failures: BTreeMap<OwnedServerName, RemoteError>) -> BTreeMap<OwnedServerName, Value> {
    let failed = failures.into_iter().map(|(server, error)| {
        let message = match error {
            RemoteError::Answered { status, .. } => format!("it answered with {status}"),
            _ => "it could not be reached".to_owned(),
        };
        (server, json!({ "errcode": "M_UNKNOWN", "error": message }))
    });
    failed.collect()
}
