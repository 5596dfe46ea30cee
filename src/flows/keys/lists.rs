//! Which devices and keys do users of other servers have?
//! ([device management](https://spec.matrix.org/v1.19/server-server-api/#device-management))
//!
//! A list is held while one of ours shares a room with the user, since their server then tells us of every change; else
//! that server is asked each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use ruma::{Int, OwnedServerName, OwnedUserId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tombolo_platform::World;
use tombolo_protocol::json::{members, plain_object};

use super::{AT_ONCE, LIMITS, deadline, in_time};
use crate::{
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::{
            MAX_KEY,
            messages::{BeginAsk, DeviceShown, EndAsk, HeldList, HoldList, UserKeysShown},
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
/// The most devices of a user of another server; the others are left out.
const MOST_DEVICES: usize = 500;
/// The longest name of a device, in characters.
const MAX_NAME: usize = 255;
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
            let of_server = of_server(world, &server, wanted, (until, shared)).await;
            (server, of_server)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
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
) -> OfServer {
    let (mut users, mut failure) = (BTreeMap::new(), None);
    let (mut to_hold, mut to_ask) = (Vec::new(), Wanted::new());
    let held = stream::iter(wanted).map(|(user, devices)| async move {
        let list = match shared.get(&user) {
            Some(since) => held(world, &user, *since).await,
            None => None,
        };
        (user, devices, list)
    });
    let held: Vec<_> = held.buffer_unordered(AT_ONCE).collect().await;
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
        let list = in_time(world, until, list_of(world, &user, since, until)).await;
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
    (users, failure)
}

/// The list that is held of a user, if it is good. One that cannot be read is not: their server is asked.
async fn held(world: &World, user: &UserId, shared_since: u64) -> Option<UserKeysShown> {
    let list = world.ask(&keys_object(user), &HeldList { shared_since }).await;
    list.unwrap_or_else(|error| {
        tracing::warn!(%user, %error, "a list of devices is not read");
        None
    })
}

/// Fetches the list of a user, unless somebody is at it: then it is theirs that is waited for. Whoever gives up at
/// `until` (ms) is in nobody's way after that.
async fn list_of(
    world: &World,
    user: &UserId,
    shared_since: u64,
    until: u64,
) -> Result<UserKeysShown, RemoteError> {
    let asked_at = loop {
        let begun = world.ask(&keys_object(user), &BeginAsk { until }).await;
        if let Some(asked_at) = begun.map_err(|error| RemoteError::Refused(error.to_string()))? {
            break asked_at;
        }
        world.sleep(LOOK).await;
        if let Some(list) = held(world, user, shared_since).await {
            return Ok(list);
        }
    };
    let fetched = fetch(world, user).await;
    let held = match &fetched {
        Ok(Some(list)) => {
            let hold = HoldList { stream_id: list.stream_id, asked_at, list: list.clone() };
            world.ask(&keys_object(user), &hold).await.map_err(|error| error.to_string())
        }
        Ok(None) => Err("there is no such user".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = held {
        tracing::debug!(%user, why, "a list of devices is not held");
        // If this fails, the next one waits until then.
        world.ask(&keys_object(user), &EndAsk {}).await.ok();
    }
    fetched.map(Option::unwrap_or_default)
}

/// The devices that are asked for; none named: all.
pub fn only(mut list: UserKeysShown, devices: &[String]) -> UserKeysShown {
    if !devices.is_empty() {
        let devices: BTreeSet<&String> = devices.iter().collect();
        list.devices.retain(|device, _| devices.contains(device));
    }
    list
}

/// The answer of a server to `user/keys/query`.
#[derive(Deserialize)]
struct Answer {
    device_keys: Option<Box<RawValue>>,
    master_keys: Option<Box<RawValue>>,
    self_signing_keys: Option<Box<RawValue>>,
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
    let ask = Ask::post(api::QUERY_KEYS, &body).within(LIMITS);
    let Answer { device_keys, master_keys, self_signing_keys } =
        client::ask(world, server, ask).await?;
    let mut device_keys = members(device_keys.as_deref());
    let mut master_keys = members(master_keys.as_deref());
    let mut self_signing_keys = members(self_signing_keys.as_deref());
    let users = wanted.keys().map(|user| {
        let devices = members(device_keys.remove(user.as_str()).as_deref()).into_iter();
        // The name stands in what the server added to the keys.
        let devices =
            devices.map(|(device, keys)| (device, DeviceShown { keys, display_name: None }));
        let signing = [&mut master_keys, &mut self_signing_keys].map(|of| of.remove(user.as_str()));
        (user.clone(), of_user(user, devices, signing))
    });
    Ok(users.collect())
}

/// What a server says of a user, without what cannot be passed on.
fn of_user(
    user: &UserId,
    devices: impl Iterator<Item = (String, DeviceShown)>,
    signing: [Option<Box<RawValue>>; 2],
) -> UserKeysShown {
    let good = |(device, shown): &(String, DeviceShown)| is_device(&shown.keys, user, device);
    let [master_key, self_signing_key] = signing.map(|key| key.filter(|key| is_of(key, user)));
    UserKeysShown {
        devices: devices.filter(good).take(MOST_DEVICES).collect(),
        master_key,
        self_signing_key,
        ..UserKeysShown::default()
    }
}

/// The answer of a server to `user/devices`.
#[derive(Deserialize)]
struct List {
    stream_id: Int,
    devices: Vec<Box<RawValue>>,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ListedDevice {
    device_id: String,
    keys: Box<RawValue>,
    device_display_name: Option<String>,
}

/// Fetches the whole list of a user; `None` if there is no such user.
async fn fetch(world: &World, user: &UserId) -> Result<Option<UserKeysShown>, RemoteError> {
    let path = api::user_devices(user);
    let ask = Ask::get(&path).within(LIMITS);
    let list: List = match client::ask(world, user.server_name(), ask).await {
        Err(error) if error.is_not_found() => return Ok(None),
        list => list?,
    };
    let devices = list.devices.iter().filter_map(|device| {
        let listed: ListedDevice = serde_json::from_str(device.get()).ok()?;
        let display_name = listed.device_display_name.map(shortened);
        Some((listed.device_id, DeviceShown { keys: listed.keys, display_name }))
    });
    let shown = of_user(user, devices, [list.master_key, list.self_signing_key]);
    Ok(Some(UserKeysShown { stream_id: list.stream_id.into(), ..shown }))
}

/// The name of a device, of which only the beginning is held.
pub fn shortened(name: String) -> String {
    if name.len() > MAX_NAME { name.chars().take(MAX_NAME).collect() } else { name }
}

/// Whether these are the keys of this device, which can be passed on.
pub fn is_device(keys: &RawValue, user: &UserId, device: &str) -> bool {
    readable(keys)
        .is_some_and(|keys| keys["user_id"] == user.as_str() && keys["device_id"] == device)
}

/// Whether a key names this user, and can be passed on.
pub fn is_of(key: &RawValue, user: &UserId) -> bool {
    readable(key).is_some_and(|key| key["user_id"] == user.as_str())
}

/// A key of another server, if it is one that can be passed on.
fn readable(key: &RawValue) -> Option<Value> {
    if key.get().len() > MAX_KEY { None } else { plain_object(key.get()).map(Value::Object) }
}
