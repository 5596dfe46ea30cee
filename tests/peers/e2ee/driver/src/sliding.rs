//! How does a device slide over its rooms? As Element X does: by the services of matrix-sdk-ui.
//!
//! https://docs.rs/matrix-sdk-ui/0.18.0/matrix_sdk_ui/sync_service/

use matrix_sdk::Client;
use matrix_sdk_ui::{
    room_list_service,
    sync_service::{State, SyncService},
};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle, time::sleep};

use crate::{Outcome, device::PAUSE, rooms::Seen};

/// How many events of a room come at once.
const TIMELINE: u32 = 100;

/// Syncs until it is ended, and returns when the first rooms are there.
pub async fn begin(client: Client, seen: Seen) -> Outcome<JoinHandle<()>> {
    let mut updates = client.subscribe_to_all_room_updates();
    let builder = SyncService::builder(client.clone()).with_room_list_timeline_limit(TIMELINE);
    let service = builder.build().await?;
    let rooms = service.room_list_service();
    let mut state = rooms.state();
    service.start().await;
    while !matches!(state.get(), room_list_service::State::Running) {
        if matches!(state.get(), room_list_service::State::Error { .. }) {
            return Err("the first sync has failed".into());
        }
        state.next().await.ok_or("the sync has ended")?;
    }
    let seeing = async move {
        loop {
            match updates.recv().await {
                Ok(rooms) => seen.take(rooms),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    let going_on = async move {
        let mut state = service.state();
        while let Some(now) = state.next().await {
            if matches!(now, State::Error(_) | State::Terminated | State::Offline) {
                eprintln!("{:?} could not sync: {now:?}", client.user_id());
                sleep(PAUSE).await;
                service.start().await;
            }
        }
    };
    Ok(tokio::spawn(async move {
        tokio::join!(seeing, going_on);
    }))
}
