//! How is an answer with a state of any size written?
//!
//! The room names the events by numbers, and gives their texts a few hundred at a time while the answer is sent.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream;
use ruma::RoomId;
use serde::Serialize;
use tombolo_platform::{Address, Body, Unread, World};

use crate::{
    error::{Result, internal},
    objects::{
        room::{
            RoomClass, Sn,
            messages::{Bodies, StateNumbers},
        },
        room_object,
    },
};

/// How many events the room is asked for at once; it gives as many as fit in one message.
const AT_ONCE: usize = 400;

/// An answer that is written while it is sent.
pub struct Lists {
    world: World,
    room: Address<RoomClass>,
    parts: VecDeque<Part>,
}

enum Part {
    Text(String),
    /// Events, and whether others stand before them in their list.
    Events(Vec<Sn>, bool),
}

impl Lists {
    /// The members of `head`, then the state and its auth chain under these names.
    pub fn new(
        world: &World,
        room_id: &RoomId,
        head: &impl Serialize,
        [state, auth_chain]: [&str; 2],
        numbers: StateNumbers,
    ) -> Result<Self> {
        let mut begin = serde_json::to_string(head)?;
        begin.pop();
        if begin.len() > 1 {
            begin.push(',');
        }
        let parts = VecDeque::from([
            Part::Text(format!("{begin}\"{state}\":[")),
            Part::Events(numbers.state, false),
            Part::Text(format!("],\"{auth_chain}\":[")),
            Part::Events(numbers.auth_chain, false),
            Part::Text("]}".to_owned()),
        ]);
        Ok(Self { world: world.clone(), room: room_object(room_id), parts })
    }

    /// The form of version 1 of an endpoint: a list of the status and the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.parts.push_front(Part::Text(format!("[{status},")));
        self.parts.push_back(Part::Text("]".to_owned()));
        self
    }

    pub fn body(self) -> Body {
        Body::stream(stream::unfold(Some(self), async |answer| {
            let mut answer = answer?;
            match answer.next().await {
                Ok(text) => Some((Ok(Bytes::from(text?)), Some(answer))),
                Err(error) => Some((Err(Unread::Broken(error.message)), None)),
            }
        }))
    }

    async fn next(&mut self) -> Result<Option<String>> {
        match self.parts.pop_front() {
            None => Ok(None),
            Some(Part::Text(text)) => Ok(Some(text)),
            Some(Part::Events(numbers, _)) if numbers.is_empty() => Ok(Some(String::new())),
            Some(Part::Events(mut numbers, begun)) => {
                let some = numbers.iter().take(AT_ONCE).copied().collect();
                let bodies = self.world.ask(&self.room, &Bodies { numbers: some }).await?;
                if bodies.is_empty() {
                    return Err(internal("the room gave no event"));
                }
                let texts: Vec<&str> = bodies.iter().map(|body| body.get()).collect();
                let text = format!("{}{}", if begun { "," } else { "" }, texts.join(","));
                numbers.drain(..bodies.len().min(numbers.len()));
                self.parts.push_front(Part::Events(numbers, true));
                Ok(Some(text))
            }
        }
    }
}
