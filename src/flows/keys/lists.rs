//! Which devices and keys do users of other servers have?
//! ([device management](https://spec.matrix.org/v1.19/server-server-api/#device-management))
//!
//! A list is held while one of ours shares a room with the user, since their server then tells us of every change; else
//! that server is asked each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_platform::World;

use super::{AT_ONCE, deadline, failed, in_time};
use crate::{
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::messages::{BeginAsk, DeviceShown, EndAsk, HeldList, HoldList, UserKeysShown},
    },
    remote::{
        RemoteError, api,
        client::{self, Ask},
    },
    stores::room_members,
};

/// How many users of one server have their whole lists fetched for one query; more are asked for together, and not held.
const MOST_HELD: usize = 20;
/// How long others wait for the one who asks for a list, if nothing is heard of it (ms).
const LEASE: u64 = 10_000;
/// How often is looked whether the list came for which another one asks.
const LOOK: Duration = Duration::from_millis(200);

/// Users, and the devices of each that are asked for; none: all.
pub type Wanted = BTreeMap<OwnedUserId, Vec<String>>;

/// What is known of users' keys.
#[derive(Default)]
pub struct Found {
    pub users: BTreeMap<OwnedUserId, UserKeysShown>,
    /// The servers that did not answer.
    pub failures: BTreeMap<OwnedServerName, RemoteError>,
}

/// The keys of users of other servers.
pub async fn of_others(
    world: &World,
    wanted: BTreeMap<OwnedServerName, Wanted>,
    timeout: Option<Duration>,
) -> Result<Found, Ours> {
    let mut found = Found::default();
    let users: Vec<OwnedUserId> = wanted.values().flat_map(BTreeMap::keys).cloned().collect();
    if users.is_empty() {
        return Ok(found);
    }
    let until = deadline(world, timeout);
    let shared = &room_members::shared_since(world, &users).await?;
    let answers: Vec<_> = stream::iter(wanted)
        .map(|(server, wanted)| async move {
            let of_server = of_server(world, &server, wanted, (until, shared)).await?;
            Ok::<_, Ours>((server, of_server))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for (server, (users, failure)) in answers {
        found.users.extend(users);
        if let Some(error) = failure {
            tracing::debug!(%server, %error, "a server did not give its users' keys");
            found.failures.insert(server, error);
        }
    }
    Ok(found)
}

/// What a server says of its users, and why it did not say all.
type OfServer = (BTreeMap<OwnedUserId, UserKeysShown>, Option<RemoteError>);

async fn of_server(
    world: &World,
    server: &ServerName,
    wanted: Wanted,
    (until, shared): (u64, &BTreeMap<OwnedUserId, u64>),
) -> Result<OfServer, Ours> {
    let (mut users, mut failure) = (BTreeMap::new(), None);
    let (mut to_hold, mut to_ask) = (Vec::new(), Wanted::new());
    let held = stream::iter(wanted).map(|(user, devices)| async move {
        let list = match shared.get(&user) {
            Some(since) => held(world, &user, *since).await?,
            None => None,
        };
        Ok::<_, Ours>((user, devices, list))
    });
    let held: Vec<_> = held.buffer_unordered(AT_ONCE).try_collect().await?;
    for (user, devices, list) in held {
        match (list, shared.get(&user)) {
            (Some(list), _) => {
                users.insert(user, only(list, &devices));
            }
            (None, Some(since)) => to_hold.push((user, devices, *since)),
            (None, None) => {
                to_ask.insert(user, devices);
            }
        }
    }
    if to_hold.len() > MOST_HELD {
        to_ask.extend(to_hold.drain(..).map(|(user, devices, _)| (user, devices)));
    }
    if !to_ask.is_empty() {
        match in_time(world, until, ask(world, server, &to_ask)).await {
            Ok(answered) => users.extend(answered),
            Err(error) => failure = Some(error),
        }
    }
    let lists = stream::iter(to_hold).map(|(user, devices, since)| async move {
        let list = in_time(world, until, list_of(world, &user, since)).await;
        (user, list.map(|list| only(list, &devices)))
    });
    for (user, list) in lists.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        match list {
            Ok(list) => {
                users.insert(user, list);
            }
            Err(error) => failure = Some(error),
        }
    }
    Ok((users, failure))
}

/// The list that is held of a user, if it is good.
async fn held(
    world: &World,
    user: &UserId,
    shared_since: u64,
) -> Result<Option<UserKeysShown>, Ours> {
    world.ask(&keys_object(user), &HeldList { shared_since }).await.map_err(failed)
}

/// Fetches the list of a user, unless somebody is at it: then it is theirs that is waited for.
async fn list_of(
    world: &World,
    user: &UserId,
    shared_since: u64,
) -> Result<UserKeysShown, RemoteError> {
    let refused = |error: Ours| RemoteError::Refused(error.to_string());
    let until = world.now() + LEASE;
    while !world
        .ask(&keys_object(user), &BeginAsk { until })
        .await
        .map_err(failed)
        .map_err(refused)?
    {
        world.sleep(LOOK).await;
        if let Some(list) = held(world, user, shared_since).await.map_err(refused)? {
            return Ok(list);
        }
    }
    let fetched = fetch(world, user).await;
    if !matches!(fetched, Ok(Some(_))) {
        // If this fails, the next one waits until the time of this one is up.
        world.ask(&keys_object(user), &EndAsk {}).await.ok();
    }
    fetched.map(Option::unwrap_or_default)
}

/// The devices that are asked for; none named: all.
fn only(mut list: UserKeysShown, devices: &[String]) -> UserKeysShown {
    if !devices.is_empty() {
        let devices: BTreeSet<&String> = devices.iter().collect();
        list.devices.retain(|device, _| devices.contains(device));
    }
    list
}

/// The answer of a server to `user/keys/query`.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    device_keys: BTreeMap<String, BTreeMap<String, Box<RawValue>>>,
    #[serde(default)]
    master_keys: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    self_signing_keys: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
struct Question<'a> {
    device_keys: &'a Wanted,
}

async fn ask(
    world: &World,
    server: &ServerName,
    wanted: &Wanted,
) -> Result<BTreeMap<OwnedUserId, UserKeysShown>, RemoteError> {
    let body = client::content(&Question { device_keys: wanted })?;
    let mut answer: Answer = client::ask(world, server, Ask::post(api::QUERY_KEYS, &body)).await?;
    let users = wanted.keys().map(|user| {
        let devices = answer.device_keys.remove(user.as_str()).unwrap_or_default();
        let master_key = answer.master_keys.remove(user.as_str());
        let self_signing_key = answer.self_signing_keys.remove(user.as_str());
        let devices = devices
            .into_iter()
            .filter(|(device, keys)| is_device(keys, user, device))
            // The name stands in what the server added to the keys.
            .map(|(device, keys)| (device, DeviceShown { keys, display_name: None }));
        let shown = UserKeysShown {
            devices: devices.collect(),
            master_key: master_key.filter(|key| is_of(key, user)),
            self_signing_key: self_signing_key.filter(|key| is_of(key, user)),
            ..UserKeysShown::default()
        };
        (user.clone(), shown)
    });
    Ok(users.collect())
}

/// The answer of a server to `user/devices`.
#[derive(Deserialize)]
struct List {
    stream_id: i64,
    devices: Vec<ListedDevice>,
    #[serde(default)]
    master_key: Option<Box<RawValue>>,
    #[serde(default)]
    self_signing_key: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ListedDevice {
    device_id: String,
    keys: Box<RawValue>,
    #[serde(default)]
    device_display_name: Option<String>,
}

/// Fetches the whole list of a user, and has it held; `None` if there is no such user.
async fn fetch(world: &World, user: &UserId) -> Result<Option<UserKeysShown>, RemoteError> {
    let asked_at = world.now();
    let path = api::user_devices(user);
    let list: List = match client::ask(world, user.server_name(), Ask::get(&path)).await {
        Err(error) if error.is_not_found() => return Ok(None),
        list => list?,
    };
    let devices = list
        .devices
        .into_iter()
        .filter(|device| is_device(&device.keys, user, &device.device_id))
        .map(|ListedDevice { device_id, keys, device_display_name: display_name }| {
            (device_id, DeviceShown { keys, display_name })
        });
    let shown = UserKeysShown {
        devices: devices.collect(),
        master_key: list.master_key.filter(|key| is_of(key, user)),
        self_signing_key: list.self_signing_key.filter(|key| is_of(key, user)),
        user_signing_key: None,
        stream_id: list.stream_id,
    };
    let hold = HoldList { stream_id: list.stream_id, asked_at, list: shown.clone() };
    // What is not held is fetched again.
    if let Err(error) = world.ask(&keys_object(user), &hold).await {
        tracing::warn!(%user, %error, "a list of devices is not held");
    }
    Ok(Some(shown))
}

/// Whether these are the keys of this device.
pub fn is_device(keys: &RawValue, user: &UserId, device: &str) -> bool {
    #[derive(Deserialize)]
    struct Named {
        user_id: String,
        device_id: String,
    }
    let named: Result<Named, _> = serde_json::from_str(keys.get());
    named.is_ok_and(|named| named.user_id == *user && named.device_id == device)
}

/// Whether a key names this user.
pub fn is_of(key: &RawValue, user: &UserId) -> bool {
    #[derive(Deserialize)]
    struct Named {
        user_id: String,
    }
    let named: Result<Named, _> = serde_json::from_str(key.get());
    named.is_ok_and(|named| named.user_id == *user)
}
