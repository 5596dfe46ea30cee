//! Which devices and keys do users have?
//! ([keys/query](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery))
//!
//! Users of this server are asked of their objects. The list of another server's user is held while one of ours shares a
//! room with them, since their server then tells us of every change; else that server is asked each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::World;

use super::{AT_ONCE, failed, in_time};
use crate::{
    config::Config,
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::messages::{
            DeviceShown, HeldList, HoldList, QueryKeys, SignatureOn, SignaturesOn, UserKeysShown,
        },
    },
    remote::{
        RemoteError, api,
        client::{self, Ask},
    },
    stores::room_members,
};

/// How many users of one server have their whole lists fetched for one query; more are asked for together, and not held.
const MOST_HELD: usize = 20;

/// Users, and the devices of each that are asked for; none: all.
pub type Wanted = BTreeMap<OwnedUserId, Vec<String>>;

/// What is known of users' keys.
#[derive(Default)]
pub struct Found {
    pub users: BTreeMap<OwnedUserId, UserKeysShown>,
    /// The servers that did not answer.
    pub failures: BTreeMap<OwnedServerName, RemoteError>,
}

impl Found {
    fn fail(&mut self, server: &ServerName, error: RemoteError) {
        tracing::debug!(%server, %error, "a server did not give its users' keys");
        self.failures.insert(server.to_owned(), error);
    }
}

/// Finds the keys of users for a local user, with the signatures that this user made on the others' master keys.
pub async fn query(
    world: &World,
    asker: &UserId,
    wanted: Wanted,
    timeout: Option<Duration>,
) -> Result<Found, Ours> {
    let own_name = Config::of(world)?.server_name.clone();
    let (ours, others): (Wanted, Wanted) =
        wanted.into_iter().partition(|(user, _)| user.server_name() == own_name);
    let mut found = Found { users: of_ours(world, ours, Some(asker)).await?, ..Found::default() };
    of_others(world, others, timeout, &mut found).await?;
    add_signatures(world, asker, &mut found).await?;
    Ok(found)
}

/// The keys of users of this server. Only `asker` sees their own user-signing key.
pub async fn of_ours(
    world: &World,
    wanted: Wanted,
    asker: Option<&UserId>,
) -> Result<BTreeMap<OwnedUserId, UserKeysShown>, Ours> {
    let asked = stream::iter(wanted).map(|(user, devices)| async move {
        let query = QueryKeys { devices, own: asker == Some(&*user) };
        let shown = world.ask(&keys_object(&user), &query).await.map_err(failed)?;
        Ok::<_, Ours>((user, shown))
    });
    let shown: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
    shown.into_iter().collect()
}

/// The keys of users of other servers.
async fn of_others(
    world: &World,
    wanted: Wanted,
    timeout: Option<Duration>,
    found: &mut Found,
) -> Result<(), Ours> {
    if wanted.is_empty() {
        return Ok(());
    }
    let users: Vec<OwnedUserId> = wanted.keys().cloned().collect();
    let shared = &room_members::shared_since(world, &users).await?;
    let held = stream::iter(&users).map(|user| async move {
        let Some(shared_since) = shared.get(user).copied() else { return Ok((user, None)) };
        let held = world.ask(&keys_object(user), &HeldList { shared_since }).await;
        Ok::<_, Ours>((user, held.map_err(failed)?))
    });
    let held: Vec<_> = held.buffer_unordered(AT_ONCE).collect().await;
    let mut unknown: BTreeMap<OwnedServerName, Wanted> = BTreeMap::new();
    for held in held {
        let (user, list) = held?;
        let devices = wanted.get(user).cloned().unwrap_or_default();
        match list {
            Some(list) => {
                found.users.insert(user.clone(), only(list, &devices));
            }
            None => {
                let of_server = unknown.entry(user.server_name().to_owned()).or_default();
                of_server.insert(user.clone(), devices);
            }
        }
    }
    let answers: Vec<_> = stream::iter(unknown)
        .map(|(server, wanted)| async move {
            let of_server = of_server(world, &server, wanted, (timeout, shared)).await;
            (server, of_server)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (server, (users, failure)) in answers {
        found.users.extend(users);
        if let Some(error) = failure {
            found.fail(&server, error);
        }
    }
    Ok(())
}

/// What a server says of its users, and why it did not say all.
type OfServer = (BTreeMap<OwnedUserId, UserKeysShown>, Option<RemoteError>);

async fn of_server(
    world: &World,
    server: &ServerName,
    wanted: Wanted,
    (timeout, shared): (Option<Duration>, &BTreeMap<OwnedUserId, u64>),
) -> OfServer {
    let (mut to_hold, mut to_ask): (Wanted, Wanted) =
        wanted.into_iter().partition(|(user, _)| shared.contains_key(user));
    if to_hold.len() > MOST_HELD {
        to_ask.append(&mut to_hold);
    }
    let (mut users, mut failure) = (BTreeMap::new(), None);
    if !to_ask.is_empty() {
        match in_time(world, timeout, ask(world, server, &to_ask)).await {
            Ok(answered) => users.extend(answered),
            Err(error) => failure = Some(error),
        }
    }
    let lists: Vec<_> = stream::iter(to_hold)
        .map(|(user, devices)| async move {
            let list = in_time(world, timeout, fetch(world, &user)).await;
            (user, list.map(|list| only(list, &devices)))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (user, list) in lists {
        match list {
            Ok(list) => {
                users.insert(user, list);
            }
            Err(error) => failure = Some(error),
        }
    }
    (users, failure)
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
            .map(|(device, keys)| {
                let display_name = name_in(&keys);
                (device, DeviceShown { keys, display_name })
            });
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

/// Fetches the whole list of a user of another server, and has it held.
async fn fetch(world: &World, user: &UserId) -> Result<UserKeysShown, RemoteError> {
    let asked_at = world.now();
    let path = api::user_devices(user);
    let list: List = client::ask(world, user.server_name(), Ask::get(&path)).await?;
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
    Ok(shown)
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

/// The name of a device that its server adds to its keys.
fn name_in(keys: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Keys {
        unsigned: Unsigned,
    }
    #[derive(Deserialize)]
    struct Unsigned {
        device_display_name: String,
    }
    let keys: Keys = serde_json::from_str(keys.get()).ok()?;
    Some(keys.unsigned.device_display_name)
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

/// The keys of a device with its name, which nobody signed.
pub fn with_name(device: DeviceShown) -> Result<Box<RawValue>, serde_json::Error> {
    let DeviceShown { keys, display_name } = device;
    let Some(name) = display_name else { return Ok(keys) };
    let mut keys: Map<String, Value> = serde_json::from_str(keys.get())?;
    keys.insert("unsigned".to_owned(), json!({ "device_display_name": name }));
    serde_json::value::to_raw_value(&keys)
}

/// Adds the signatures of the asker to the master keys of others.
async fn add_signatures(world: &World, asker: &UserId, found: &mut Found) -> Result<(), Ours> {
    let signable =
        found.users.iter().filter(|(user, shown)| **user != asker && shown.master_key.is_some());
    let users: Vec<OwnedUserId> = signable.map(|(user, _)| user.clone()).collect();
    if users.is_empty() {
        return Ok(());
    }
    let signatures = world.ask(&keys_object(asker), &SignaturesOn { users }).await;
    for SignatureOn { user, target, key_id, signature } in signatures.map_err(failed)? {
        let Some(shown) = found.users.get_mut(&user) else { continue };
        let Some(master) = &shown.master_key else { continue };
        let Ok(mut key) = serde_json::from_str::<Map<String, Value>>(master.get()) else {
            continue;
        };
        let is_target = key.get("keys").is_some_and(|keys| {
            keys.as_object().is_some_and(|keys| keys.values().any(|key| *key == target))
        });
        if !is_target {
            continue;
        }
        let all = key.entry("signatures").or_insert_with(|| json!({}));
        if let Some(all) = all.as_object_mut()
            && let Some(of_asker) =
                all.entry(asker.as_str()).or_insert_with(|| json!({})).as_object_mut()
        {
            of_asker.insert(key_id, json!(signature));
        }
        shown.master_key = Some(serde_json::value::to_raw_value(&key)?);
    }
    Ok(())
}
