//! How does a user learn what is new?

use http::Method;
use serde_json::{Value, json};
use tombolo_support::encode;

use crate::{actor::Actor, story::Synced};

impl Actor<'_> {
    /// What is new, waiting so many milliseconds for it. Invites are accepted or declined.
    pub async fn sync(&self, timeout: usize) {
        let since = self.story.token(self.user);
        let query = since.as_ref().map(|since| format!("&since={since}")).unwrap_or_default();
        let answer = self
            .call(Method::GET, &format!("/_matrix/client/v3/sync?timeout={timeout}{query}"), None)
            .await;
        let Some(next) = answer.text("next_batch").filter(|_| answer.is_ok()) else { return };
        let invites = self.note_rooms(&answer.body);
        let synced = Synced { since, next, after: false, body: answer.body };
        self.story.syncs.borrow_mut()[self.user].push(synced);
        self.sync_filtered().await;
        self.slide().await;
        for room in invites {
            if self.dice.percent(75) { self.join(room).await } else { self.leave(room).await }
        }
    }

    /// The same by the user's second client, which asks every second time for the state after the timeline.
    async fn sync_filtered(&self) {
        let (since, after) = {
            let synced = &self.story.filtered.borrow()[self.user];
            (synced.last().map(|synced| synced.next.clone()), synced.len() % 2 == 1)
        };
        let query = since.as_ref().map(|since| format!("&since={since}")).unwrap_or_default();
        let filter = encode(self.filter);
        let path =
            format!("/_matrix/client/v3/sync?filter={filter}&use_state_after={after}{query}");
        let answer = self.call(Method::GET, &path, None).await;
        if let Some(next) = answer.text("next_batch").filter(|_| answer.is_ok()) {
            let synced = Synced { since, next, after, body: answer.body };
            self.story.filtered.borrow_mut()[self.user].push(synced);
        }
    }

    /// The same by the user's third client, a sliding sync, which sees every third time only the newest room at first.
    async fn slide(&self) {
        let turns = self.story.slid.borrow()[self.user].len();
        if turns % 3 == 1 {
            self.slide_over(0).await;
        }
        self.slide_over(99).await;
    }

    /// A sliding sync that sees the rooms up to this place of the list.
    async fn slide_over(&self, last: usize) {
        let since = self.story.slid.borrow()[self.user].last().map(|synced| synced.next.clone());
        let limit = 1 + self.user % 4;
        let everything = json!({ "include": [{}] });
        let list =
            json!({ "range": [0, last], "timeline_limit": limit, "required_state": everything });
        let body = json!({ "pos": since, "lists": { "all": list } });
        let answer = self.call(Method::POST, "/_matrix/client/v4/sync", Some(body)).await;
        if let Some(next) = answer.text("pos").filter(|_| answer.is_ok()) {
            let synced = Synced { since, next, after: true, body: answer.body };
            self.story.slid.borrow_mut()[self.user].push(synced);
        }
    }

    /// Learns from a sync; answers the rooms to which there is an invite.
    fn note_rooms(&self, body: &Value) -> Vec<usize> {
        let rooms = self.story.rooms.borrow().clone();
        let mut invites = Vec::new();
        for (room, place) in rooms.iter().enumerate() {
            let news = &body["rooms"]["join"][&place.id];
            for event in news["timeline"]["events"].as_array().into_iter().flatten() {
                let event_id = event["event_id"].as_str().unwrap_or_default().to_owned();
                self.seen.borrow_mut().push((room, event_id));
            }
            if news.is_object() {
                self.joined.borrow_mut().insert(room);
            }
            if body["rooms"]["leave"][&place.id].is_object() {
                self.joined.borrow_mut().remove(&room);
            }
            if body["rooms"]["invite"][&place.id].is_object() {
                invites.push(room);
            }
        }
        invites
    }
}
