//! What can the backups of a user's room keys be asked?
//! ([server-side key backups](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups))
//!
//! A version is the number of a backup, as text. Where none is of that version, or it was deleted, the answer is
//! `NotFound`.

use std::{cmp::Ordering, collections::BTreeMap};

use ruma::{OwnedRoomId, UInt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::objects::{message::message, user_keys::UserKeysClass};

/// Creates a backup, which is the newest from then on; answers its version.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateBackup {
    pub algorithm: String,
    /// A JSON object, which depends on the algorithm.
    pub auth_data: Box<RawValue>,
}
message!(UserKeysClass, CreateBackup => String, Refusal);

/// What is known of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Backup {
    /// `None`: the newest.
    pub version: Option<String>,
}
message!(UserKeysClass, Backup => BackupInfo, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct BackupInfo {
    pub version: String,
    pub algorithm: String,
    pub auth_data: Box<RawValue>,
    pub contents: Contents,
}

/// Which keys a backup holds, as far as a client can compare it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Another one after each change of the keys.
    pub etag: String,
    /// How many keys there are.
    pub count: UInt,
}

/// Replaces the `auth_data` of a backup. The algorithm must be its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct UpdateBackup {
    pub version: String,
    pub algorithm: String,
    pub auth_data: Box<RawValue>,
}
message!(UserKeysClass, UpdateBackup => (), Refusal);

/// Deletes a backup and its keys. One that was deleted before is deleted.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteBackup {
    pub version: String,
}
message!(UserKeysClass, DeleteBackup => (), Refusal);

/// The key of a session, as a client encrypted it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupKey {
    pub first_message_index: UInt,
    pub forwarded_count: UInt,
    pub is_verified: bool,
    /// A JSON object, which depends on the algorithm of the backup.
    pub session_data: Box<RawValue>,
}

/// What decides which of two keys of a session is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worth {
    pub is_verified: bool,
    pub first_message_index: UInt,
    pub forwarded_count: UInt,
}

impl BackupKey {
    pub fn worth(&self) -> Worth {
        Worth {
            is_verified: self.is_verified,
            first_message_index: self.first_message_index,
            forwarded_count: self.forwarded_count,
        }
    }
}

impl Ord for Worth {
    /// The greater is kept: the one that is verified, else the one with the lower `first_message_index`, else the one
    /// with the lower `forwarded_count`.
    fn cmp(&self, other: &Self) -> Ordering {
        let verified = self.is_verified.cmp(&other.is_verified);
        let earlier = || other.first_message_index.cmp(&self.first_message_index);
        let nearer = || other.forwarded_count.cmp(&self.forwarded_count);
        verified.then_with(earlier).then_with(nearer)
    }
}

impl PartialOrd for Worth {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Keys by room and session.
pub type BackupKeys = BTreeMap<OwnedRoomId, BTreeMap<String, BackupKey>>;

/// Puts keys into the newest backup. Of two keys for a session one is kept ([`Worth`]).
#[derive(Debug, Serialize, Deserialize)]
pub struct StoreBackupKeys {
    pub version: String,
    pub keys: BackupKeys,
}
message!(UserKeysClass, StoreBackupKeys => Contents, Refusal);

/// The key of one session.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionBackup {
    pub version: String,
    pub room_id: OwnedRoomId,
    pub session_id: String,
}
message!(UserKeysClass, SessionBackup => BackupKey, Refusal);

/// The next keys of a backup, or of a room in it: as many as fit in one answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackupPage {
    pub version: String,
    /// `None`: of all rooms.
    pub room_id: Option<OwnedRoomId>,
    /// The last key that was read: its room and session.
    pub after: Option<(OwnedRoomId, String)>,
}
message!(UserKeysClass, BackupPage => PageOfKeys, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct PageOfKeys {
    /// Keys with their sessions, by room and session.
    pub keys: Vec<(OwnedRoomId, String, BackupKey)>,
    /// Whether there may be more.
    pub more: bool,
}

/// Deletes the key of a session, or the keys of a room, or all keys, from any backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteBackupKeys {
    pub version: String,
    pub room_id: Option<OwnedRoomId>,
    /// Of that room.
    pub session_id: Option<String>,
}
message!(UserKeysClass, DeleteBackupKeys => Contents, Refusal);
