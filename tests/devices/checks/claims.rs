//! Was every one-time key handed out once, and only while it was its device's?
//! ([one-time and fallback keys](https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys))

use std::collections::BTreeSet;

use crate::{
    scenario::Run,
    story::{Claim, Life},
};

pub fn once(run: &Run) -> Vec<String> {
    let (mut findings, mut given) = (Vec::new(), BTreeSet::new());
    for claim in run.story.claims.borrow().iter() {
        let is_fallback = claim.key["fallback"] == true;
        if !is_fallback && !given.insert(claim.name.clone()) {
            findings.push(format!("{} is handed out twice", claim.name));
        }
        findings.extend(of_another(run, claim));
    }
    findings
}

/// A key that is not one of the device that has this name when it is asked for. The keys of an earlier device of this
/// name are gone at the latest when the device publishes its own.
fn of_another(run: &Run, claim: &Claim) -> Option<String> {
    let (lives, published) = (run.story.lives.borrow(), run.story.published.borrow());
    let Claim { user, device, name, key, began } = claim;
    let wrong =
        |what: &str| Some(format!("{name}, claimed of {device} of {user} at {began}, {what}"));
    let Some((life, held)) = published.get(name) else { return wrong("was never published") };
    let of =
        |life: &Life| (&run.network.owner(life.device).id, &run.network.devices[life.device].id);
    if held != key || of(&lives[*life]) != (user, device) {
        return wrong("is the key of another device");
    }
    let replaced = |later: &Life| {
        of(later) == (user, device) && later.uploaded.is_some_and(|uploaded| uploaded < *began)
    };
    if lives[life + 1..].iter().any(replaced) {
        return wrong("is the key of an earlier device");
    }
    None
}
