//! Did every message reach the devices it is for, and no others, once and in order?
//! ([send-to-device messaging](https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging))

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{scenario::Run, story::Send};

/// By life, the messages that its client got, in order.
type Received = BTreeMap<usize, Vec<usize>>;

pub fn once_and_in_order(run: &Run) -> Vec<String> {
    let mut findings = Vec::new();
    let received = received(run, &mut findings);
    for (number, send) in run.story.sends.borrow().iter().enumerate() {
        findings.extend(lost(run, (number, send), &received));
        findings.extend(doubled(run, number, &received));
        findings.extend(late(run, (number, send), &received));
    }
    for (life, numbers) in &received {
        findings.extend(out_of_order(run, *life, numbers));
    }
    findings
}

/// What each client got; what was not sent to it is a finding.
fn received(run: &Run, findings: &mut Vec<String>) -> Received {
    let (lives, sends) = (run.story.lives.borrow(), run.story.sends.borrow());
    let mut received = Received::new();
    for (number, life) in lives.iter().enumerate() {
        let (user, device) =
            (&run.network.owner(life.device).id, &run.network.devices[life.device]);
        for (sender, content) in &life.client.received {
            let sent = content["n"].as_u64().and_then(|n| usize::try_from(n).ok());
            let send = sent.and_then(|sent| sends.get(sent));
            let is_meant = send.is_some_and(|send| {
                let by = &run.network.owner(lives[send.life].device).id;
                by == sender && meant(send, user, &device.id) == Some(content)
            });
            match sent.filter(|_| is_meant) {
                Some(sent) => received.entry(number).or_default().push(sent),
                None => findings.push(format!("life {number} got {content} of {sender}")),
            }
        }
    }
    received
}

/// The content that a message has for a device. Who names a device means it, whatever is sent to all.
fn meant<'a>(send: &'a Send, user: &str, device: &str) -> Option<&'a Value> {
    let of_user = send.messages.get(user)?;
    of_user.get(device).or_else(|| of_user.get("*"))
}

/// A message that was acknowledged and did not reach a device that was there from before it was sent until the end.
fn lost(run: &Run, (number, send): (usize, &Send), received: &Received) -> Vec<String> {
    let lives = run.story.lives.borrow();
    let there = lives.iter().enumerate().filter(|(_, life)| {
        let (user, device) =
            (&run.network.owner(life.device).id, &run.network.devices[life.device]);
        let stays = life.ended.is_none() && life.began < send.began;
        stays && meant(send, user, &device.id).is_some()
    });
    let there = there.filter(|_| send.answered.is_some());
    let without =
        there.filter(|(life, _)| !received.get(life).is_some_and(|of| of.contains(&number)));
    without.map(|(life, _)| format!("life {life} did not get message {number}")).collect()
}

/// A message that reached a device ID twice. Where a logout may have failed, the next login may be one on the same
/// device, which gets again what no token of it had covered.
fn doubled(run: &Run, number: usize, received: &Received) -> Vec<String> {
    let lives = run.story.lives.borrow();
    let mut findings = Vec::new();
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    for (life, numbers) in received {
        let times = numbers.iter().filter(|got| **got == number).count();
        if times == 0 {
            continue;
        }
        let earlier = before.insert(lives[*life].device, *life);
        let again = earlier.filter(|earlier| lives[*earlier].is_gone);
        if times > 1 || again.is_some() {
            findings.push(format!(
                "life {life} got message {number} {times} times, {again:?} got it before"
            ));
        }
    }
    findings
}

/// A message that was left for a device before it was made. Of another server's message nobody knows when it was left;
/// and one that is sent again reaches a user who had no device for it at first.
fn late(run: &Run, (number, send): (usize, &Send), received: &Received) -> Vec<String> {
    let lives = run.story.lives.borrow();
    let sender = run.network.owner(lives[send.life].device).server;
    let got = received.iter().filter(|(_, numbers)| numbers.contains(&number));
    let wrong = got.filter(|(life, _)| {
        let life_of = &lives[**life];
        let mut before = lives[..**life].iter().rev();
        let before = before.find(|before| before.device == life_of.device);
        let is_new = before.is_none_or(|before| before.is_gone);
        let is_local = run.network.owner(life_of.device).server == sender;
        is_new && is_local && send.done < life_of.asked
    });
    wrong.map(|(life, _)| format!("life {life} got message {number} of before")).collect()
}

/// Messages of one device that a device got in another order than they were sent in. The server keeps the order of
/// messages of which each was sent once the one before was answered: it leaves those for its own users before it
/// answers, and writes the others down for their server, which takes them in one by one. A device that was not there
/// when the first was sent may get that late, when it is sent again.
fn out_of_order(run: &Run, life: usize, numbers: &[usize]) -> Vec<String> {
    let (lives, sends) = (run.story.lives.borrow(), run.story.sends.borrow());
    let mut findings = Vec::new();
    for (index, later) in numbers.iter().enumerate() {
        for earlier in &numbers[index + 1..] {
            let (first, second) = (&sends[*earlier], &sends[*later]);
            // The clock may stand still between the two: the numbers say which was sent first.
            let follows =
                earlier < later && first.answered.is_some_and(|answered| answered <= second.began);
            let was_there = lives[life].began < first.began;
            if first.life == second.life && follows && was_there {
                findings.push(format!("life {life} got message {later} before {earlier}"));
            }
        }
    }
    findings
}
