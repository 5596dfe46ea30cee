//! Who learns that a user's devices or keys changed?
//! ([tracking the device list](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user),
//! [device management](https://spec.matrix.org/v1.19/server-server-api/#device-management))
//!
//! Those who share a room with the user: ours by their stream, others by their server. A server that may hold the list
//! is told even where we do not know that it is in a room with the user: it may have joined one at another server, and
//! is told now or no more. The request that changes something tells them; the alarm of the user's keys tells what that
//! left untold. Told twice, it is the same.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{
    StreamExt, TryStreamExt,
    future::{Either, ready, select},
    stream,
};
use ruma::{OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::{json, value::to_raw_value};
use tombolo_platform::{Address, Fault, World};

use super::{AT_ONCE, copies, failed, unless_gone};
use crate::{
    config::Config,
    flows::ours::Ours,
    objects::{
        destination::messages::OweEdu,
        destination_object, keys_object,
        room::messages::{Participants, ParticipantsReply},
        room_object,
        user_keys::{
            UserKeysClass,
            messages::{
                DeviceChange, ListTold, QueryKeys, SigningChange, Untold, UntoldReply, again,
            },
        },
        user_object,
        user_sync::messages::{Device, Devices, DevicesChanged, JoinedRooms, NoteKeyCounts},
    },
    stores::room_members,
};

/// How long a request waits until everybody is told.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the alarm of a user's keys; answers when to come again (ms).
pub async fn due(world: World, address: Address<UserKeysClass>) -> Result<Option<u64>, Fault> {
    let Ok(user) = UserId::parse(&*address.name) else { return Ok(None) };
    let untold = match world.ask(&address, &Untold {}).await {
        Ok(untold) => untold,
        Err(error) => return Err(Fault(error.to_string())),
    };
    let since = untold.since;
    match tell_untold(&world, &user, untold).await {
        Ok(()) => Ok(None),
        Err(error) => {
            tracing::info!(%user, %error, "a change of keys was not told");
            let now = world.now();
            Ok(Some(again(since.unwrap_or(now), now)))
        }
    }
}

/// Tells what changed, within a request. What fails here, or takes long, is told by the alarm.
pub async fn tell_now(world: &World, user: &UserId) {
    match select(Box::pin(tell(world, user)), Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((Ok(()), _)) => {}
        Either::Left((Err(error), _)) => {
            tracing::info!(%user, %error, "a change of keys was not told");
        }
        Either::Right(_) => tracing::info!(%user, "a change of keys is still being told"),
    }
}

/// Tells what nobody was told yet.
async fn tell(world: &World, user: &UserId) -> Result<(), Ours> {
    let untold = world.ask(&keys_object(user), &Untold {}).await.map_err(failed)?;
    tell_untold(world, user, untold).await
}

/// Whom it does not reach keeps nobody else from being told, but it all counts as untold then.
async fn tell_untold(world: &World, user: &UserId, untold: UntoldReply) -> Result<(), Ours> {
    if untold.is_empty() {
        return Ok(());
    }
    let mut all = Ok(());
    let mut users: Vec<OwnedUserId> = untold.signed.clone();
    if !untold.counts.is_empty() {
        let note = NoteKeyCounts { counts: untold.counts.clone() };
        all = unless_gone(world.ask(&user_object(user), &note).await).map(|_| ());
    }
    // Whoever of ours is told asks D1's copy; other servers are told the keys themselves.
    let renewed = if untold.uncopied { copies::renew(world, user).await } else { Ok(()) };
    if untold.changed() {
        users.push(user.to_owned());
        let (locals, mut servers) = sharing(world, user).await?;
        servers.extend(untold.holders.iter().cloned());
        if renewed.is_ok() {
            all = all.and(tell_all(world, user, locals).await);
        }
        all = all.and(tell_servers(world, user, (servers, &untold)).await);
    }
    renewed?;
    if !users.is_empty() {
        let told = world.ask(&user_object(user), &DevicesChanged { users }).await;
        all = all.and(unless_gone(told).map(|_| ()));
    }
    all?;
    let sent = untold.devices.iter().map(|change| change.stream_id).max();
    let counts = untold.counts.into_iter().map(|(device, counts)| (device, counts.version));
    let copied = if untold.uncopied { untold.version } else { 0 };
    let note = ListTold { version: untold.version, sent, counts: counts.collect(), copied };
    world.ask(&keys_object(user), &note).await.map_err(failed)
}

/// Whether one of our users shares a room with a user of another server.
pub async fn is_shared(world: &World, user: &UserId) -> Result<bool, Ours> {
    let shared = room_members::shared_since(world, &[user.to_owned()]).await?;
    Ok(!shared.is_empty())
}

/// Our users and the other servers that share a room with a user of ours, as the rooms have it: D1's copy may not know
/// of who came just now, and who is not told now is told no more.
async fn sharing(
    world: &World,
    user: &UserId,
) -> Result<(BTreeSet<OwnedUserId>, BTreeSet<OwnedServerName>), Ours> {
    let rooms = unless_gone(world.ask(&user_object(user), &JoinedRooms {}).await)?;
    let participants = stream::iter(rooms.unwrap_or_default()).map(|room_id| async move {
        unless_gone(world.ask(&room_object(&room_id), &Participants {}).await)
    });
    let all: Vec<Option<ParticipantsReply>> =
        participants.buffer_unordered(AT_ONCE).try_collect().await?;
    let (mut locals, mut servers) = (BTreeSet::new(), BTreeSet::new());
    for participants in all.into_iter().flatten() {
        locals.extend(participants.locals);
        servers.extend(participants.servers);
    }
    locals.remove(user);
    servers.remove(user.server_name());
    Ok((locals, servers))
}

/// Tells our users who share a room with a user of another server that their devices changed.
pub async fn tell_users(world: &World, user: &UserId) -> Result<(), Ours> {
    let sharing = room_members::locals_sharing(world, user).await?;
    tell_all(world, user, sharing).await
}

async fn tell_all(
    world: &World,
    user: &UserId,
    locals: impl IntoIterator<Item = OwnedUserId>,
) -> Result<(), Ours> {
    let change = &DevicesChanged { users: vec![user.to_owned()] };
    stream::iter(locals)
        .map(|local| async move { unless_gone(world.ask(&user_object(&local), change).await) })
        .buffer_unordered(AT_ONCE)
        .fold(Ok(()), |all, told| ready(all.and(told.map(|_| ()))))
        .await
}

async fn tell_servers(
    world: &World,
    user: &UserId,
    (servers, untold): (BTreeSet<OwnedServerName>, &UntoldReply),
) -> Result<(), Ours> {
    let edus = edus(user, untold, Config::of(world)?.public_device_names)?;
    owe_all(world, servers, &edus).await
}

/// Has servers told.
async fn owe_all(
    world: &World,
    servers: impl IntoIterator<Item = OwnedServerName>,
    edus: &[OweEdu],
) -> Result<(), Ours> {
    stream::iter(servers)
        .map(|server| async move { owe(world, &server, edus).await })
        .buffer_unordered(AT_ONCE)
        .fold(Ok(()), |all, told| ready(all.and(told)))
        .await
}

async fn owe(world: &World, server: &ServerName, edus: &[OweEdu]) -> Result<(), Ours> {
    for edu in edus {
        world.ask(&destination_object(server), edu).await.map_err(failed)?;
    }
    Ok(())
}

/// Tells the servers in a room, which a user of ours has joined, of the user's devices: those that were not told before,
/// since the user shares no other room with them. One device is enough: the change says that it follows on itself, so
/// who does not know the list up to there asks for it. That may wait for the next transaction.
pub async fn introduce(world: &World, user: &UserId, room_id: &RoomId) -> Result<(), Ours> {
    let servers = room_members::servers_only_in(world, user, room_id).await?;
    if servers.is_empty() {
        return Ok(());
    }
    let devices = unless_gone(world.ask(&user_object(user), &Devices {}).await)?;
    let Some(device) = devices.and_then(|devices| devices.into_iter().next()) else {
        return Ok(());
    };
    let names = Config::of(world)?.public_device_names;
    let query = QueryKeys { devices: Vec::new(), own: false };
    let mut shown = world.ask(&keys_object(user), &query).await.map_err(failed)?;
    let Device { device_id: device, display_name, .. } = device;
    let keys = shown.devices.remove(&device).map(|shown| shown.keys);
    let (stream_id, prev_id) = (shown.stream_id, Some(shown.stream_id));
    let change = DeviceChange { device, stream_id, prev_id, keys, display_name };
    // It must not take the place of a change that this server was not told of yet.
    let key = format!("introduce {user}");
    let edu = OweEdu { key, unhurried: true, ..device_edu(user, change.named(names), false)? };
    owe_all(world, servers, &[edu]).await
}

fn edus(
    user: &UserId,
    untold: &UntoldReply,
    names: bool,
) -> Result<Vec<OweEdu>, serde_json::Error> {
    let devices = untold.devices.iter().map(|change| {
        let deleted = change.keys.is_none();
        device_edu(user, change.clone().named(names), deleted)
    });
    devices.chain(untold.signing.iter().map(|change| signing_edu(user, change))).collect()
}

/// `m.device_list_update`
fn device_edu(
    user: &UserId,
    change: DeviceChange,
    deleted: bool,
) -> Result<OweEdu, serde_json::Error> {
    let DeviceChange { device, stream_id, prev_id, keys, display_name } = change;
    let mut content = json!({
        "user_id": user,
        "device_id": device,
        "stream_id": stream_id,
        "prev_id": prev_id.iter().collect::<Vec<_>>(),
    });
    if let Some(keys) = keys {
        content["keys"] = serde_json::to_value(keys)?;
    }
    if let Some(name) = display_name {
        content["device_display_name"] = json!(name);
    }
    if deleted {
        content["deleted"] = json!(true);
    }
    let edu = to_raw_value(&json!({ "edu_type": "m.device_list_update", "content": content }))?;
    Ok(OweEdu {
        key: format!("device_list {user} {device}"),
        edu,
        until: None,
        durable: true,
        unhurried: false,
    })
}

/// `m.signing_key_update`
fn signing_edu(user: &UserId, change: &SigningChange) -> Result<OweEdu, serde_json::Error> {
    let mut content = json!({ "user_id": user });
    let keys = [("master_key", &change.master_key), ("self_signing_key", &change.self_signing_key)];
    for (name, key) in keys.into_iter().filter_map(|(name, key)| Some((name, key.as_ref()?))) {
        content[name] = serde_json::to_value(key)?;
    }
    let edu = to_raw_value(&json!({ "edu_type": "m.signing_key_update", "content": content }))?;
    Ok(OweEdu {
        key: format!("signing_keys {user}"),
        edu,
        until: None,
        durable: true,
        unhurried: false,
    })
}
