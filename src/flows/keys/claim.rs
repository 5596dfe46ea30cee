//! How is a one-time key claimed?
//! ([keys/claim](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim))

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, stream};
use ruma::{OwnedServerName, OwnedUserId, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::json::{members, plain_object};

use super::{AT_ONCE, Homes, LIMITS, deadline, existing, failed, in_time};
use crate::{
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::{
            MAX_KEY,
            messages::{ClaimKeys, Claimed},
        },
    },
    remote::{
        RemoteError, api,
        client::{self, Ask},
    },
};

/// Of each user, the devices and the algorithm of the key that is wanted of each.
pub type Wanted = BTreeMap<OwnedUserId, BTreeMap<String, String>>;

/// Of each user and device, the key: its name, `<algorithm>:<id>`, and what it is.
pub type Keys = BTreeMap<OwnedUserId, BTreeMap<String, BTreeMap<String, Box<RawValue>>>>;

/// What was claimed.
#[derive(Default)]
pub struct Found {
    pub keys: Keys,
    /// The servers that did not answer.
    pub failures: BTreeMap<OwnedServerName, RemoteError>,
}

/// Claims keys of users of any server.
pub async fn claim(
    world: &World,
    wanted: Wanted,
    timeout: Option<Duration>,
) -> Result<Found, Ours> {
    let Homes { ours, others } = Homes::of(world, wanted)?;
    let mut found = Found { keys: of_ours(world, ours).await?, ..Found::default() };
    let until = deadline(world, timeout);
    let answers: Vec<_> = stream::iter(others)
        .map(|(server, wanted)| async move {
            let keys = in_time(world, until, ask(world, &server, &wanted)).await;
            (server, keys)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (server, keys) in answers {
        match keys {
            Ok(keys) => found.keys.extend(keys),
            Err(error) => {
                tracing::debug!(%server, %error, "a server gave no one-time keys");
                found.failures.insert(server, error);
            }
        }
    }
    Ok(found)
}

/// Claims keys of users of this server.
pub async fn of_ours(world: &World, wanted: Wanted) -> Result<Keys, Ours> {
    let claims = stream::iter(existing(world, wanted).await?).map(|(user, devices)| async move {
        let claim = ClaimKeys { wanted: devices.into_iter().collect() };
        let claimed = world.ask(&keys_object(&user), &claim).await.map_err(failed)?;
        let mut keys: BTreeMap<String, BTreeMap<String, Box<RawValue>>> = BTreeMap::new();
        for Claimed { device, key_id, key } in claimed {
            keys.entry(device).or_default().insert(key_id, key);
        }
        Ok::<_, Ours>((user, keys))
    });
    let claimed: Vec<_> = claims.buffer_unordered(AT_ONCE).collect().await;
    let claimed: Vec<_> = claimed.into_iter().collect::<Result<_, _>>()?;
    Ok(claimed.into_iter().filter(|(_, keys)| !keys.is_empty()).collect())
}

#[derive(Serialize)]
struct Question<'a> {
    one_time_keys: &'a Wanted,
}

#[derive(Deserialize)]
struct Answer {
    one_time_keys: Option<Box<RawValue>>,
}

async fn ask(world: &World, server: &ServerName, wanted: &Wanted) -> Result<Keys, RemoteError> {
    let body = client::content(&Question { one_time_keys: wanted })?;
    let ask = Ask::post(api::CLAIM_KEYS, &body).within(LIMITS);
    let answer: Answer = client::ask(world, server, ask).await?;
    let mut users = members(answer.one_time_keys.as_deref());
    let mut keys = Keys::new();
    for (user, wanted) in wanted {
        let mut devices = members(users.remove(user.as_str()).as_deref());
        for (device, algorithm) in wanted {
            let given = members(devices.remove(device).as_deref()).into_iter();
            let mut given = given.filter(|(name, key)| is_key(algorithm, name, key));
            if let Some((name, key)) = given.next() {
                keys.entry(user.clone()).or_default().insert(device.clone(), [(name, key)].into());
            }
        }
    }
    Ok(keys)
}

/// Whether another server gave a key of this algorithm, which can be passed on.
fn is_key(algorithm: &str, name: &str, key: &RawValue) -> bool {
    let id = name.strip_prefix(algorithm).and_then(|rest| rest.strip_prefix(':'));
    let is_text = || serde_json::from_str::<String>(key.get()).is_ok();
    id.is_some() && key.get().len() <= MAX_KEY && (plain_object(key.get()).is_some() || is_text())
}
