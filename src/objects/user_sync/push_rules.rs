//! By which rules is the user notified?
//! ([push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules))
//!
//! The rules are an item of account data, as they were when the user changed them last. The default rules are always
//! those of this build; what the user has set of them stays.

use ruma::{
    UserId,
    push::{InsertPushRuleError, NewPushRule, RemovePushRuleError, Ruleset},
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{ChangePushRules, NewRule, PushRules, PushRulesChange, Refusal, Result, User};
use crate::shell::Stop;

/// The account data type of the rules.
pub const PUSH_RULES: &str = "m.push_rules";

/// The longest ID of a rule, the longest rule and the longest list of all rules, in bytes; and the most rules.
const MAX_ID: usize = 255;
const MAX_RULE: usize = 1 << 10;
const MAX_RULES: usize = 1 << 20;
const MOST_RULES: usize = 10_000;

/// The content of the item.
#[derive(Serialize, Deserialize)]
struct Content {
    global: Ruleset,
}

/// All rules.
pub fn rules(user: &mut User<'_>, _: PushRules) -> Result<Ruleset> {
    user.exists()?;
    user.push_rules()
}

/// Changes the rules. A change that changes nothing is no news.
pub fn change(user: &mut User<'_>, message: ChangePushRules) -> Result<()> {
    user.exists()?;
    user.must_be_active()?;
    let mut rules = user.push_rules()?;
    match message.change {
        PushRulesChange::Add { rule, before, after } => {
            let rule = rule_of(rule)?;
            let added = rules.insert(rule, after.as_deref(), before.as_deref());
            added.map_err(|why: InsertPushRuleError| invalid(&why.to_string()))?;
        }
        PushRulesChange::Remove { kind, rule_id } => {
            rules.remove(kind, rule_id).map_err(|why| match why {
                RemovePushRuleError::NotFound => Stop::Refused(Refusal::NotFound),
                why => invalid(&why.to_string()),
            })?;
        }
        PushRulesChange::Enable { kind, rule_id, enabled } => {
            let found = rules.set_enabled(kind, rule_id, enabled);
            found.map_err(|_| Stop::Refused(Refusal::NotFound))?;
        }
        PushRulesChange::SetActions { kind, rule_id, actions } => {
            if serde_json::to_string(&actions)?.len() > MAX_RULE {
                return Err(invalid("the rule is too long"));
            }
            let found = rules.set_actions(kind, rule_id, actions);
            found.map_err(|_| Stop::Refused(Refusal::NotFound))?;
        }
    }
    let count = rules.iter().count();
    let content = to_raw_value(&Content { global: rules })?;
    if count > MOST_RULES || content.get().len() > MAX_RULES {
        return Err(invalid("these are too many rules"));
    }
    user.set_item("", PUSH_RULES, &content)
}

/// A rule of the user that is not too long.
fn rule_of(rule: NewRule) -> Result<NewPushRule> {
    let length = serde_json::to_string(&rule)?.len();
    let rule = match rule {
        NewRule::Override(rule) => NewPushRule::Override(rule),
        NewRule::Content(rule) => NewPushRule::Content(rule),
        NewRule::Room(rule) => NewPushRule::Room(rule),
        NewRule::Sender(rule) => NewPushRule::Sender(rule),
        NewRule::Underride(rule) => NewPushRule::Underride(rule),
    };
    if rule.rule_id().len() > MAX_ID || length > MAX_RULE {
        return Err(invalid("the rule is too long"));
    }
    Ok(rule)
}

impl User<'_> {
    /// The rules, as the item has them.
    pub fn push_rules_item(&mut self) -> Result<Box<RawValue>> {
        Ok(to_raw_value(&Content { global: self.push_rules()? })?)
    }

    fn push_rules(&mut self) -> Result<Ruleset> {
        let user = UserId::parse(self.name).map_err(|_| Stop::broken("the user's ID is none"))?;
        let default = Ruleset::server_default(&user);
        let Some(content) = self.item("", PUSH_RULES)? else { return Ok(default) };
        let Content { global: mut rules } = serde_json::from_str(&content)?;
        rules.update_with_server_default(default);
        Ok(rules)
    }
}

fn invalid(why: &str) -> Stop<Refusal> {
    Stop::Refused(Refusal::Invalid(why.to_owned()))
}
