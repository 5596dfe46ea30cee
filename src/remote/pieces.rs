//! How is a large answer of another server read piece by piece?

use std::collections::VecDeque;

use tombolo_platform::Body;
use tombolo_protocol::json::{JsonFault, Piece, Split};

use super::RemoteError;

/// The longest piece that is read (bytes): an event of 64 KiB is shorter even when every character is escaped.
const MAX_PIECE: usize = 512 << 10;

/// The pieces of an answer.
pub struct Pieces {
    body: Body,
    /// `None` after the end of the answer.
    split: Option<Split>,
    ready: VecDeque<Piece>,
}

impl Pieces {
    pub fn of(body: Body) -> Self {
        Self { body, split: Some(Split::new(MAX_PIECE)), ready: VecDeque::new() }
    }

    /// The next piece; `None` after the last one of an answer that came whole.
    pub async fn next(&mut self) -> Result<Option<Piece>, RemoteError> {
        while self.ready.is_empty() {
            let Some(split) = &mut self.split else { return Ok(None) };
            let read = match self.body.next().await {
                Some(chunk) => split.push(&chunk?, |piece| self.ready.push_back(piece)),
                None => self.split.take().map_or(Ok(()), Split::end),
            };
            read.map_err(|fault: JsonFault| RemoteError::Nonsense(fault.to_string()))?;
        }
        Ok(self.ready.pop_front())
    }
}
