//! What is a device? A client of matrix-sdk that syncs, and keeps all in memory: a device that was closed is gone.
//!
//! https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption

use std::{sync::Mutex, time::Duration};

use matrix_sdk::{
    Client, Room,
    config::{RequestConfig, SyncSettings},
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::{
        RoomId,
        api::client::{
            filter::{FilterDefinition, RoomEventFilter, RoomFilter},
            sync::sync_events::v3::Filter,
        },
        assign, uint,
    },
};
use tokio::{task::JoinHandle, time::sleep};

use crate::{Outcome, rooms::Seen, sliding, verification::Requests};

/// How long it waits before it asks its server again that did not answer, and how often it asks.
pub const PAUSE: Duration = Duration::from_millis(500);
const TRIES: usize = 200;

pub struct Device {
    pub client: Client,
    pub password: String,
    pub seen: Seen,
    pub requests: Requests,
    /// Whether it slides over its rooms, instead of getting all of them.
    pub slides: bool,
    syncing: Mutex<Option<JoinHandle<()>>>,
}

impl Device {
    /// Logs in as a new device, and returns when its first sync is done.
    pub async fn login(
        name: &str,
        url: &str,
        (localpart, password): (&str, String),
        slides: bool,
    ) -> Outcome<Self> {
        let patience = RequestConfig::new().retry_limit(TRIES).max_retry_time(PAUSE);
        let keys = EncryptionSettings {
            backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
            ..EncryptionSettings::default()
        };
        let builder = Client::builder().homeserver_url(url).request_config(patience);
        let client = builder.with_encryption_settings(keys).build().await?;
        let gate = client.matrix_auth().login_username(localpart, &password);
        gate.initial_device_display_name(name).send().await?;
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        let requests = Requests::of(&client);
        let syncing = Mutex::default();
        let device = Self { client, password, seen: Seen::default(), requests, slides, syncing };
        if !slides {
            let first = device.client.sync_once(settings().timeout(Duration::ZERO)).await?;
            device.seen.take(first.rooms);
        }
        device.connect().await?;
        Ok(device)
    }

    /// Syncs from now on.
    pub async fn connect(&self) -> Outcome {
        let (client, seen) = (self.client.clone(), self.seen.clone());
        if self.slides {
            self.replace(Some(sliding::begin(client, seen).await?));
            return Ok(());
        }
        let syncing = tokio::spawn(async move {
            loop {
                match client.sync_once(settings()).await {
                    Ok(response) => seen.take(response.rooms),
                    Err(error) => {
                        eprintln!("{:?} could not sync: {error}", client.user_id());
                        sleep(PAUSE).await;
                    }
                }
            }
        });
        self.replace(Some(syncing));
        Ok(())
    }

    /// Syncs no more.
    pub fn disconnect(&self) {
        self.replace(None);
    }

    fn replace(&self, next: Option<JoinHandle<()>>) {
        let mut syncing = self.syncing.lock().unwrap_or_else(|broken| broken.into_inner());
        if let Some(before) = std::mem::replace(&mut *syncing, next) {
            before.abort();
        }
    }

    pub async fn logout(&self) -> Outcome {
        self.disconnect();
        Ok(self.client.logout().await?)
    }

    pub fn id(&self) -> String {
        self.client.device_id().map(ToString::to_string).unwrap_or_default()
    }

    pub fn room(&self, id: &RoomId) -> Outcome<Room> {
        Ok(self.client.get_room(id).ok_or("it does not know the room")?)
    }
}

fn settings() -> SyncSettings {
    let timeline = assign!(RoomEventFilter::default(), { limit: Some(uint!(100)) });
    let room = assign!(RoomFilter::default(), { timeline });
    let filter = assign!(FilterDefinition::default(), { room });
    SyncSettings::new().timeout(Duration::from_secs(10)).filter(Filter::FilterDefinition(filter))
}
