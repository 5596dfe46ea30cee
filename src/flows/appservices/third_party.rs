//! What do application services know of the networks that they bridge to?
//! ([third-party networks](https://spec.matrix.org/v1.19/application-service-api/#third-party-networks))
//!
//! Each service that serves a protocol is asked, and what they say is put together. One that does not answer, or not as
//! it should, keeps nobody from what the others say; where nobody else says anything, it is not known.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{
    Appservice, appservices,
    queries::{self, Unanswered},
};
use crate::remote::appservices as remote;

/// For how long what a service says of a protocol is remembered (ms).
const REMEMBERED: u64 = 3_600_000;
/// Of how many protocols it is remembered in an isolate; beyond that, it begins anew.
const MOST_PROTOCOLS: usize = 100;
/// As what a service is left alone that failed here.
const NETWORKS: &str = "thirdparty";
/// How many services are asked at once.
const AT_ONCE: usize = 3;

/// What is looked for on a network.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    User,
    Location,
}

impl Kind {
    const fn segment(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Location => "location",
        }
    }

    /// How it is called in Matrix: what each find has, and by what is looked for without a protocol.
    pub const fn of_matrix(self) -> &'static str {
        match self {
            Self::User => "userid",
            Self::Location => "alias",
        }
    }
}

/// Until when what each service says of each protocol is remembered (ms).
#[derive(Default)]
struct Known(RefCell<BTreeMap<(String, String), (u64, Value)>>);

/// Each protocol that a service serves; with `only`, that one alone.
pub async fn protocols(
    world: &World,
    only: Option<&str>,
) -> Result<BTreeMap<String, Value>, Unanswered> {
    let services = appservices(world).await?;
    let served = services.iter().flat_map(|service| {
        let protocols = service.registration.protocols.iter();
        protocols.map(move |protocol| (service, protocol))
    });
    let wanted = served.filter(|(_, protocol)| only.is_none_or(|only| only == *protocol));
    let said = wanted.map(|(service, protocol)| async move {
        let said = metadata(world, service, protocol).await;
        said.map(|said| Some((protocol.clone(), said?)))
    });
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let (said, silent) = gathered(said).await;
    // A list of all goes without who does not answer.
    if said.is_empty() && silent && only.is_some() {
        return Err(Unanswered::Silent);
    }
    for (protocol, said) in said {
        match all.get_mut(&protocol).and_then(|known| known["instances"].as_array_mut()) {
            Some(instances) => {
                instances.extend(said["instances"].as_array().cloned().unwrap_or_default())
            }
            None => _ = all.insert(protocol, said),
        }
    }
    Ok(all)
}

/// What services say, in their order, and whether one does not answer.
async fn gathered<T>(
    asked: impl Iterator<Item = impl Future<Output = Result<Option<T>, Unanswered>>>,
) -> (Vec<T>, bool) {
    let said: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let silent = said.iter().any(Result::is_err);
    (said.into_iter().flatten().flatten().collect(), silent)
}

/// What a service says of a protocol. Clients name a network by its `instance_id`, which is unique here.
async fn metadata(
    world: &World,
    service: &Appservice,
    protocol: &str,
) -> Result<Option<Value>, Unanswered> {
    let known = world.isolate(|_| Known::default());
    let key = (service.id().to_owned(), protocol.to_owned());
    if let Some((until, said)) = known.0.borrow().get(&key)
        && *until > world.now()
    {
        return Ok(Some(said.clone()));
    }
    let what = format!("protocol/{}", remote::escaped(protocol));
    let Some(mut said) = asked(world, service, &what).await? else { return Ok(None) };
    let has = |name: &str, is: fn(&Value) -> bool| said.get(name).is_some_and(is);
    let is_whole = has("user_fields", Value::is_array)
        && has("location_fields", Value::is_array)
        && has("icon", Value::is_string)
        && has("field_types", Value::is_object)
        && has("instances", Value::is_array);
    if !is_whole {
        tracing::info!(
            id = service.id(),
            protocol,
            "an application service says too little of a protocol"
        );
        return Ok(None);
    }
    for instance in said["instances"].as_array_mut().into_iter().flatten() {
        if let Some(network) = instance.get("network_id").and_then(Value::as_str) {
            instance["instance_id"] = json!(format!("{}|{network}", service.id()));
        }
    }
    let mut known = known.0.borrow_mut();
    if known.len() >= MOST_PROTOCOLS {
        known.clear();
    }
    known.insert(key, (world.now().saturating_add(REMEMBERED), said.clone()));
    Ok(Some(said))
}

/// The users or rooms that are found by these fields, each a name and a value, on the networks of a protocol; without
/// one, on all.
pub async fn find(
    world: &World,
    kind: Kind,
    protocol: Option<&str>,
    fields: &[(String, String)],
) -> Result<Vec<Value>, Unanswered> {
    let (segment, has) = (kind.segment(), kind.of_matrix());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let query = query.extend_pairs(fields).finish();
    let what = match protocol {
        Some(protocol) => format!("{segment}/{}?{query}", remote::escaped(protocol)),
        None => format!("{segment}?{query}"),
    };
    let services = appservices(world).await?;
    let serves = |service: &&Rc<Appservice>| {
        let mut protocols = service.registration.protocols.iter();
        protocols.any(|served| protocol.is_none_or(|protocol| protocol == served))
    };
    let asked = services.iter().filter(serves).map(|service| asked(world, service, &what));
    let (said, silent) = gathered(asked).await;
    let found = said.into_iter().filter_map(|said| match said {
        Value::Array(found) => Some(found),
        _ => None,
    });
    let is_one = |one: &Value| {
        [has, "protocol"].iter().all(|name| one[name].is_string()) && one["fields"].is_object()
    };
    let found: Vec<Value> = found.flatten().filter(is_one).collect();
    if found.is_empty() && silent { Err(Unanswered::Silent) } else { Ok(found) }
}

/// What a service says, if it listens and says anything.
async fn asked(
    world: &World,
    service: &Appservice,
    what: &str,
) -> Result<Option<Value>, Unanswered> {
    let Some(place) = service.place() else { return Ok(None) };
    if queries::is_left_alone(world, (service.id(), NETWORKS)) {
        return Err(Unanswered::Silent);
    }
    remote::look_up(world, place, what).await.map_err(|error| {
        queries::leave_alone(world, (service.id(), NETWORKS));
        tracing::info!(id = service.id(), %error, "an application service was asked in vain");
        Unanswered::Silent
    })
}
