//! How do two devices verify each other? By short strings that their owners compare.
//!
//! https://spec.matrix.org/v1.19/client-server-api/#short-authentication-string-sas-verification

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use matrix_sdk::{
    Client,
    encryption::{
        identities::UserIdentity,
        verification::{SasVerification, VerificationRequest, VerificationRequestState},
    },
    ruma::{
        RoomId, UserId,
        events::{
            key::verification::{VerificationMethod, request::ToDeviceKeyVerificationRequestEvent},
            room::message::{MessageType, OriginalSyncRoomMessageEvent},
        },
    },
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{Outcome, device::Device};

/// The newest request, of this device or to it.
#[derive(Clone, Default)]
pub struct Requests {
    newest: Arc<Mutex<Option<VerificationRequest>>>,
}

impl Requests {
    /// Those that come to a client, by to-device messages and in rooms.
    pub fn of(client: &Client) -> Self {
        let made = Self::default();
        let requests = made.clone();
        client.add_event_handler(
            async move |event: ToDeviceKeyVerificationRequestEvent, client: Client| {
                let flow = event.content.transaction_id.as_str();
                requests.find(&client, &event.sender, flow).await;
            },
        );
        let requests = made.clone();
        client.add_event_handler(
            async move |event: OriginalSyncRoomMessageEvent, client: Client| {
                if matches!(event.content.msgtype, MessageType::VerificationRequest(_)) {
                    requests.find(&client, &event.sender, event.event_id.as_str()).await;
                }
            },
        );
        made
    }

    async fn find(&self, client: &Client, sender: &UserId, flow: &str) {
        if let Some(request) = client.encryption().get_verification_request(sender, flow).await {
            self.take(request);
        }
    }

    /// Follows a request: goes along when the other device starts to compare.
    fn take(&self, request: VerificationRequest) {
        let mut changes = request.changes();
        *self.newest.lock().unwrap_or_else(|broken| broken.into_inner()) = Some(request);
        tokio::spawn(async move {
            while let Some(state) = changes.next().await {
                if let Some(sas) = comparison(state).filter(|sas| !sas.we_started())
                    && let Err(error) = sas.accept().await
                {
                    eprintln!("it could not accept a verification: {error}");
                }
            }
        });
    }

    fn newest(&self) -> Option<VerificationRequest> {
        self.newest.lock().unwrap_or_else(|broken| broken.into_inner()).clone()
    }
}

fn comparison(state: VerificationRequestState) -> Option<SasVerification> {
    match state {
        VerificationRequestState::Transitioned { verification } => verification.sas(),
        _ => None,
    }
}

impl Device {
    /// Asks a user in a room that both are in.
    pub async fn request_verification_in(&self, room: &RoomId, user: &UserId) -> Outcome {
        // The client asks in the room that it knows as the one for talking to this user.
        self.client.account().mark_as_dm(room, &[user.to_owned()]).await?;
        while self.client.get_dm_room(user).is_none_or(|found| found.room_id() != room) {
            sleep(Duration::from_millis(50)).await;
        }
        self.request(self.client.encryption().get_user_identity(user).await?).await
    }

    /// Asks the user's own other devices.
    pub async fn request_verification(&self) -> Outcome {
        let own = self.client.user_id().ok_or("it is not logged in")?;
        self.request(self.client.encryption().get_user_identity(own).await?).await
    }

    async fn request(&self, identity: Option<UserIdentity>) -> Outcome {
        let identity = identity.ok_or("it knows no cross-signing keys of this user")?;
        let methods = vec![VerificationMethod::SasV1];
        self.requests.take(identity.request_verification_with_methods(methods).await?);
        Ok(())
    }

    pub async fn accept_verification(&self) -> Outcome {
        let request = self.requests.newest().ok_or("there is no request")?;
        Ok(request.accept_with_methods(vec![VerificationMethod::SasV1]).await?)
    }

    pub async fn start_verification(&self) -> Outcome {
        let request = self.requests.newest().ok_or("there is no request")?;
        request.start_sas().await?.ok_or("the request is not ready")?;
        Ok(())
    }

    /// Says that the emoji are the same.
    pub async fn confirm_verification(&self) -> Outcome {
        let request = self.requests.newest().ok_or("there is no request")?;
        Ok(comparison(request.state()).ok_or("nothing is compared")?.confirm().await?)
    }

    /// Where the newest request stands; null when there is none.
    pub fn verification(&self) -> Value {
        let Some(request) = self.requests.newest() else { return Value::Null };
        let state = request.state();
        let phase = match &state {
            VerificationRequestState::Created { .. }
            | VerificationRequestState::Requested { .. } => "requested",
            VerificationRequestState::Ready { .. } => "ready",
            VerificationRequestState::Transitioned { .. } => "started",
            VerificationRequestState::Done => "done",
            VerificationRequestState::Cancelled(_) => "cancelled",
        };
        let emoji = comparison(state).and_then(|sas| sas.emoji());
        json!({
            "phase": phase,
            "emoji": emoji.map(|emoji| emoji.map(|one| one.description)),
            "failure": request.cancel_info().map(|info| info.reason().to_owned()),
        })
    }
}
