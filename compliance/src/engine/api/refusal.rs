//! What is answered when something cannot be done? A status and a message, as Docker's client expects.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a call was not obeyed.
pub enum Refusal {
    /// There is no such thing.
    Unknown(String),
    /// The name is taken.
    Taken(String),
    /// The call itself makes no sense.
    Malformed(String),
    /// The engine does not know the call.
    NotBuilt(String),
    /// The engine could not.
    Fault(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Unknown(what) => (StatusCode::NOT_FOUND, format!("No such {what}")),
            Self::Taken(name) => (StatusCode::CONFLICT, format!("{name} is in use")),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, why),
            Self::NotBuilt(call) => (StatusCode::NOT_IMPLEMENTED, format!("{call} is not built")),
            Self::Fault(fault) => {
                eprintln!("engine: {fault:#}");
                (StatusCode::INTERNAL_SERVER_ERROR, format!("{fault:#}"))
            }
        };
        (status, Json(json!({ "message": message }))).into_response()
    }
}
