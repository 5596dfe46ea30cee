//! How does a local user join a room through one server?

use std::{collections::BTreeSet, time::Duration};

use ruma::{EventId, RoomId, ServerName, UserId};
use serde_json::{Map, Value, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{
    admission::Checked, event, json::Piece, membership::Membership, room_version::RoomVersion,
};

use super::super::template::{self, nonsense};
use crate::{
    flows::{
        ours::Ours,
        receive::{
            fetch::Events,
            incoming_state::{IncomingState, Ordered, Slice},
            receive_in_room,
            verify::{Dropped, countersigned, verified},
        },
        sending::unsent::Unsent,
        telling::tell,
    },
    objects::{
        room::messages::{AbandonJoin, BeginJoin, FinishJoin, GiveJoin, Outcome, Refusal},
        room_object,
    },
    remote::{
        RemoteError, api,
        client::{self, Ask, LARGE},
        pieces::Pieces,
    },
};

/// How long an attempt may take before another may begin (ms).
const LEASE: u64 = 150_000;
/// How long to wait before asking again whether another user's attempt has ended: twice as long each time,
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// up to this.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// Pauses between attempts through a server that has not yet received the event by which our user left.
const CATCHES_UP: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// One attempt to join through one resident server.
pub struct Attempt<'a> {
    pub world: &'a World,
    pub user: &'a UserId,
    pub room_id: &'a RoomId,
    pub server: &'a ServerName,
    /// Whether an earlier attempt with the same event may have succeeded: then even a refusal of this attempt leaves
    /// the outcome unknown.
    pub repeats: bool,
}

impl Attempt<'_> {
    /// Joins a room that is not live here.
    pub async fn run(&self, content: &Map<String, Value>) -> Result<(), Unsent> {
        let mut pauses = CATCHES_UP.iter();
        loop {
            let (version, event) = self.drafted(content).await?;
            match (self.begin_after_others(version, &event).await, pauses.next()) {
                (Ok(()), _) => return self.complete(version, event).await,
                (Err(AskError::Refused(Refusal::Behind)), Some(pause)) => {
                    self.world.sleep(*pause).await;
                }
                // If another user's join has made the room live meanwhile, the caller joins it locally.
                (Err(error), _) => return Err(error.into()),
            }
        }
    }

    /// Stores the intention in the room once no other user's attempt is under way.
    async fn begin_after_others(
        &self,
        version: &'static RoomVersion,
        event: &Checked,
    ) -> Result<(), AskError<Refusal>> {
        let (until, mut look) = (self.world.now() + LEASE, FIRST_LOOK);
        loop {
            match self.begin(version, event).await {
                Err(AskError::Refused(Refusal::Joining(_))) if self.world.now() < until => {
                    self.world.sleep(look).await;
                    look = (2 * look).min(LAST_LOOK);
                }
                begun => return begun,
            }
        }
    }

    /// Joins a room that is live here, but whose restricted join only another server can authorise: the room receives
    /// our event with that server's signature.
    pub async fn be_authorised(&self, content: &Map<String, Value>) -> Result<(), Unsent> {
        let (version, event) = self.drafted(content).await?;
        let mut answer = self.have_taken(&event, true).await?;
        let mut theirs = None;
        while let Some(piece) = answer.next().await? {
            if piece.member == "event" {
                theirs = Some(piece.text);
            }
        }
        let theirs = theirs.ok_or_else(|| nonsense("the other server gave no event"))?;
        let event = countersigned(self.world, version, &event, (self.server, &theirs))
            .await
            .map_err(|dropped| Unsent::Nonsense(dropped.reason))?;
        let (origin, event_id) = (self.server.to_owned(), event.event_id.clone());
        let outcomes = receive_in_room(self.world, &origin, self.room_id, vec![event]).await?;
        let taken = outcomes.iter().any(|(id, outcome)| {
            *id == event_id && matches!(outcome, Outcome::Accepted | Outcome::Known)
        });
        if taken { Ok(()) } else { Err(nonsense("the join that was authorised is not allowed")) }
    }

    /// Sends our event with `send_join`. With `omit_members` the answer need not hold every member of the room.
    async fn have_taken(&self, event: &Checked, omit_members: bool) -> Result<Pieces, RemoteError> {
        let path = api::send_join(self.room_id, &event.event_id, omit_members);
        let body: Value = serde_json::from_str(event.json.get())
            .map_err(|error| RemoteError::Refused(error.to_string()))?;
        let ask = Ask::put(&path, &body).within(LARGE);
        Ok(Pieces::of(client::open(self.world, self.server, ask).await?))
    }

    /// Our join event, built from the server's template.
    async fn drafted(
        &self,
        content: &Map<String, Value>,
    ) -> Result<(&'static RoomVersion, Checked), Unsent> {
        let template =
            template::ask(self.world, self.server, Membership::Join, self.room_id, self.user)
                .await?;
        let (version, pdu) = template::build(
            self.world,
            self.user,
            self.room_id,
            (Membership::Join, template),
            content,
        )?;
        let json = RawValue::from_string(pdu.json)?;
        Ok((version, Checked { event_id: pdu.event_id, json }))
    }

    /// Stores the intention in the room.
    async fn begin(
        &self,
        version: &'static RoomVersion,
        event: &Checked,
    ) -> Result<(), AskError<Refusal>> {
        let begin = BeginJoin {
            version: version.id.to_string(),
            user: self.user.to_owned(),
            event: event.clone(),
            via: self.server.to_owned(),
            until: self.world.now() + LEASE,
        };
        self.world.ask(&room_object(self.room_id), &begin).await
    }

    /// Sends the event, and abandons the attempt if that fails. If the server may have taken the event, the room's
    /// alarm tries that server and others again.
    async fn complete(&self, version: &'static RoomVersion, event: Checked) -> Result<(), Unsent> {
        let event_id = event.event_id.clone();
        let Err(Failure { error, known }) = self.finish(version, event).await else {
            return Ok(());
        };
        // If this fails too, the lease expires by itself.
        let abandon = AbandonJoin { event_id, again: !known || self.repeats };
        self.world.ask(&room_object(self.room_id), &abandon).await.ok();
        Err(error)
    }

    async fn finish(&self, version: &'static RoomVersion, event: Checked) -> Result<(), Failure> {
        let answer = self.have_taken(&event, false).await.map_err(Failure::of)?;
        let mut incoming = IncomingState::new(self.world, self.room_id, version, self.server);
        let signed = match self.read(answer, &mut incoming).await {
            Ok(theirs) => self.with_their_signature(version, event, theirs).await,
            Err(failure) => Err(failure),
        };
        let event = match signed {
            Ok(event) => event,
            Err(failure) => {
                incoming.forget().await;
                return Err(failure);
            }
        };
        let mut ordered = incoming.ordered().await.map_err(Failure::of_ours)?;
        let state = self.give(&event.event_id, &mut ordered).await;
        ordered.forget().await;
        let finish = FinishJoin { event, state: state? };
        let address = room_object(self.room_id);
        let joined = self.world.ask(&address, &finish).await.map_err(Failure::of_ours)?;
        tell::tell_now(self.world, self.room_id, joined.news).await;
        for (origin, event) in joined.parked {
            // The join stands; parked events can be sent again.
            if let Err(error) =
                receive_in_room(self.world, &origin, self.room_id, vec![event]).await
            {
                tracing::warn!(%error, "a parked event was not taken in");
            }
        }
        Ok(())
    }

    /// The join as the server signed it. Only a restricted join needs that signature: where a user of the server
    /// authorised it, others drop it without.
    async fn with_their_signature(
        &self,
        version: &'static RoomVersion,
        event: Checked,
        theirs: Option<Vec<u8>>,
    ) -> Result<Checked, Failure> {
        let signed = match &theirs {
            Some(theirs) => countersigned(self.world, version, &event, (self.server, theirs)).await,
            None => {
                Err(Dropped { event_id: None, reason: "the join was not given back".to_owned() })
            }
        };
        match signed {
            Ok(signed) => Ok(signed),
            Err(dropped) if is_authorised(version, &event) => {
                Err(Failure { error: nonsense(dropped.reason), known: false })
            }
            Err(_) => Ok(event),
        }
    }

    /// Reads the state and the auth chain of a `send_join` answer; returns the join as the server signed it, if the
    /// answer has it.
    async fn read(
        &self,
        mut answer: Pieces,
        incoming: &mut IncomingState<'_>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let (mut theirs, mut lists) = (None, BTreeSet::new());
        while let Some(piece) = answer.next().await.map_err(Failure::of)? {
            let Piece { member, is_element, text } = piece;
            match member.as_str() {
                "event" => theirs = Some(text),
                "state" | "auth_chain" if is_element => {
                    incoming.add(&text, member == "state").await.map_err(Failure::of_ours)?;
                    lists.insert(member);
                }
                _ => {}
            }
        }
        if !lists.contains("state") {
            return Err(Failure::of(RemoteError::Nonsense("there is no state".to_owned())));
        }
        Ok(theirs)
    }

    /// Gives the room the verified events, slice by slice; returns how many state events the room noted.
    async fn give(&self, join: &EventId, ordered: &mut Ordered<'_>) -> Result<u64, Failure> {
        let mut in_state = 0;
        while let Some(slice) = ordered.next().await.map_err(Failure::of_ours)? {
            let Slice { events, state, lost, unverified } = slice;
            if let Some(lost) = lost {
                let error =
                    nonsense(format!("the room's state cannot be verified: {}", lost.reason));
                return Err(Failure { error, known: false });
            }
            let give = GiveJoin { event_id: join.to_owned(), events, state, unverified };
            let taken = self.world.ask(&room_object(self.room_id), &give).await;
            in_state += taken.map_err(Failure::of_ours)?;
        }
        Ok(in_state)
    }

    /// Whether the server shows that it has our join, by returning the event.
    async fn is_known(&self, version: &'static RoomVersion, event_id: &EventId) -> bool {
        let path = api::event(event_id);
        let answer = client::ask::<Events>(self.world, self.server, Ask::get(&path)).await;
        let Ok(answer) = answer else { return false };
        let events = verified(self.world, version, &answer.pdus).await;
        events.iter().any(|event| event.event_id == *event_id)
    }
}

/// Why an attempt did not end in a join.
struct Failure {
    error: Unsent,
    /// Whether it is certain that the other server did not take the event.
    known: bool,
}

impl Failure {
    /// The other server failed, or did not answer as it should.
    fn of(error: RemoteError) -> Self {
        Self { known: is_final(&error), error: error.into() }
    }

    /// Our room refused what it was given, or did not answer.
    fn of_ours(error: AskError<Refusal>) -> Self {
        let error = match error {
            AskError::Refused(Refusal::Invalid(reason)) => Unsent::Nonsense(reason),
            error => error.into(),
        };
        // The server took the join, even if we could not use its answer.
        Self { error, known: false }
    }
}

/// Whether the server certainly did not take the event.
fn is_final(error: &RemoteError) -> bool {
    match error {
        RemoteError::Answered { status, .. } => *status < 500,
        RemoteError::Refused(_) => true,
        RemoteError::Unreachable(_) | RemoteError::Unasked(_) | RemoteError::Nonsense(_) => false,
    }
}

/// Resumes an attempt whose outcome is unknown; answers when to look again (ms). If the server is `unproven`, it must
/// first show that it has the join.
pub async fn resume(
    world: &World,
    room_id: &RoomId,
    (begun, unproven): (BeginJoin, bool),
) -> Result<Option<u64>, Unsent> {
    let BeginJoin { version, user, event, via, .. } = begun;
    let version =
        RoomVersion::of(&version).ok_or_else(|| Ours::broken("a join of unknown version"))?;
    let attempt = Attempt { world, user: &user, room_id, server: &via, repeats: true };
    let outcome = match attempt.begin(version, &event).await {
        Ok(()) if unproven && !attempt.is_known(version, &event.event_id).await => {
            let abandon = AbandonJoin { event_id: event.event_id, again: true };
            world.ask(&room_object(room_id), &abandon).await?;
            Err(nonsense("it has not shown that it heard of the join"))
        }
        Ok(()) => attempt.complete(version, event).await,
        Err(AskError::Refused(Refusal::AlreadyLive)) => return Ok(None),
        Err(error) => {
            let abandon = AbandonJoin { event_id: event.event_id, again: true };
            world.ask(&room_object(room_id), &abandon).await?;
            Err(error.into())
        }
    };
    let Err(error) = outcome else { return Ok(None) };
    tracing::info!(server = %via, room = %room_id, %error, "a join failed again");
    Ok(Some(world.now() + LEASE))
}

/// Whether a join names who authorised it, in a room version in which that counts.
fn is_authorised(version: &RoomVersion, join: &Checked) -> bool {
    let content = event::field(&join.json, "content");
    version.rules.signatures.check_join_authorised_via_users_server
        && content.is_some_and(|content| {
            event::field(content, "join_authorised_via_users_server").is_some()
        })
}
