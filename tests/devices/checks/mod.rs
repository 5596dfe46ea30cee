//! Did everything end as it must? Each file answers one question; what is wrong is listed, not only the first.

mod claims;
mod lists;
mod messages;

use crate::scenario::Run;

/// So often at most a client asks until nothing comes any more.
const MOST_SYNCS: usize = 50;

/// What is wrong after the run.
pub async fn after(run: &Run) -> Vec<String> {
    let mut findings = Vec::new();
    for device in 0..run.network.devices.len() {
        findings.extend(catch_up(run, device).await);
    }
    findings.extend(messages::once_and_in_order(run));
    findings.extend(claims::once(run));
    findings.extend(lists::exact(run).await);
    findings
}

/// A client that is logged in asks until nothing comes, and for the keys of whoever is outdated.
async fn catch_up(run: &Run, device: usize) -> Option<String> {
    let session = run.session(device)?;
    let actor = run.actor(device, 3);
    for _ in 0..MOST_SYNCS {
        let is_new = actor.sync(&session, 0).await;
        actor.query(&session).await;
        let outdated = run.story.client(session.0, |client| client.outdated());
        if !is_new && outdated.is_empty() {
            return None;
        }
    }
    Some(format!("life {} of {} does not come to rest", session.0, session.1.id))
}
