//! What is a user by what their devices say and by the time, how often are others told, and what does that write?

use std::rc::Rc;

use tombolo_platform::{AnyAddress, values};
use tombolo_support::{LoneObject, Secrets};

use super::*;
use crate::{
    app::Tombolo,
    objects::user_sync::messages::{
        Authorise, Cost, Deactivate, Departed, Login, LogoutOthers, PresenceNews, Pull,
        PulledPresence,
    },
};

const OFFLINE: PresenceState = PresenceState::Offline;
const AWAY: PresenceState = PresenceState::Unavailable;
const ONLINE: PresenceState = PresenceState::Online;
/// When a test begins (ms): far from the beginning of time.
const START: u64 = 1_800_000_000_000;

/// The object of alice, who has a phone and a laptop.
struct Alice(LoneObject);

impl Alice {
    fn new() -> Self {
        let address = AnyAddress::new("user_sync", "@alice:ours.test");
        let object = LoneObject::new(Rc::new(Tombolo), address, "ours.test", &Secrets::of(1));
        let alice = Self(object.with("PRESENCE", "on").with("RATE_LIMITS", "off"));
        for device in ["phone", "laptop"] {
            let user = "@alice:ours.test".try_into().unwrap();
            let (device_id, session) = (Some(device.to_owned()), device.to_owned());
            let login = Login { user, device_id, display_name: None, session, refresh: None };
            alice.0.ask(START, &login).unwrap();
        }
        alice
    }

    fn set(&self, at: u64, device: &str, state: PresenceState) -> Option<TellPresence> {
        let (device_id, status_msg) = (device.to_owned(), None);
        self.0.ask(START + at, &SetPresence { device_id, state, status_msg }).unwrap()
    }

    /// A poll of half a minute.
    fn poll(&self, at: u64, device: &str, says: Option<PresenceState>) -> PulledPresence {
        self.poll_since(at, device, (says, Some(u64::MAX >> 1)))
    }

    fn poll_since(
        &self,
        at: u64,
        device: &str,
        (says, since): (Option<PresenceState>, Option<u64>),
    ) -> PulledPresence {
        let until = START + at + 30_000;
        self.pull(at, device, (PresencePoll { says, until, since, watched: false }, false))
    }

    /// A poll that was held until now.
    fn go_on(&self, at: u64, device: &str, says: Option<PresenceState>) -> PulledPresence {
        let poll = PresencePoll { says, until: START + at, since: Some(START), watched: true };
        self.pull(at, device, (poll, true))
    }

    fn pull(&self, at: u64, device: &str, (poll, goes_on): (PresencePoll, bool)) -> PulledPresence {
        let pull = Pull {
            session: device.to_owned(),
            since: Some(0),
            hold: true,
            include_leave: false,
            full_state: false,
            messages_since: None,
            presence: Some(poll),
            goes_on,
        };
        self.0.ask(START + at, &pull).unwrap().presence.unwrap()
    }

    fn now(&self, at: u64) -> Presence {
        self.0.ask(START + at, &PresenceNow {}).unwrap()
    }

    fn state(&self, at: u64) -> PresenceState {
        self.now(at).state
    }

    fn due(&self, at: u64) -> Option<TellPresence> {
        self.0.ask(START + at, &DuePresence {}).unwrap()
    }

    fn send(&self, at: u64, device: &str) {
        let (session, cost, reads) = (device.to_owned(), Cost::Event, None);
        self.0.ask(START + at, &Authorise { session, cost, reads }).unwrap();
    }

    /// How many rows were ever written.
    fn written(&self) -> i64 {
        self.0.sql.row("SELECT total_changes()", values![], |row| row.int(0)).unwrap().unwrap()
    }
}

fn states(told: &[Option<TellPresence>]) -> Vec<PresenceState> {
    told.iter().flatten().map(|told| told.presence.state).collect()
}

#[test]
fn a_user_is_what_the_most_present_device_is() {
    let alice = Alice::new();
    assert_eq!(alice.state(0), OFFLINE);
    assert_eq!(states(&[alice.poll(1, "phone", Some(AWAY)).tell]), [AWAY]);
    assert_eq!(states(&[alice.poll(2, "laptop", None).tell]), [ONLINE]);
    assert_eq!(states(&[alice.set(3, "laptop", AWAY)]), [AWAY]);
    assert_eq!(states(&[alice.set(4, "phone", ONLINE)]), [ONLINE]);
    assert_eq!(states(&[alice.set(5, "phone", OFFLINE)]), [AWAY]);
}

#[test]
fn a_poll_that_says_nothing_says_that_the_user_is_online() {
    let alice = Alice::new();
    for said in [AWAY, OFFLINE] {
        alice.set(0, "phone", said);
        alice.poll(1, "phone", None);
        assert_eq!(alice.state(2), ONLINE, "{said:?}");
        alice.poll(3, "phone", Some(said));
        assert_eq!(alice.state(4), said);
        alice.poll(400_000, "phone", None);
        assert_eq!(alice.state(400_001), ONLINE);
    }
}

#[test]
fn what_is_said_during_a_poll_outlives_its_end() {
    for (says, then) in [(Some(ONLINE), AWAY), (None, AWAY), (None, OFFLINE), (Some(AWAY), ONLINE)]
    {
        let alice = Alice::new();
        alice.poll(0, "phone", says);
        alice.set(5_000, "phone", then);
        alice.go_on(5_001, "phone", says);
        assert_eq!(alice.state(5_002), then, "{says:?}");
        alice.0.evict();
        alice.go_on(9_000, "phone", says);
        assert_eq!(alice.state(9_001), then, "{says:?}");
    }
    let alice = Alice::new();
    alice.poll(0, "phone", Some(OFFLINE));
    alice.go_on(1, "phone", Some(OFFLINE));
    assert_eq!(alice.state(2), OFFLINE);
}

#[test]
fn a_poll_counts_until_its_end_whatever_comes_meanwhile() {
    let poll = |alice: &Alice, until| {
        let poll = PresencePoll { says: Some(ONLINE), until, since: None, watched: false };
        alice.pull(0, "phone", (poll, false));
    };
    for meanwhile in 0..4 {
        let alice = Alice::new();
        poll(&alice, START + 60_000);
        match meanwhile {
            0 => drop(alice.set(1_000, "phone", ONLINE)),
            1 => poll(&alice, START),
            2 => drop(alice.set(1_000, "laptop", AWAY)),
            _ => drop(alice.poll(1_000, "laptop", Some(OFFLINE))),
        }
        assert_eq!(alice.state(89_999), ONLINE, "{meanwhile}");
        assert_eq!(alice.state(90_000), OFFLINE, "{meanwhile}");
    }
}

#[test]
fn who_polls_no_more_goes_offline_and_others_are_told() {
    let alice = Alice::new();
    alice.poll(0, "phone", None);
    assert!(alice.0.alarm.get().is_some());
    assert_eq!(alice.state(59_999), ONLINE);
    assert_eq!(alice.state(60_000), OFFLINE);
    let told = alice.due(300_000);
    assert_eq!(states(std::slice::from_ref(&told)), [OFFLINE]);
    assert!(!told.unwrap().again);
    assert!(alice.0.alarm.get().is_none(), "nobody looks after who is offline");
    assert_eq!(alice.due(600_000), None);
}

#[test]
fn a_poll_that_was_forgotten_counts_until_it_must_be_over() {
    let alice = Alice::new();
    alice.poll(0, "phone", None);
    alice.0.evict();
    // The device was written down as seen at the login, and is again five minutes later at the earliest.
    assert_eq!(alice.state(120_000), ONLINE);
    alice.0.evict();
    let last = SEEN_EVERY + LONGEST_POLL + LINGERS;
    assert_eq!(alice.due(last - 1).map(|told| told.presence.state), Some(AWAY));
    alice.0.evict();
    assert_eq!(alice.state(last), OFFLINE);
}

#[test]
fn who_does_nothing_is_away_and_who_does_something_is_there() {
    let alice = Alice::new();
    for minute in 0..5 {
        alice.poll(minute * 60_000 + 30_000, "laptop", None);
        alice.poll(minute * 60_000 + 60_000, "laptop", None);
    }
    assert_eq!(alice.state(310_000), ONLINE);
    assert_eq!(states(&[alice.poll(330_001, "laptop", None).tell]), [AWAY]);
    alice.send(340_000, "laptop");
    assert!(alice.0.alarm.get().is_some_and(|at| at <= START + 340_000));
    assert_eq!(states(&[alice.due(340_001)]), [ONLINE]);
    assert_eq!(alice.now(345_000).active_ts, Some(START + 340_000));
    // Whatever was set, who only polls is idle in the end.
    alice.set(350_000, "laptop", ONLINE);
    alice.poll(360_000, "laptop", None);
    assert_eq!(alice.now(370_000).active_ts, Some(START + 350_000));
    alice.poll(640_000, "laptop", None);
    assert_eq!((alice.state(649_999), alice.state(650_000)), (ONLINE, AWAY));
    // A client that says so with each poll is believed.
    for minute in 11..25 {
        alice.poll(minute * 60_000, "laptop", Some(ONLINE));
    }
    assert_eq!(alice.state(24 * 60_000 + 20_000), ONLINE);
}

#[test]
fn a_hidden_device_shows_nothing_whatever_it_does() {
    let alice = Alice::new();
    assert!(alice.poll(0, "phone", Some(OFFLINE)).tell.is_none());
    alice.send(1, "phone");
    assert_eq!(alice.state(2), OFFLINE);
    assert!(alice.0.alarm.get().is_none());
}

#[test]
fn flickering_is_told_a_few_times_and_then_seldom() {
    let alice = Alice::new();
    let told = |at: u64| alice.set(at, "phone", if at.is_multiple_of(200) { ONLINE } else { AWAY });
    let told: Vec<_> = (0..600).map(|tenth| told(tenth * 100)).collect();
    // A minute, in which it changed ten times a second.
    assert!((5..=12).contains(&told.iter().flatten().count()), "{told:?}");
    // Where it ended is told.
    assert_eq!(alice.state(60_000), AWAY);
    let late = [alice.due(70_000), alice.due(80_000)];
    let last = told.into_iter().chain(late).flatten().last().unwrap();
    assert_eq!(last.presence.state, AWAY);
}

#[test]
fn polls_write_nothing_once_a_user_is_online() {
    let alice = Alice::new();
    for at in [0, 30_000, 60_000] {
        alice.poll(at, "phone", Some(ONLINE));
        alice.poll(at, "laptop", Some(ONLINE));
    }
    let before = alice.written();
    for second in 61..290 {
        alice.poll(second * 1000, "phone", Some(ONLINE));
        alice.poll(second * 1000 + 1, "laptop", None);
    }
    assert_eq!(alice.written(), before);
}

#[test]
fn polls_that_flicker_write_little() {
    let alice = Alice::new();
    let before = alice.written();
    for tenth in 0..600 {
        alice.poll(tenth * 100, "phone", Some([ONLINE, AWAY, OFFLINE][tenth as usize % 3]));
    }
    assert!(alice.written() - before < 15, "{}", alice.written() - before);
}

#[test]
fn what_was_set_outlives_the_memory() {
    let alice = Alice::new();
    let (device_id, status_msg) = ("phone".to_owned(), Some("in a meeting".to_owned()));
    let set = SetPresence { device_id, state: AWAY, status_msg };
    let told: Option<TellPresence> = alice.0.ask(START, &set).unwrap();
    assert_eq!(told.unwrap().presence.status_msg.as_deref(), Some("in a meeting"));
    alice.0.evict();
    let now = alice.now(1_000);
    assert_eq!((now.state, now.status_msg.as_deref()), (AWAY, Some("in a meeting")));
    // It is gone with the next that has none.
    alice.set(2_000, "phone", AWAY);
    assert_eq!(alice.now(3_000).status_msg, None);
}

#[test]
fn others_hear_again_of_who_stays() {
    let alice = Alice::new();
    let mut told = Vec::new();
    for minute in 0..60 {
        told.extend(alice.poll(minute * 60_000, "laptop", Some(ONLINE)).tell);
        told.extend(alice.poll(minute * 60_000 + 30_000, "laptop", Some(ONLINE)).tell);
        told.extend(alice.due(minute * 60_000 + 40_000));
    }
    let again: Vec<bool> = told.iter().map(|told| told.again).collect();
    assert_eq!(again, [false, true, true]);
}

#[test]
fn what_could_not_be_told_is_told_anew() {
    let alice = Alice::new();
    let told = alice.set(0, "phone", ONLINE).unwrap();
    alice.0.ask(START + 1, &PresenceUntold { told_ts: told.presence.told_ts }).unwrap();
    assert_eq!(alice.0.alarm.get(), Some(START + 1 + AGAIN));
    for second in 1..60 {
        assert_eq!(alice.poll(second * 1_000, "phone", Some(ONLINE)).tell, None);
    }
    // By whatever comes first then.
    let anew = alice.poll(60_000, "phone", None).tell.unwrap();
    assert!(!anew.again && anew.presence.state == ONLINE);
    let told = alice.set(70_000, "phone", AWAY).unwrap();
    alice.set(80_000, "phone", ONLINE).unwrap();
    alice.0.ask(START + 80_001, &PresenceUntold { told_ts: told.presence.told_ts }).unwrap();
    assert_eq!(alice.due(80_002), None, "something else was told since");
}

#[test]
fn a_device_that_is_logged_out_is_gone() {
    let alice = Alice::new();
    alice.poll(0, "laptop", None);
    let (session, device) = ("phone".to_owned(), None);
    alice.0.ask(START + 1, &LogoutOthers { session, device }).unwrap();
    assert_eq!(alice.state(2), OFFLINE);
}

#[test]
fn a_poll_hears_what_came_since_its_token_and_learns_where_that_is_not_all() {
    let alice = Alice::new();
    alice.set(0, "phone", ONLINE);
    let since = alice.poll_since(1, "phone", (None, None)).next;
    let bob = |at: u64, state| {
        let (user, told_ts) = ("@bob:ours.test".try_into().unwrap(), START + at);
        let (status_msg, active_ts, currently_active) = (None, None, false);
        let presence = Presence { user, state, status_msg, active_ts, currently_active, told_ts };
        alice.0.ask(START + at, &PresenceNews { presences: vec![presence] }).unwrap();
    };
    bob(2, ONLINE);
    let polled = alice.poll_since(3, "phone", (None, Some(since)));
    assert_eq!(
        polled.heard.iter().map(|of| of.user.as_str()).collect::<Vec<_>>(),
        ["@bob:ours.test"]
    );
    assert!(polled.whole);
    // What is older than what was heard is no news.
    bob(1, OFFLINE);
    let polled = alice.poll_since(4, "phone", (None, Some(polled.next)));
    assert!(polled.is_quiet(), "{polled:?}");
    alice.0.evict();
    let polled = alice.poll_since(40_000, "phone", (None, Some(polled.next)));
    assert!(!polled.whole);
}

#[test]
fn a_token_that_nobody_was_given_keeps_no_news_away() {
    let alice = Alice::new();
    for since in [u64::MAX, START + 3_600_000] {
        let polled = alice.poll_since(0, "phone", (None, Some(since)));
        assert!(!polled.whole && polled.next < START + 1_000, "{polled:?}");
    }
    // Clocks differ a little: what comes then is later than what was given.
    let given = START + 2_000;
    let polled = alice.poll_since(1, "phone", (None, Some(given)));
    assert_eq!((polled.whole, polled.next), (true, given));
    let (user, state, told_ts) = ("@bob:ours.test".try_into().unwrap(), ONLINE, START + 3);
    let (status_msg, active_ts, currently_active) = (None, None, false);
    let presence = Presence { user, state, status_msg, active_ts, currently_active, told_ts };
    alice.0.ask(START + 3, &PresenceNews { presences: vec![presence] }).unwrap();
    assert_eq!(alice.poll_since(4, "phone", (None, Some(given))).heard.len(), 1);
}

#[test]
fn of_who_is_deactivated_others_hear_once_that_they_are_gone_and_nothing_stays() {
    let alice = Alice::new();
    let rows =
        || alice.0.sql.row("SELECT count(*) AS n FROM presence", values![], |row| row.int(0));
    let (device_id, status_msg) = ("phone".to_owned(), Some("in a\0 meeting".to_owned()));
    for n in 0..10 {
        let (device_id, status_msg) = (device_id.clone(), status_msg.clone());
        let state = if n % 2 == 0 { ONLINE } else { AWAY };
        let set = SetPresence { device_id, state, status_msg };
        alice.0.ask::<SetPresence>(START + n, &set).unwrap();
    }
    assert_eq!(alice.now(10).status_msg.as_deref(), Some("in a meeting"));
    alice.0.ask(START + 11, &Deactivate { erase: false }).unwrap();
    // However much was told just now.
    let told = alice.due(11).unwrap().presence;
    assert_eq!((told.state, told.status_msg, told.active_ts), (OFFLINE, None, None));
    assert_eq!((alice.due(12), rows().unwrap()), (None, Some(1)));
    alice.0.ask(START + 13, &Departed {}).unwrap();
    assert_eq!((alice.due(14), rows().unwrap()), (None, Some(0)));
}
