//! What can a device be told to do? Each command, and who carries it out.

use matrix_sdk::ruma::{
    OwnedRoomId, OwnedServerName, OwnedUserId, RoomVersionId,
    api::client::room::create_room::v3::RoomPreset,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Outcome, device::Device};

#[derive(Deserialize)]
#[serde(tag = "do", content = "with", rename_all = "camelCase")]
pub enum Command {
    Login { url: String, localpart: String, password: String, slides: bool },
    Close {},
    Disconnect {},
    Reconnect {},
    Logout {},

    CreateRoom { invite: Vec<OwnedUserId>, version: RoomVersionId, preset: RoomPreset },
    Invited {},
    Invite { room: OwnedRoomId, user: OwnedUserId },
    Join { room: OwnedRoomId, via: OwnedServerName },
    Leave { room: OwnedRoomId },
    Members { room: OwnedRoomId },
    Say { room: OwnedRoomId, body: String, seconds: u64 },
    Messages { room: OwnedRoomId },
    Rotate { room: OwnedRoomId },

    Bootstrap { backup: bool },
    Recover { key: String },
    CrossSigning {},
    Trust { user: OwnedUserId },
    Backup {},
    Restore {},

    RequestVerification { user: Option<OwnedUserId>, room: Option<OwnedRoomId> },
    AcceptVerification {},
    StartVerification {},
    ConfirmVerification {},
    Verification {},
}

impl Device {
    /// Does it, and says what came of it.
    pub async fn run(&self, command: Command) -> Outcome<Value> {
        match command {
            Command::Login { .. } | Command::Close {} => {
                return Err("this is no device's to do".into());
            }
            Command::Disconnect {} => self.disconnect(),
            Command::Reconnect {} => self.connect().await?,
            Command::Logout {} => self.logout().await?,

            Command::CreateRoom { invite, version, preset } => {
                return self.create_room(invite, version, preset).await;
            }
            Command::Invited {} => return Ok(self.invited()),
            Command::Invite { room, user } => self.room(&room)?.invite_user_by_id(&user).await?,
            Command::Join { room, via } => self.join(room, via).await?,
            Command::Leave { room } => self.room(&room)?.leave().await?,
            Command::Members { room } => return self.members(&room).await,
            Command::Say { room, body, seconds } => return self.say(&room, body, seconds).await,
            Command::Messages { room } => return self.messages(&room).await,
            Command::Rotate { room } => self.room(&room)?.discard_room_key().await?,

            Command::Bootstrap { backup } => return Ok(json!(self.bootstrap(backup).await?)),
            Command::Recover { key } => self.recover(&key).await?,
            Command::CrossSigning {} => return self.cross_signing().await,
            Command::Trust { user } => return self.trust(&user).await,
            Command::Backup {} => return self.backup().await,
            Command::Restore {} => return self.restore().await,

            Command::RequestVerification { user: Some(user), room: Some(room) } => {
                self.request_verification_in(&room, &user).await?;
            }
            Command::RequestVerification { .. } => self.request_verification().await?,
            Command::AcceptVerification {} => self.accept_verification().await?,
            Command::StartVerification {} => self.start_verification().await?,
            Command::ConfirmVerification {} => self.confirm_verification().await?,
            Command::Verification {} => return Ok(self.verification()),
        }
        Ok(Value::Null)
    }
}
