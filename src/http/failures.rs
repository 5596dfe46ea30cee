//! How is a request answered when a flow or another server fails?
//!
//! Flows say what happened. Here that becomes a status and an `errcode`, the same for all endpoints.

use http::StatusCode;

use crate::{
    error::{
        Error, bad_gateway, bad_json, forbidden, incompatible, internal, invalid_param,
        invite_blocked, limited, not_found, too_large, unavailable,
    },
    flows::{
        appservices::{ping::Unpinged, queries::Unanswered},
        deletion::Unmoved,
        directory::{hierarchy::Unwalked, public_rooms::Unlisted},
        media::{Unkept, Unpreviewed, Unread},
        ours::Ours,
        push::pushers::Unset,
        receive::{self, verify::Dropped},
        sending::{create_room::Unmade, notices::Unsaid, unsent::Unsent, upgrade::Unreplaced},
        sync::Unsynced,
    },
    objects::room::messages::Refusal,
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

impl From<Unsent> for Error {
    fn from(unsent: Unsent) -> Self {
        let message = unsent.to_string();
        match unsent {
            Unsent::Refused(refusal) => refusal.into(),
            Unsent::NotThere => forbidden(message),
            Unsent::NobodyThere => not_found(message),
            Unsent::Incompatible(version) => incompatible(message, Some(&version)),
            Unsent::TooLarge(_) => too_large(message),
            Unsent::Uninvited(error) => uninvited(error),
            Unsent::Unwanted => invite_blocked(),
            Unsent::Undeclinable => {
                Self::new(StatusCode::FORBIDDEN, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", message)
            }
            Unsent::Remote(error) => error.into(),
            Unsent::Nonsense(_) => bad_gateway(message),
            Unsent::Ours(error) => error.into(),
        }
    }
}

/// The answer to a failed invite. If the other server does not support the room version, that is the version of a room
/// of ours: `M_UNSUPPORTED_ROOM_VERSION`. `M_INCOMPATIBLE_ROOM_VERSION` is about a room that the client wants to join.
fn uninvited(error: RemoteError) -> Error {
    match error {
        RemoteError::Answered { errcode, message, .. }
            if matches!(
                &*errcode,
                "M_INCOMPATIBLE_ROOM_VERSION" | "M_UNSUPPORTED_ROOM_VERSION"
            ) =>
        {
            Error::new(StatusCode::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION", message)
        }
        RemoteError::Answered { errcode, .. }
            if matches!(&*errcode, "M_INVITE_BLOCKED" | "ORG.MATRIX.MSC4155.INVITE_BLOCKED") =>
        {
            invite_blocked()
        }
        error => error.into(),
    }
}

impl From<Unmade> for Error {
    fn from(unmade: Unmade) -> Self {
        let message = unmade.to_string();
        match unmade {
            Unmade::AliasTaken => Self::new(StatusCode::BAD_REQUEST, "M_ROOM_IN_USE", message),
            Unmade::Creators => invalid_param(message),
            Unmade::Unwanted => invite_blocked(),
            Unmade::Malformed(_) => bad_json(message),
            Unmade::TooLarge(_) => too_large(message),
            Unmade::Refused(Refusal::Forbidden(_)) => {
                Self::new(StatusCode::BAD_REQUEST, "M_INVALID_ROOM_STATE", message)
            }
            Unmade::Refused(refusal) => refusal.into(),
            Unmade::Ours(error) => error.into(),
        }
    }
}

impl From<Unreplaced> for Error {
    fn from(error: Unreplaced) -> Self {
        match error {
            Unreplaced::Unmade(error) => error.into(),
            Unreplaced::Unsent(error) => error.into(),
        }
    }
}

impl From<Unmoved> for Error {
    fn from(error: Unmoved) -> Self {
        match error {
            Unmoved::Unmade(error) => error.into(),
            Unmoved::Unsent(error) => error.into(),
        }
    }
}

impl From<Unsaid> for Error {
    fn from(error: Unsaid) -> Self {
        match error {
            Unsaid::Unmade(error) => error.into(),
            Unsaid::Unsent(error) => error.into(),
            Unsaid::User(refusal) => refusal.into(),
            Unsaid::Ours(error) => error.into(),
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

impl From<Unset> for Error {
    fn from(unset: Unset) -> Self {
        match unset {
            Unset::User(refusal) => refusal.into(),
            Unset::Ours(error) => error.into(),
        }
    }
}

impl From<Unlisted> for Error {
    fn from(unlisted: Unlisted) -> Self {
        match unlisted {
            Unlisted::Token => invalid_param(unlisted.to_string()),
            Unlisted::Remote(error) => error.into(),
            Unlisted::Ours(error) => error.into(),
        }
    }
}

impl From<Unwalked> for Error {
    fn from(unwalked: Unwalked) -> Self {
        match unwalked {
            Unwalked::Unseen => forbidden(unwalked.to_string()),
            Unwalked::Token => invalid_param(unwalked.to_string()),
            Unwalked::Ours(error) => error.into(),
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

impl From<Unkept> for Error {
    fn from(unkept: Unkept) -> Self {
        let message = unkept.to_string();
        match unkept {
            Unkept::TooLarge(_) => too_large(message),
            Unkept::Broken => Self::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message),
            Unkept::Quota | Unkept::NotYours => forbidden(message),
            Unkept::NotCreated => not_found(message),
            Unkept::Uploaded => {
                Self::new(StatusCode::CONFLICT, "M_CANNOT_OVERWRITE_MEDIA", message)
            }
            Unkept::Pending(ms) | Unkept::Busy(ms) => limited(ms),
            Unkept::Ours(error) => error.into(),
        }
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        let message = unread.to_string();
        match unread {
            Unread::NotFound => not_found(message),
            Unread::NotUploaded => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED", message)
            }
            Unread::TooLarge => Self::new(StatusCode::BAD_GATEWAY, "M_TOO_LARGE", message),
            Unread::NoThumbnail => too_large(message),
            Unread::Busy(ms) => limited(ms),
            Unread::NoPicture => Self::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message),
            Unread::Remote(_) => bad_gateway(message),
            Unread::Ours(error) => error.into(),
        }
    }
}

impl From<Unpreviewed> for Error {
    fn from(unpreviewed: Unpreviewed) -> Self {
        let message = unpreviewed.to_string();
        match unpreviewed {
            Unpreviewed::Malformed => invalid_param(message),
            // As Synapse answers.
            Unpreviewed::Blocked => Self::new(StatusCode::FORBIDDEN, "M_UNKNOWN", message),
            Unpreviewed::Unreachable(_) | Unpreviewed::Unasked(_) => bad_gateway(message),
            Unpreviewed::Busy(ms) | Unpreviewed::Spent(ms) => limited(ms),
            Unpreviewed::Ours(error) => error.into(),
        }
    }
}

impl From<Unpinged> for Error {
    fn from(unpinged: Unpinged) -> Self {
        let message = unpinged.to_string();
        match unpinged {
            Unpinged::NoUrl => Self::new(StatusCode::BAD_REQUEST, "M_URL_NOT_SET", message),
            Unpinged::BadStatus { status, body } => {
                Self::new(StatusCode::BAD_GATEWAY, "M_BAD_STATUS", message)
                    .with("status", status)
                    .with("body", body)
            }
            Unpinged::ConnectionFailed(_) => {
                Self::new(StatusCode::BAD_GATEWAY, "M_CONNECTION_FAILED", message)
            }
            Unpinged::ConnectionTimeout => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "M_CONNECTION_TIMEOUT", message)
            }
            Unpinged::Ours(error) => error.into(),
        }
    }
}

impl From<Unanswered> for Error {
    fn from(error: Unanswered) -> Self {
        match error {
            Unanswered::Silent => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "M_UNKNOWN", error.to_string())
            }
            Unanswered::Ours(error) => error.into(),
        }
    }
}

impl From<Dropped> for Error {
    fn from(dropped: Dropped) -> Self {
        invalid_param(dropped.reason)
    }
}

impl From<RemoteError> for Error {
    /// Passes on what another server says about an event or a room, but never what it says about tokens.
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
