//! What is answered when a flow fails, or another server?
//!
//! Flows say what happened. Here it becomes a status and an `errcode`, for every surface alike.

use http::StatusCode;

use crate::{
    error::{
        Error, bad_gateway, forbidden, incompatible, internal, invalid_param, not_found,
        unavailable,
    },
    flows::{
        ours::Ours,
        receive::{self, verify::Dropped},
        sync::Unsynced,
    },
    remote::RemoteError,
};

impl From<Ours> for Error {
    fn from(error: Ours) -> Self {
        match error {
            Ours::Unreachable(cause) => unavailable(cause),
            Ours::Broken(cause) => internal(cause),
        }
    }
}

impl From<Unsynced> for Error {
    fn from(error: Unsynced) -> Self {
        match error {
            Unsynced::User(refusal) => refusal.into(),
            Unsynced::Room(refusal) => refusal.into(),
            Unsynced::Ours(error) => error.into(),
        }
    }
}

impl From<receive::Failure> for Error {
    fn from(failure: receive::Failure) -> Self {
        match failure {
            receive::Failure::Remote(error) => error.into(),
            receive::Failure::Room(refusal) => refusal.into(),
            receive::Failure::Ours(error) => error.into(),
        }
    }
}

impl From<Dropped> for Error {
    fn from(dropped: Dropped) -> Self {
        invalid_param(dropped.reason)
    }
}

impl From<RemoteError> for Error {
    /// What another server says about an event or a room is told on; what it says about tokens never is.
    fn from(error: RemoteError) -> Self {
        let RemoteError::Answered { status, errcode, message, room_version } = &error else {
            return bad_gateway(error.to_string());
        };
        let told = |errcode| Self::new(StatusCode::BAD_REQUEST, errcode, message.clone());
        match &**errcode {
            _ if *status == 403 => forbidden(message.clone()),
            _ if error.is_not_found() => not_found(message.clone()),
            "M_INCOMPATIBLE_ROOM_VERSION" => incompatible(message.clone(), room_version.as_deref()),
            "M_UNABLE_TO_AUTHORISE_JOIN" => told("M_UNABLE_TO_AUTHORISE_JOIN"),
            "M_UNABLE_TO_GRANT_JOIN" => told("M_UNABLE_TO_GRANT_JOIN"),
            _ => bad_gateway(error.to_string()),
        }
    }
}
