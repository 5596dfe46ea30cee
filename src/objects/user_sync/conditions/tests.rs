//! Does a rule match what it matches by ruma's judgement?

use std::{collections::BTreeMap, future::ready};

use futures_util::FutureExt;
use ruma::{
    Int, RoomId, UserId,
    power_levels::NotificationPowerLevels,
    push::{NewPatternedPushRule, PushConditionPowerLevelsCtx, PushConditionRoomCtx, RuleKind},
    room_version_rules::{AuthorizationRules, RoomPowerLevelsRules},
};
use serde_json::{Value, json, value::to_raw_value};

use super::*;

const ROOM: &str = "!Room:example.org";
const USER: &str = "@alice:example.org";
const SENDER: &str = "@bob:example.org";

/// What ours and ruma's judgement say of an event in a room of that many, where the sender has a level. `subscribed` is
/// whether the user is to the event's thread.
fn both(
    rules: &Ruleset,
    event: &Value,
    (members, level, subscribed): (u8, i64, Option<bool>),
) -> [Vec<String>; 2] {
    let (user, room_id) = (UserId::parse(USER).unwrap(), RoomId::parse(ROOM).unwrap());
    let (members, name) = (UInt::from(members), "Ali-ce é");
    let room = RoomContext {
        room_id: room_id.clone(),
        members,
        name: Pattern::literal(name),
        room_level: 50,
    };
    let event = to_raw_value(event).unwrap();
    let ours = Judged::new(&event, level, subscribed).actions(rules, &room).to_vec();
    let mut needed = NotificationPowerLevels::new();
    needed.room = Int::new_saturating(50);
    let sender = (UserId::parse(SENDER).unwrap(), Int::new_saturating(level));
    let v1 = RoomPowerLevelsRules::new(&AuthorizationRules::V1, []);
    let levels = PushConditionPowerLevelsCtx::new(BTreeMap::from([sender]), Int::MIN, needed, v1);
    let context = PushConditionRoomCtx::new(room_id, members, user, name.to_owned());
    let event: Raw<AnySyncTimelineEvent> = Raw::from_json(event);
    let mut context = context.with_power_levels(levels);
    if let Some(subscribed) = subscribed {
        context = context.with_has_thread_subscription_fn(move |_| Box::pin(ready(subscribed)));
    }
    let theirs = rules.get_actions(&event, &context).now_or_never().unwrap().to_vec();
    [ours, theirs].map(|actions| actions.iter().map(|action| format!("{action:?}")).collect())
}

/// All texts of at most so many of these characters.
fn texts(of: &[char], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..longest {
        let upto = all.len();
        for at in from..upto {
            let longer = of.iter().map(|character| format!("{}{character}", all[at]));
            let longer: Vec<String> = longer.collect();
            all.extend(longer);
        }
        from = upto;
    }
    all
}

fn message(body: &str) -> Value {
    json!({ "type": "m.room.message", "sender": SENDER, "event_id": "$1", "content": { "body": body } })
}

#[test]
fn words_match_as_by_ruma() {
    let bodies = texts(&['a', 'B', '-', 'é'], 2);
    // Over the end of a line, ruma's wildcards do not go.
    let longer = ["a b", "a  ab", "x a-b y", "aa a", "ab-a", "-a-", "_a", "a_ a", "é a é", "a*b"];
    // Of two wildcards in a row, ruma reads the second one as itself.
    let is_odd =
        |pattern: &String| ["**", "??", "*?", "?*"].iter().any(|two| pattern.contains(two));
    let patterns = texts(&['A', '-', '?', '*', 'é'], 3);
    for pattern in patterns.into_iter().filter(|pattern| !is_odd(pattern)) {
        let mut rules = Ruleset::new();
        let rule =
            NewPatternedPushRule::new("own".to_owned(), pattern.clone(), vec![Action::Notify]);
        rules.content.insert(rule.into());
        for body in bodies.iter().map(String::as_str).chain(longer) {
            let [ours, theirs] = both(&rules, &message(body), (2, 0, None));
            assert_eq!(ours, theirs, "{pattern:?} in {body:?}");
        }
    }
}

fn conditions() -> Vec<Value> {
    let matches =
        |key: &str, pattern: &str| json!({ "kind": "event_match", "key": key, "pattern": pattern });
    vec![
        matches("type", "m.room.*"),
        matches("type", "M.ROOM.MESSAGE"),
        matches("room_id", "!room:*"),
        matches("sender", "@bob:example.or?"),
        matches("content.body", "ali"),
        matches("content.body", "h*o"),
        matches("content.n", "1"),
        matches(r"content.a\.b", "x\ny"),
        matches(r"content.a\.b", "x?y"),
        matches("state_key", ""),
        json!({ "kind": "contains_display_name" }),
        json!({ "kind": "room_member_count", "is": "2" }),
        json!({ "kind": "room_member_count", "is": ">2" }),
        json!({ "kind": "room_member_count", "is": "<=2" }),
        json!({ "kind": "sender_notification_permission", "key": "room" }),
        json!({ "kind": "sender_notification_permission", "key": "other" }),
        json!({ "kind": "event_property_is", "key": "content.n", "value": 1 }),
        json!({ "kind": "event_property_is", "key": "content.n", "value": "1" }),
        json!({ "kind": "event_property_is", "key": "content.nothing", "value": null }),
        json!({ "kind": "event_property_contains", "key": r"content.m\.mentions.user_ids", "value": USER }),
        json!({ "kind": "event_property_contains", "key": "content.body", "value": "hello" }),
        json!({ "kind": "io.element.msc4306.thread_subscription", "subscribed": true }),
        json!({ "kind": "io.element.msc4306.thread_subscription", "subscribed": false }),
        json!({ "kind": "org.example.other", "key": "type" }),
    ]
}

fn events() -> Vec<Value> {
    let content = [
        json!({ "body": "hello" }),
        json!({ "body": "hello Ali-CE É!", "n": 1, "nothing": null }),
        json!({ "body": "hallo alice and @room", "m.mentions": {} }),
        json!({ "body": 5, "n": "1", "a.b": "x\ny" }),
        json!({ "body": "", "m.mentions": { "user_ids": [USER], "room": true } }),
        json!({ "n": 1.5, "body": ["hello"], "nothing": {} }),
        json!({ "body": "in it", "m.relates_to": { "rel_type": "m.thread", "event_id": "$root" } }),
        json!({ "body": "of it", "m.relates_to": { "rel_type": "m.reference", "event_id": "$root" } }),
    ];
    let of = |content: &Value| {
        let mut event = json!({ "type": "m.room.message", "sender": SENDER, "event_id": "$1", "content": content });
        let plain = event.clone();
        event["state_key"] = json!("");
        [plain, event]
    };
    content.iter().flat_map(of).collect()
}

#[test]
fn conditions_are_met_as_by_ruma() {
    for one in conditions() {
        for other in [None, Some(conditions()[0].clone())] {
            let conditions: Vec<&Value> = [&one].into_iter().chain(&other).collect();
            let rule = json!({ "rule_id": "own", "default": false, "enabled": true,
                               "actions": ["notify"], "conditions": conditions });
            let mut rules = Ruleset::new();
            rules.override_.insert(serde_json::from_value(rule).unwrap());
            for event in events() {
                for context in [(1, 0, None), (2, 50, Some(true)), (3, 100, Some(false))] {
                    let [ours, theirs] = both(&rules, &event, context);
                    assert_eq!(ours, theirs, "{conditions:?} of {event} in {context:?}");
                }
            }
        }
    }
}

#[test]
fn the_default_rules_match_as_by_ruma_whichever_are_off() {
    let all = Ruleset::server_default(&UserId::parse(USER).unwrap());
    let ids = all.iter().map(|rule| rule.rule_id().to_owned());
    for off in ids.chain(["none".to_owned()]) {
        let mut rules = all.clone();
        for kind in [RuleKind::Override, RuleKind::Content, RuleKind::Underride] {
            // Only one of them has such a rule.
            drop(rules.set_enabled(kind, &off, false));
        }
        for event in events() {
            let [ours, theirs] = both(&rules, &event, (2, 50, None));
            assert_eq!(ours, theirs, "{event}");
        }
    }
}

/// A rule of this kind that notifies.
fn notifying(kind: &str, rule: &Value) -> Ruleset {
    let mut whole =
        json!({ "rule_id": "own", "default": false, "enabled": true, "actions": ["notify"] });
    whole.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
    serde_json::from_value(json!({ kind: [whole] })).unwrap()
}

/// Whether rules notify somebody called `a*` of an event.
fn notify(rules: &Ruleset, event: &Value) -> bool {
    let room = RoomContext {
        room_id: RoomId::parse(ROOM).unwrap(),
        members: UInt::from(2_u8),
        name: Pattern::literal("a*"),
        room_level: 50,
    };
    let event = to_raw_value(event).unwrap();
    !Judged::new(&event, 0, None).actions(rules, &room).is_empty()
}

/// Whether a content meets a condition.
fn meets(condition: &Value, content: &Value) -> bool {
    let event = json!({ "type": "m.x", "sender": SENDER, "event_id": "$1", "content": content });
    notify(&notifying("override", &json!({ "conditions": [condition] })), &event)
}

#[test]
fn a_name_is_no_pattern() {
    let named = json!({ "kind": "contains_display_name" });
    assert!(meets(&named, &json!({ "body": "to A* now" })));
    assert!(!meets(&named, &json!({ "body": "to ab now" })));
}

#[test]
fn what_the_specification_says_of_its_examples_holds() {
    let matches =
        |key: &str, pattern: &str| json!({ "kind": "event_match", "key": key, "pattern": pattern });
    let is = |key: &str, value: Value| json!({ "kind": "event_property_is", "key": key, "value": value });
    let has = |key: &str, value: Value| json!({ "kind": "event_property_contains", "key": key, "value": value });
    let topic = matches("content.topic", "lunc?*");
    let federates = is(r"content.m\.federate", json!(true));
    let alias = |alias: &str| has("content.alt_aliases", json!(alias));
    let aliases = json!({ "alt_aliases": ["#somewhere:example.org", "#myroom:example.com"] });
    for (condition, content, expected) in [
        (&topic, json!({ "topic": "Lunch plans" }), true),
        (&topic, json!({ "topic": "LUNCH" }), true),
        (&topic, json!({ "topic": " lunch" }), false),
        (&topic, json!({ "topic": "lunc" }), false),
        (&topic, json!({ "topic": null }), false),
        (&matches("content.topic", "*"), json!({ "topic": 5 }), false),
        (&matches("content.topic", "*"), json!({}), false),
        (&matches("content.body", "ex*ple"), json!({ "body": "An example event." }), true),
        (&matches("content.body", "ex*ple"), json!({ "body": "exple" }), true),
        (&matches("content.body", "ex*ple"), json!({ "body": "An exciting triple-whammy" }), true),
        (&federates, json!({ "m.federate": true }), true),
        (&federates, json!({ "m.federate": "true" }), false),
        (&federates, json!({ "m.federate": 1 }), false),
        (&federates, json!({ "m": { "federate": true } }), false),
        (&is("content.n", json!(null)), json!({}), false),
        (&alias("#myroom:example.com"), aliases.clone(), true),
        (&alias(":example.com"), aliases, false),
        (&has("content.of", json!(1)), json!({ "of": [{ "a": 1 }, [1], 1.5, "1", true] }), false),
        (
            &has("content.of", json!(1)),
            json!({ "of": [{}, 1.5, 9_007_199_254_740_993_i64, 1] }),
            true,
        ),
        (&has("content.of", json!(null)), json!({ "of": [null] }), true),
        (&has("content.of", json!("a")), json!({ "of": "a" }), false),
    ] {
        assert_eq!(meets(condition, &content), expected, "{condition} of {content}");
    }
}

#[test]
fn case_is_that_of_each_character_alone() {
    let key =
        |key: &str, pattern: &str| json!({ "kind": "event_match", "key": key, "pattern": pattern });
    for (pattern, text) in [
        ("ΑΣ*", "ΑΣΒ"),
        ("*ΟΣ ?", "Οδοσ α"),
        ("ΝΙΚΟΣ", "ΝΙΚΟΣ"),
        ("?", "İ"),
        ("İstanbu?", "İSTANBUL"),
    ] {
        let topic = json!({ "topic": text });
        assert!(meets(&key("content.topic", pattern), &topic), "{pattern} is {text}");
    }
    for (pattern, body, matches) in [
        // Where a letter follows, the lower case of Σ is another one.
        ("ΝΙΚΟΣ", "ΝΙΚΟΣ:ΓΕΙΑ", true),
        ("νικος", "ΝΙΚΟΣ.ΑΝΤΕ", true),
        // No letter of ASCII goes before.
        ("stanbul", "İstanbul", true),
        ("elvin", "\u{212a}elvin", true),
        // What begins and ends with no letter is found too, and nothing but wildcards is special.
        ("@alice:example.org", "Is @Alice:example.org here?", true),
        ("ub|k", "UB|K!", true),
        ("ub|k", "ub", false),
        ("[benpa]", "a", false),
        (r"\w+", "a", false),
        ("a.b", "a-b", false),
    ] {
        let (condition, content) = (key("content.body", pattern), json!({ "body": body }));
        assert_eq!(meets(&condition, &content), matches, "{pattern} in {body}");
    }
}

#[test]
fn wildcards_stand_for_the_end_of_a_line_too() {
    let own = |pattern: &str| notifying("content", &json!({ "pattern": pattern }));
    for (pattern, body) in
        [("cake*lie", "the cake\nis a lie"), ("a?b", "a\nb"), ("*b", "a\n\nb"), ("a", "b\na")]
    {
        assert!(notify(&own(pattern), &message(body)), "{pattern} in {body:?}");
    }
    assert!(!notify(&own("a?b"), &message("a\r\nb")));
}

#[test]
fn a_rule_of_a_room_or_a_user_is_of_no_other() {
    let event = message("hi");
    for (kind, id, matches) in [
        ("room", ROOM, true),
        ("room", "!room:example.org", false),
        ("room", "!*:example.org", false),
        ("sender", SENDER, true),
        ("sender", "@BOB:example.org", false),
        ("sender", "@b*:example.org", false),
    ] {
        let rules = notifying(kind, &json!({ "rule_id": id }));
        assert_eq!(notify(&rules, &event), matches, "{kind} {id}");
    }
}

#[test]
fn a_backslash_of_a_name_may_be_escaped() {
    let content = json!({ "m\\foo": "x", "of": { r"a\.b": "x", r"c\": "x" } });
    for (key, is_there) in [
        (r"content.m\foo", true),
        (r"content.m\\foo", true),
        (r"content.of.a\\\.b", true),
        (r"content.of.a\.b", false),
        (r"content.of.c\", true),
        (r"content.m\.foo", false),
    ] {
        let matches = json!({ "kind": "event_match", "key": key, "pattern": "x" });
        let is = json!({ "kind": "event_property_is", "key": key, "value": "x" });
        assert_eq!(meets(&matches, &content), is_there, "{key}");
        assert_eq!(meets(&is, &content), is_there, "{key}");
    }
}
