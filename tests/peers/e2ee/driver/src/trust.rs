//! Whom does a device trust, and what secrets does it keep? Cross-signing, secret storage and the key backup.
//!
//! https://spec.matrix.org/v1.19/client-server-api/#cross-signing

use std::collections::BTreeMap;

use matrix_sdk::ruma::{
    UserId,
    api::client::{
        backup::get_latest_backup_info,
        uiaa::{AuthData, MatrixUserIdentifier, Password, UserIdentifier},
    },
};
use serde_json::{Value, json};

use crate::{Outcome, device::Device};

impl Device {
    /// Creates the user's cross-signing keys and secret storage, and a key backup if one is wanted; returns the recovery key.
    pub async fn bootstrap(&self, backup: bool) -> Outcome<String> {
        self.sign().await?;
        let encryption = self.client.encryption();
        if backup {
            return Ok(encryption.recovery().enable().await?);
        }
        Ok(encryption.secret_storage().create_secret_store().await?.secret_storage_key())
    }

    /// Uploads cross-signing keys: with the password, if the server asks for it.
    async fn sign(&self) -> Outcome {
        let encryption = self.client.encryption();
        let Err(refusal) = encryption.bootstrap_cross_signing(None).await else { return Ok(()) };
        let Some(wanted) = refusal.as_uiaa_response() else { return Err(refusal.into()) };
        let user = self.client.user_id().map(ToString::to_string).unwrap_or_default();
        let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(user));
        let mut proof = Password::new(user, self.password.clone());
        proof.session.clone_from(&wanted.session);
        Ok(encryption.bootstrap_cross_signing(Some(AuthData::Password(proof))).await?)
    }

    /// Signs itself with keys from secret storage, and writes to the backup from then on.
    pub async fn recover(&self, key: &str) -> Outcome {
        Ok(self.client.encryption().recovery().recover(key).await?)
    }

    /// Whether it holds the keys of its user, and whether secret storage does.
    pub async fn cross_signing(&self) -> Outcome<Value> {
        let encryption = self.client.encryption();
        let status = encryption.cross_signing_status().await;
        let own = encryption.get_own_device().await?;
        Ok(json!({
            "ready": own.is_some_and(|own| own.is_verified_with_cross_signing()),
            "stored": encryption.secret_storage().is_enabled().await?,
            "held": status.is_some_and(|status| status.is_complete()),
        }))
    }

    /// Whether it trusts a user, and which devices of him it knows.
    pub async fn trust(&self, user: &UserId) -> Outcome<Value> {
        let encryption = self.client.encryption();
        let mut devices = BTreeMap::new();
        // Who slides over its rooms follows users only from when it is told of them: before, it asks when it has to.
        if self.slides && encryption.get_user_devices(user).await?.devices().next().is_none() {
            encryption.request_user_identity(user).await?;
        }
        for device in encryption.get_user_devices(user).await?.devices() {
            let standing = json!({
                "signed": device.is_cross_signed_by_owner(),
                "verified": device.is_verified(),
                "dehydrated": device.is_dehydrated(),
            });
            devices.insert(device.device_id().to_owned(), standing);
        }
        let identity = encryption.get_user_identity(user).await?;
        Ok(json!({
            "signs": identity.is_some(),
            "verified": identity.is_some_and(|identity| identity.is_verified()),
            "devices": devices,
        }))
    }

    /// The backup it writes to, if any, and how many keys the server counts in it.
    pub async fn backup(&self) -> Outcome<Value> {
        if !self.client.encryption().backups().are_enabled().await {
            return Ok(json!({ "version": null, "count": 0 }));
        }
        let info = self.client.send(get_latest_backup_info::v3::Request::new()).await?;
        Ok(json!({ "version": info.version, "count": info.count }))
    }

    /// Takes all keys of its rooms from the backup; returns how many keys the backup has.
    pub async fn restore(&self) -> Outcome<Value> {
        let backups = self.client.encryption().backups();
        for room in self.client.joined_rooms() {
            backups.download_room_keys_for_room(room.room_id()).await?;
        }
        Ok(self.backup().await?["count"].clone())
    }
}
