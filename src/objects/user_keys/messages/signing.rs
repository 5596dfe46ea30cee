//! What can be asked of a user's cross-signing keys?

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use crate::objects::{message::message, user_keys::UserKeysClass};

/// The cross-signing keys of a user, as far as they are given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CrossSigningKeys {
    pub master_key: Option<Box<RawValue>>,
    pub self_signing_key: Option<Box<RawValue>>,
    pub user_signing_key: Option<Box<RawValue>>,
}

/// Would this upload replace keys that others may trust? Then the user has to prove who they are.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replaces {
    pub keys: CrossSigningKeys,
}
message!(UserKeysClass, Replaces => bool, Refusal);

/// Publishes cross-signing keys.
#[derive(Debug, Serialize, Deserialize)]
pub struct UploadCrossSigning {
    pub keys: CrossSigningKeys,
    /// Whether the user has proved who they are: else nothing is replaced.
    pub proved: bool,
    /// The names of all devices, which no key may have.
    #[serde(default)]
    pub devices: Vec<String>,
}
message!(UserKeysClass, UploadCrossSigning => (), Refusal);

/// An object that the user signed: a device or the master key of their own, or the master key of another user.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignedObject {
    pub user: OwnedUserId,
    /// The ID of the device, or the public master key.
    pub target: String,
    pub object: Box<RawValue>,
    /// What is held of the master key of another user; `None` for the user's own.
    pub held: Option<Box<RawValue>>,
}

/// Adds signatures; answers those that were not taken.
#[derive(Debug, Serialize, Deserialize)]
pub struct AddSignatures {
    pub signed: Vec<SignedObject>,
}
message!(UserKeysClass, AddSignatures => Vec<Unsigned>, Refusal);

/// Why a signature was not taken.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unsigned {
    pub user: OwnedUserId,
    pub target: String,
    pub why: Refusal,
}

/// The signatures that this user made on the master keys of others: user, public master key, key ID, signature.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignaturesOn {
    pub users: Vec<OwnedUserId>,
}
message!(UserKeysClass, SignaturesOn => Vec<SignatureOn>, Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub struct SignatureOn {
    pub user: OwnedUserId,
    pub target: String,
    pub key_id: String,
    pub signature: String,
}

/// Forgets the cross-signing keys, all signatures and the backups, and takes no more: the account is deactivated.
#[derive(Debug, Serialize, Deserialize)]
pub struct DropKeys {}
message!(UserKeysClass, DropKeys => (), Refusal);
