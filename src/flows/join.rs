//! How does a local user join a room?
//! ([joining rooms](https://spec.matrix.org/v1.19/server-server-api/#joining-rooms))
//!
//! Where the room is live here, a join is an event like any other. Else a server in the room is asked: we build our own
//! event from the links of its template, store the intention in the room, have the event taken, verify what we are
//! given, and the room goes live in one transaction. Several servers are tried in turn.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use ruma::{EventId, OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{
    admission::Checked, canonical_json, json::parse_object, room_version::RoomVersion,
};

use super::{
    given::{Given, Slice},
    receive::{encode, fetch::Events, receive_in_room},
    room, send, tell, template,
    verify::{logged, verified, verify},
};
use crate::{
    config::Config,
    error::{Error, Result, bad_gateway, bad_json, internal, not_found, unavailable},
    objects::room::messages::{
        AbandonJoin, BeginJoin, Describe, Description, DueJoin, FinishJoin, GiveJoin, Membership,
        OutOfBand, Outcome, Refusal,
    },
    remote::{
        RemoteError,
        client::{self, Ask, LARGE},
    },
    stores::profiles,
};

/// How long an attempt may take before another may begin (ms).
const LEASE: u64 = 150_000;
/// How many of the rooms whose members a restricted join lets in are asked.
const MAX_ALLOWING: usize = 20;
/// How many servers are tried.
const MAX_SERVERS: usize = 5;
/// How long to wait before looking again whether another user's attempt is over.
const OTHERS_TAKE: Duration = Duration::from_millis(250);
/// How long a server that has not heard how we left is given to hear of it.
const CATCHES_UP: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

#[derive(Deserialize)]
struct SendJoin<'a> {
    #[serde(borrow)]
    state: Vec<&'a RawValue>,
    #[serde(borrow)]
    auth_chain: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    event: Option<&'a RawValue>,
}

/// Joins; `content` holds further members of the event's content, such as a reason.
pub async fn join(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    content: Map<String, Value>,
) -> Result<()> {
    let mut content: Map<String, Value> = content;
    content.extend(member_content(world, user).await?);
    content.insert("membership".to_owned(), json!("join"));
    match world.ask(&room(room_id), &Describe {}).await {
        Ok(description) if description.live => {
            join_here(world, user, room_id, (&description, via), &content).await
        }
        Ok(_) | Err(AskError::Refused(Refusal::Absent)) => {
            join_through(world, user, room_id, via, &content).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The display name and avatar that a local user's member events carry.
pub async fn member_content(world: &World, user: &UserId) -> Result<Map<String, Value>> {
    let profile = profiles::find(world, user.localpart()).await?.unwrap_or_default();
    let fields = [("displayname", profile.displayname), ("avatar_url", profile.avatar_url)];
    Ok(fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
        .collect())
}

/// In which of some rooms a user is joined, as far as this server knows.
#[derive(Default)]
pub struct MemberOf {
    pub joined: Vec<OwnedRoomId>,
    /// Whether it does not know one of the rooms.
    pub blind: bool,
}

/// The rooms among these in which a user is joined.
pub async fn member_of(world: &World, user: &UserId, rooms: &[OwnedRoomId]) -> Result<MemberOf> {
    let mut member_of = MemberOf { joined: Vec::new(), blind: rooms.len() > MAX_ALLOWING };
    for room_id in rooms.iter().take(MAX_ALLOWING) {
        match world.ask(&room(room_id), &Membership { user: user.to_owned() }).await {
            Ok(Some(membership)) if membership == "join" => member_of.joined.push(room_id.clone()),
            Ok(_) => {}
            Err(AskError::Refused(_)) => member_of.blind = true,
            Err(unreachable) => return Err(unreachable.into()),
        }
    }
    Ok(member_of)
}

async fn join_here(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    (description, via): (&Description, &[OwnedServerName]),
    content: &Map<String, Value>,
) -> Result<()> {
    if world.ask(&room(room_id), &Membership { user: user.to_owned() }).await?.as_deref()
        == Some("join")
    {
        return Ok(());
    }
    let member_of = member_of(world, user, &description.allow_rooms).await?.joined;
    let joined = send::membership(world, room_id, user, content, member_of).await;
    let Err(refused) = joined else { return Ok(()) };
    if refused.status != StatusCode::FORBIDDEN || description.allow_rooms.is_empty() {
        return Err(refused);
    }
    // Others in the room may be able to authorise what we cannot.
    for server in residents(world, user, room_id, via).await?.iter().take(MAX_SERVERS) {
        let attempt = Attempt { world, user, room_id, server, repeats: false };
        match attempt.be_authorised(content).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::info!(%server, room = %room_id, error = error.message, "a join was not authorised");
            }
        }
    }
    Err(refused)
}

async fn join_through(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    content: &Map<String, Value>,
) -> Result<()> {
    let servers = residents(world, user, room_id, via).await?;
    let mut failure = not_found("No server is known that is in this room");
    for server in servers.into_iter().take(MAX_SERVERS) {
        let attempt = Attempt { world, user, room_id, server: &server, repeats: false };
        match attempt.run(content).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::info!(%server, room = %room_id, error = error.message, "a join failed");
                failure = error;
            }
        }
        // Another user's join may have brought the room here meanwhile.
        if let Ok(description) = world.ask(&room(room_id), &Describe {}).await
            && description.live
        {
            return join_here(world, user, room_id, (&description, via), content).await;
        }
    }
    Err(failure)
}

/// Servers that may be in the room: those named, those an invite came through, and the one in the room's ID.
pub async fn residents(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
) -> Result<Vec<OwnedServerName>> {
    let own = &Config::of(world)?.server_name;
    let mut servers = via.to_vec();
    match world.ask(&room(room_id), &OutOfBand { user: user.to_owned() }).await {
        Ok(invite) => servers.extend(invite.via),
        Err(AskError::Refused(_)) => {}
        Err(unreachable) => return Err(unreachable.into()),
    }
    servers.extend(room_id.server_name().map(ToOwned::to_owned));
    let mut seen = BTreeSet::new();
    servers.retain(|server| server != own && seen.insert(server.clone()));
    Ok(servers)
}

/// One attempt through one server.
struct Attempt<'a> {
    world: &'a World,
    user: &'a UserId,
    room_id: &'a RoomId,
    server: &'a ServerName,
    /// Whether an earlier attempt with the same event may have ended in a join, whatever is said to this one.
    repeats: bool,
}

impl Attempt<'_> {
    async fn run(&self, content: &Map<String, Value>) -> Result<()> {
        let mut pauses = CATCHES_UP.iter();
        loop {
            let (version, event) = self.drafted(content).await?;
            match (self.begin_after_others(version, &event).await, pauses.next()) {
                (Ok(()), _) => return self.complete(version, event).await,
                (Err(AskError::Refused(Refusal::Behind)), Some(pause)) => {
                    self.world.sleep(*pause).await;
                }
                // Another user's join has brought the room here: the caller joins there.
                (Err(AskError::Refused(Refusal::AlreadyLive)), _) => {
                    return Err(unavailable("the room came here meanwhile"));
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
    }

    /// Stores the intention, once no other user's attempt is under way any more.
    async fn begin_after_others(
        &self,
        version: &'static RoomVersion,
        event: &Checked,
    ) -> std::result::Result<(), AskError<Refusal>> {
        let until = self.world.now() + LEASE;
        loop {
            match self.begin(version, event).await {
                Err(AskError::Refused(Refusal::Joining(_))) if self.world.now() < until => {
                    self.world.sleep(OTHERS_TAKE).await;
                }
                begun => return begun,
            }
        }
    }

    /// Joins a room that is here already, where only another server can authorise the join: the room takes in the event
    /// as that server signed it.
    async fn be_authorised(&self, content: &Map<String, Value>) -> Result<()> {
        let (version, event) = self.drafted(content).await?;
        let bytes = self.have_taken(&event).await?;
        let answer: SendJoin<'_> = client::read(&bytes)?;
        let event = countersigned(self.world, version, event, answer.event).await?;
        let (origin, event_id) = (self.server.to_owned(), event.event_id.clone());
        let outcomes = receive_in_room(self.world, &origin, self.room_id, vec![event]).await?;
        let taken = outcomes.iter().any(|(id, outcome)| {
            *id == event_id && matches!(outcome, Outcome::Accepted | Outcome::Known)
        });
        if taken { Ok(()) } else { Err(bad_gateway("the join that was authorised is not allowed")) }
    }

    /// Has a server in the room take our event.
    async fn have_taken(&self, event: &Checked) -> std::result::Result<Bytes, RemoteError> {
        let (room_id, event_id) = (encode(self.room_id.as_str()), encode(event.event_id.as_str()));
        let path =
            format!("/_matrix/federation/v2/send_join/{room_id}/{event_id}?omit_members=false");
        let body: Value = serde_json::from_str(event.json.get())
            .map_err(|error| RemoteError::Refused(error.to_string()))?;
        client::send(self.world, self.server, Ask::put(&path, &body).within(LARGE)).await
    }

    /// Our join, on the links that the server says.
    async fn drafted(
        &self,
        content: &Map<String, Value>,
    ) -> Result<(&'static RoomVersion, Checked)> {
        let template =
            template::ask(self.world, self.server, "make_join", self.room_id, self.user).await?;
        let (version, pdu) =
            template::build(self.world, self.user, self.room_id, template, content)?;
        let json = RawValue::from_string(pdu.json)?;
        Ok((version, Checked { event_id: pdu.event_id, json }))
    }

    /// Stores the intention.
    async fn begin(
        &self,
        version: &'static RoomVersion,
        event: &Checked,
    ) -> std::result::Result<(), AskError<Refusal>> {
        let begin = BeginJoin {
            version: version.id.to_string(),
            user: self.user.to_owned(),
            event: event.clone(),
            via: self.server.to_owned(),
            until: self.world.now() + LEASE,
        };
        self.world.ask(&room(self.room_id), &begin).await
    }

    /// Has the event taken, and forgets the intention if it was not. Where nobody knows whether the server took it, the
    /// room's alarm asks that server and others again.
    async fn complete(&self, version: &'static RoomVersion, event: Checked) -> Result<()> {
        let event_id = event.event_id.clone();
        let Err(Failure { error, known }) = self.finish(version, event).await else {
            return Ok(());
        };
        // If this fails too, the lease ends by itself.
        let abandon = AbandonJoin { event_id, again: !known || self.repeats };
        self.world.ask(&room(self.room_id), &abandon).await.ok();
        Err(error)
    }

    async fn finish(
        &self,
        version: &'static RoomVersion,
        event: Checked,
    ) -> std::result::Result<(), Failure> {
        let failed = |error: RemoteError| Failure { known: is_final(&error), error: error.into() };
        let bytes = self.have_taken(&event).await.map_err(failed)?;
        let answer: SendJoin<'_> = client::read(&bytes).map_err(failed)?;
        let event =
            countersigned(self.world, version, event, answer.event).await.map_err(Failure::of)?;
        let (auth_chain, state) = (&answer.auth_chain, &answer.state);
        let given = Given::read(self.world, version, auth_chain, state, self.server).await;
        let address = room(self.room_id);
        let mut state = 0;
        for slice in given.slices() {
            let Slice { events, state: of_state, lost, left_out } = slice;
            if let Some(lost) = lost {
                let error =
                    bad_gateway(format!("the room's state cannot be verified: {}", lost.reason));
                return Err(Failure { error, known: false });
            }
            let event_id = event.event_id.clone();
            let give = GiveJoin { event_id, events, state: of_state, left_out };
            state += self.world.ask(&address, &give).await.map_err(Failure::of_ours)?;
        }
        let finish = FinishJoin { event, state };
        let joined = self.world.ask(&address, &finish).await.map_err(Failure::of_ours)?;
        tell::tell_now(self.world, self.room_id, joined.news).await;
        for (origin, event) in joined.parked {
            // The join stands; what was parked can come again.
            if let Err(error) =
                receive_in_room(self.world, &origin, self.room_id, vec![event]).await
            {
                tracing::warn!(error = error.message, "a parked event was not taken in");
            }
        }
        Ok(())
    }

    /// Whether the server has our join, which it cannot give without having heard of it.
    async fn is_known(&self, version: &'static RoomVersion, event_id: &EventId) -> bool {
        let path = format!("/_matrix/federation/v1/event/{}", encode(event_id.as_str()));
        let answer = client::ask::<Events>(self.world, self.server, Ask::get(&path)).await;
        let Ok(answer) = answer else { return false };
        let events = verified(self.world, version, &answer.pdus).await;
        events.iter().any(|event| event.event_id == *event_id)
    }
}

/// Our event with the signature of the server that authorised a restricted join, or whose user is invited, if it gave
/// one; its text stays ours.
pub async fn countersigned(
    world: &World,
    version: &'static RoomVersion,
    ours: Checked,
    theirs: Option<&RawValue>,
) -> Result<Checked> {
    let verified = verify(world, theirs.map(|event| (version, event))).await;
    let mut verified = verified.into_iter().filter_map(logged);
    let Some(theirs) = verified.find(|event| event.event_id == ours.event_id) else {
        return Ok(ours);
    };
    let read = |event: &Checked| {
        parse_object(event.json.get().as_bytes()).map_err(|fault| bad_json(fault.to_string()))
    };
    let (mut object, mut theirs) = (read(&ours)?, read(&theirs)?);
    object.extend(theirs.remove_entry("signatures"));
    let json = RawValue::from_string(canonical_json::to_string(&object))?;
    Ok(Checked { json, ..ours })
}

/// Why an attempt did not end in a join.
struct Failure {
    error: Error,
    /// Whether it is certain that the other server did not take the event, or that it is of no use to us.
    known: bool,
}

impl Failure {
    fn of(error: impl Into<Error>) -> Self {
        Self { error: error.into(), known: true }
    }

    /// Our room did not take what it was given.
    fn of_ours(error: AskError<Refusal>) -> Self {
        let error = match error {
            AskError::Refused(Refusal::Invalid(reason)) => bad_gateway(reason),
            AskError::Refused(refusal) => refusal.into(),
            AskError::Unreachable(cause) => unavailable(cause),
        };
        // The server took the join, whatever we make of what it gave.
        Self { error, known: false }
    }
}

/// Whether the server certainly did not take the event.
fn is_final(error: &RemoteError) -> bool {
    match error {
        RemoteError::Answered { status, .. } => *status < 500,
        RemoteError::Refused(_) => true,
        RemoteError::Unreachable(_) | RemoteError::Nonsense(_) => false,
    }
}

/// Takes up an attempt whose end nobody knows; answers when to look again (ms).
pub async fn resume(world: &World, room_id: &RoomId) -> Result<Option<u64>> {
    let due = match world.ask(&room(room_id), &DueJoin {}).await {
        Ok(due) => due,
        Err(AskError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(BeginJoin { version, user, event, via, .. }) = due.attempt else {
        return Ok(due.next);
    };
    let version = RoomVersion::of(&version).ok_or_else(|| internal("a join of unknown version"))?;
    let attempt = Attempt { world, user: &user, room_id, server: &via, repeats: true };
    let outcome = match attempt.begin(version, &event).await {
        Ok(()) if due.unproven && !attempt.is_known(version, &event.event_id).await => {
            let abandon = AbandonJoin { event_id: event.event_id, again: true };
            world.ask(&room(room_id), &abandon).await?;
            Err(bad_gateway("it has not shown that it heard of the join"))
        }
        Ok(()) => attempt.complete(version, event).await,
        Err(AskError::Refused(Refusal::AlreadyLive)) => return Ok(None),
        Err(error) => {
            let abandon = AbandonJoin { event_id: event.event_id, again: true };
            world.ask(&room(room_id), &abandon).await?;
            Err(error.into())
        }
    };
    let Err(error) = outcome else { return Ok(None) };
    tracing::info!(server = %via, room = %room_id, error = error.message, "a join failed again");
    Ok(Some(world.now() + LEASE))
}
