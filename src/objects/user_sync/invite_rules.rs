//! Whose invites does the user want?
//! ([invite permission](https://spec.matrix.org/v1.19/client-server-api/#invite-permission))
//!
//! The rules are items of account data: one that blocks all invites, and lists of users and servers
//! ([MSC4155](https://github.com/matrix-org/matrix-spec-proposals/pull/4155)). What of them has no form has no effect.

use std::rc::Rc;

use ruma::UserId;
use serde_json::value::RawValue;
use tombolo_protocol::{
    glob::{MAX_NAME, Subject},
    json::members,
};

use super::{Refusal, Result, SetAccountData, User};
use crate::shell::Stop;

/// The item that blocks all invites, or none.
pub const BLOCKING: &str = "m.invite_permission_config";
/// The same for clients that know it by its proposal alone
/// ([MSC4380](https://github.com/matrix-org/matrix-spec-proposals/pull/4380)).
const UNSTABLE_BLOCKING: &str = "org.matrix.msc4380.invite_permission_config";
/// The item with the lists.
const FILTERING: &str = "org.matrix.msc4155.invite_permission_config";

/// How many patterns the lists may have: each waiting invite is held to all of them.
const MOST_PATTERNS: usize = 1000;

/// What becomes of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteRule {
    Allow,
    /// The inviting user learns nothing, and neither does the invited one.
    Ignore,
    /// The invite is refused.
    Block,
}

/// The lists in the order in which they are asked: users come before servers, and what is allowed before the rest.
const LISTS: [(&str, InviteRule, bool); 6] = [
    ("allowed_users", InviteRule::Allow, false),
    ("ignored_users", InviteRule::Ignore, false),
    ("blocked_users", InviteRule::Block, false),
    ("allowed_servers", InviteRule::Allow, true),
    ("ignored_servers", InviteRule::Ignore, true),
    ("blocked_servers", InviteRule::Block, true),
];

/// The rules, as the user set them.
#[derive(Debug, Default)]
pub struct InviteRules {
    blocks_all: bool,
    /// Patterns, each with what it says of whom it matches, and whether that is a server.
    patterns: Vec<(String, InviteRule, bool)>,
}

impl User<'_> {
    /// What becomes of an invite by a user; by `None`, of one that does not say whose it is.
    pub fn invite_rule(&mut self, inviter: Option<&UserId>) -> Result<InviteRule> {
        // The rules are for other people: what the server itself has to say is always heard.
        if inviter.is_some() && inviter == self.config.server_notices.as_deref() {
            return Ok(InviteRule::Allow);
        }
        Ok(self.invite_rules()?.of(inviter))
    }

    /// Whether no rule hides an invite.
    pub fn wants_all_invites(&mut self) -> Result<bool> {
        let rules = self.invite_rules()?;
        Ok(!rules.blocks_all && rules.patterns.is_empty())
    }

    /// The rules, read once per stay in memory.
    fn invite_rules(&mut self) -> Result<Rc<InviteRules>> {
        if let Some(rules) = &self.cache.invite_rules {
            return Ok(Rc::clone(rules));
        }
        let blocking = match self.item("", BLOCKING)? {
            Some(blocking) => Some(blocking),
            None => self.item("", UNSTABLE_BLOCKING)?,
        };
        let rules = Rc::new(InviteRules {
            blocks_all: blocking.as_deref().is_some_and(blocks),
            patterns: self.item("", FILTERING)?.as_deref().map(patterns).unwrap_or_default(),
        });
        self.cache.invite_rules = Some(Rc::clone(&rules));
        Ok(rules)
    }
}

impl InviteRules {
    fn of(&self, inviter: Option<&UserId>) -> InviteRule {
        if self.blocks_all {
            return InviteRule::Block;
        }
        let Some(inviter) = inviter.filter(|_| !self.patterns.is_empty()) else {
            return InviteRule::Allow;
        };
        let server = inviter.server_name();
        let user = [Name::new(inviter.as_str())];
        // A rule for a server holds on whatever port it is.
        let servers = [Name::new(server.as_str()), Name::new(server.host())];
        let names = |is_server| if is_server { &servers[..] } else { &user[..] };
        let matching = self
            .patterns
            .iter()
            .find(|(pattern, _, server)| names(*server).iter().any(|name| name.matches(pattern)));
        matching.map_or(InviteRule::Allow, |(_, rule, _)| *rule)
    }
}

/// A user or server to whom patterns are held.
struct Name<'a> {
    text: &'a str,
    subject: Option<Subject>,
}

impl<'a> Name<'a> {
    fn new(text: &'a str) -> Self {
        // Letters of old user IDs that no pattern can name are matched by those that match any letter.
        let ascii = text.chars().map(|letter| if letter.is_ascii() { letter } else { '\u{1}' });
        Self { text, subject: Subject::new(&ascii.collect::<String>()) }
    }

    fn matches(&self, pattern: &str) -> bool {
        pattern == self.text
            || self.subject.as_ref().is_some_and(|subject| subject.matches(pattern))
    }
}

/// Whether an item blocks all invites. Clients say so by `block_all` where they know an earlier form of the proposal.
fn blocks(content: &str) -> bool {
    let content = RawValue::from_string(content.to_owned()).ok();
    let content = members(content.as_deref());
    let says = |name: &str, wanted: &str| content.get(name).is_some_and(|is| is.get() == wanted);
    says("default_action", "\"block\"") || says("block_all", "true")
}

fn patterns(content: &str) -> Vec<(String, InviteRule, bool)> {
    let content = RawValue::from_string(content.to_owned()).ok();
    let content = members(content.as_deref());
    let list = |name: &str| -> Vec<Box<RawValue>> {
        content.get(name).and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default()
    };
    let mut patterns = Vec::new();
    for (name, rule, is_server) in LISTS {
        let texts = list(name).into_iter().filter_map(|text| serde_json::from_str(text.get()).ok());
        // No name is longer, so a longer pattern is only dear.
        let texts = texts.filter(|text: &String| !text.is_empty() && text.len() <= MAX_NAME);
        patterns.extend(texts.map(|text| (text, rule, is_server)));
    }
    patterns
}

/// Refuses lists with too many patterns.
pub fn must_be_few(message: &SetAccountData) -> Result<()> {
    let are_lists = message.room_id.is_none() && message.event_type == FILTERING;
    if are_lists && patterns(message.content.get()).len() > MOST_PATTERNS {
        let reason = format!("the lists have more than {MOST_PATTERNS} patterns");
        return Err(Stop::Refused(Refusal::Invalid(reason)));
    }
    Ok(())
}

/// Whether an item of account data is part of the rules.
pub fn is_rule(kind: &str) -> bool {
    matches!(kind, BLOCKING | UNSTABLE_BLOCKING | FILTERING)
}

#[cfg(test)]
mod tests {
    use ruma::OwnedUserId;

    use super::*;

    fn of(content: &str, inviter: &str) -> InviteRule {
        let rules = InviteRules { blocks_all: false, patterns: patterns(content) };
        rules.of(Some(&OwnedUserId::try_from(inviter).unwrap()))
    }

    #[test]
    fn users_come_before_servers_and_what_is_allowed_before_the_rest() {
        use InviteRule::{Allow, Block, Ignore};
        let [a, b] = ["@a:x.test", "@b:x.test"];
        for (content, [of_a, of_b]) in [
            (r#"{"blocked_users":["@a:x.test"]}"#, [Block, Allow]),
            (r#"{"blocked_servers":["X.test"],"allowed_users":["@a:*"]}"#, [Allow, Block]),
            (r#"{"allowed_servers":["*"],"ignored_users":["@?:x.test"]}"#, [Ignore, Ignore]),
            (r#"{"allowed_users":["@a:x.test"],"blocked_users":["@a:x.test"]}"#, [Allow, Allow]),
            (r#"{"ignored_servers":["x.*"],"blocked_servers":["x.*"]}"#, [Ignore, Ignore]),
            (r#"{"blocked_users":["@a","a:x.test","@A:x.test"]}"#, [Block, Allow]),
        ] {
            assert_eq!([of(content, a), of(content, b)], [of_a, of_b], "{content}");
        }
    }

    #[test]
    fn a_server_is_the_same_on_every_port() {
        for pattern in ["x.test", "x.test:8448", "x.*"] {
            let content = format!(r#"{{"blocked_servers":["{pattern}"]}}"#);
            assert_eq!(of(&content, "@a:x.test:8448"), InviteRule::Block, "{pattern}");
            assert_eq!(
                of(&content, "@a:x.test.example"),
                match pattern {
                    "x.*" => InviteRule::Block,
                    _ => InviteRule::Allow,
                }
            );
        }
    }

    #[test]
    fn what_has_no_form_has_no_effect_and_hides_nothing_else() {
        let long = "*".repeat(MAX_NAME + 1);
        for list in
            ["null", "1", "\"*\"", "{}", "[1, null, [\"*\"], \"\"]", &format!("[\"{long}\"]")]
        {
            let content = format!(r#"{{"blocked_users":{list}}}"#);
            assert_eq!(of(&content, "@a:x.test"), InviteRule::Allow, "{list}");
            let content = format!(r#"{{"blocked_users":{list},"ignored_servers":[2,"x.test"]}}"#);
            assert_eq!(of(&content, "@a:x.test"), InviteRule::Ignore, "{list}");
        }
        assert!(blocks(r#"{"default_action":"block"}"#) && blocks(r#"{"block_all":true}"#));
        for content in
            ["{}", "[]", "1", r#"{"default_action":["block"]}"#, r#"{"block_all":"true"}"#]
        {
            assert!(!blocks(content), "{content}");
        }
    }

    #[test]
    fn nobody_evades_a_pattern_by_a_name_beyond_ascii() {
        for pattern in ["*", "@?vil:x.test", "@\u{e9}vil:x.test"] {
            let content = format!(r#"{{"blocked_users":["{pattern}"]}}"#);
            assert_eq!(of(&content, "@\u{e9}vil:x.test"), InviteRule::Block, "{pattern}");
        }
    }
}
