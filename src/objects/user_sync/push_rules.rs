//! By which rules is the user notified?
//! ([push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules))
//!
//! What the user has set is an item of account data: their own rules, and the default ones that they changed. The other
//! default rules are always those of this build.

use std::{mem, rc::Rc};

use ruma::{
    UserId,
    api::client::push::PushRule,
    events::push_rules::PushRulesEventContent,
    push::{
        Action, AnyPushRuleRef, ConditionalPushRule, EventMatchConditionData, NewPushRule,
        PushCondition, RemovePushRuleError, RuleKind, Ruleset, ScalarJsonValue,
    },
};
use serde_json::value::{RawValue, to_raw_value};

use super::{ChangePushRules, NewRule, PushRulesChange, Refusal, Result, User};
use crate::shell::Stop;

/// The account data type of the rules.
pub const PUSH_RULES: &str = "m.push_rules";

/// The longest ID of a rule, the longest rule and the longest list of all rules, in bytes; and the most rules.
const MAX_ID: usize = 255;
const MAX_RULE: usize = 1 << 10;
const MAX_RULES: usize = 1 << 20;
const MOST_RULES: usize = 10_000;

/// How many steps the judging of the events of one piece of news may take: less than a second. A step compares two
/// characters.
const BUDGET: u64 = 300_000_000;

/// Changes the rules. A change that changes nothing is no news.
pub fn change(user: &mut User<'_>, message: ChangePushRules) -> Result<()> {
    user.exists()?;
    user.must_be_active()?;
    let mut rules = user.push_rules()?;
    match message.change {
        PushRulesChange::Add { rule, before, after } => {
            let rule = given(rule);
            let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
            add(&mut rules, rule, [before.as_deref(), after.as_deref()])?;
            must_be_short(&rules, kind, &rule_id)?;
            if rules.iter().count() > MOST_RULES {
                return Err(invalid("these are too many rules"));
            }
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
            let found = rules.set_actions(kind.clone(), &rule_id, actions);
            found.map_err(|_| Stop::Refused(Refusal::NotFound))?;
            must_be_short(&rules, kind, &rule_id)?;
        }
    }
    let content = to_raw_value(&PushRulesEventContent::new(user.changed(rules)?))?;
    if content.get().len() > MAX_RULES {
        return Err(invalid("these are too many rules"));
    }
    user.set_item("", PUSH_RULES, &content)
}

/// Refuses a rule that is too long.
fn must_be_short(rules: &Ruleset, kind: RuleKind, rule_id: &str) -> Result<()> {
    let rule = rules.get(kind, rule_id).map(as_shown);
    if rule_id.len() > MAX_ID || serde_json::to_string(&rule)?.len() > MAX_RULE {
        return Err(invalid("the rule is too long"));
    }
    Ok(())
}

/// Adds a rule. One that is to stand elsewhere than it did is taken out first, and stays enabled or disabled.
fn add(rules: &mut Ruleset, rule: NewPushRule, [before, after]: [Option<&str>; 2]) -> Result<()> {
    let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
    if before == Some(&rule_id) || after == Some(&rule_id) {
        return Err(invalid("a rule stands neither before nor after itself"));
    }
    let held = rules.get(kind.clone(), &rule_id).map(|held| held.enabled());
    if held.is_some() && (before.is_some() || after.is_some()) {
        rules.remove(kind.clone(), &rule_id).map_err(|why| invalid(&why.to_string()))?;
    }
    rules.insert(rule, after, before).map_err(|why| invalid(&why.to_string()))?;
    if let Some(enabled) = held {
        let found = rules.set_enabled(kind, &rule_id, enabled);
        found.map_err(|_| Stop::broken("a push rule that was added is not there"))?;
    }
    Ok(())
}

fn given(rule: NewRule) -> NewPushRule {
    match rule {
        NewRule::Override(rule) => NewPushRule::Override(rule),
        NewRule::Content(rule) => NewPushRule::Content(rule),
        NewRule::Room(rule) => NewPushRule::Room(rule),
        NewRule::Sender(rule) => NewPushRule::Sender(rule),
        NewRule::Underride(rule) => NewPushRule::Underride(rule),
    }
}

impl User<'_> {
    /// The rules, as the item has them.
    pub fn push_rules_item(&mut self) -> Result<Box<RawValue>> {
        Ok(to_raw_value(&PushRulesEventContent::new(self.push_rules()?))?)
    }

    /// The default rules of this build.
    fn default_rules(&self) -> Result<Ruleset> {
        let user = UserId::parse(self.name).map_err(|_| Stop::broken("the user's ID is none"))?;
        let mut rules = Ruleset::server_default(&user);
        for rules in [&mut rules.override_, &mut rules.underride] {
            *rules = mem::take(rules).into_iter().map(as_clients_know_it).collect();
        }
        if !self.config.thread_subscriptions {
            rules.postcontent.clear();
        }
        Ok(rules)
    }

    /// The rules without the default ones that are as this build has them.
    pub fn changed(&self, mut rules: Ruleset) -> Result<Ruleset> {
        let default = self.default_rules()?;
        let is_changed = |kind: RuleKind, rule: &ConditionalPushRule| {
            default.get(kind, &rule.rule_id).is_none_or(|as_built| {
                as_built.enabled() != rule.enabled || !are_same(as_built.actions(), &rule.actions)
            })
        };
        rules.override_.retain(|rule| is_changed(RuleKind::Override, rule));
        rules.underride.retain(|rule| is_changed(RuleKind::Underride, rule));
        rules.postcontent.retain(|rule| is_changed(RuleKind::PostContent, rule));
        Ok(rules)
    }

    /// The rules, read once per stay in memory.
    pub fn rules(&mut self) -> Result<Rc<Rules>> {
        if let Some(rules) = &self.cache.rules {
            return Ok(Rc::clone(rules));
        }
        let rules = Rc::new(Rules::of(self.push_rules()?)?);
        self.cache.rules = Some(Rc::clone(&rules));
        Ok(rules)
    }

    fn push_rules(&mut self) -> Result<Ruleset> {
        let mut default = self.default_rules()?;
        let Some(content) = self.item("", PUSH_RULES)? else { return Ok(default) };
        let mut rules = serde_json::from_str::<PushRulesEventContent>(&content)?.global;
        // Ruma leaves out this kind, of which all rules are default ones.
        let of_threads = mem::take(&mut default.postcontent).into_iter().map(|mut rule| {
            if let Some(set) = rules.postcontent.get(rule.rule_id.as_str()) {
                (rule.enabled, rule.actions) = (set.enabled, set.actions.clone());
            }
            rule
        });
        rules.postcontent = of_threads.collect();
        rules.update_with_server_default(default);
        Ok(rules)
    }
}

/// A default rule with the condition that clients and other servers have in it: `event_match` of an event's type, where
/// ruma has `event_property_is`, as MSC3930 does now.
fn as_clients_know_it(mut rule: ConditionalPushRule) -> ConditionalPushRule {
    for condition in &mut rule.conditions {
        if let PushCondition::EventPropertyIs(is) = condition
            && is.key == "type"
            && let ScalarJsonValue::String(kind) = &is.value
        {
            let data = EventMatchConditionData::new(is.key.clone(), kind.clone());
            *condition = PushCondition::EventMatch(data);
        }
    }
    rule
}

/// The rules as events are judged by them.
pub struct Rules {
    /// All of them.
    pub all: Ruleset,
    /// Without those in which the user has texts searched for patterns of their own.
    plain: Ruleset,
    /// The bytes of those.
    searched: u64,
}

impl Rules {
    fn of(all: Ruleset) -> Result<Self> {
        let mut plain = all.clone();
        plain.content.retain(|rule| rule.default);
        plain.override_.retain(|rule| rule.default);
        plain.underride.retain(|rule| rule.default);
        let mut searched = 0;
        for rule in all.iter().filter(|rule| !rule.is_server_default()) {
            searched += serde_json::to_string(&as_shown(rule))?.len() as u64;
        }
        Ok(Self { all, plain, searched })
    }

    /// The rules by which an event is judged, where judging others has cost so many steps: those that search it, while
    /// the budget lasts. Nobody's rules keep an object from answering.
    pub fn for_event(&self, event: &RawValue, spent: &mut u64) -> &Ruleset {
        let bytes = event.get().len() as u64;
        *spent = spent.saturating_add(self.searched.saturating_mul(bytes));
        if *spent <= BUDGET { &self.all } else { &self.plain }
    }
}

/// A rule as clients are shown it. Ruma's own way panics over the kind that proposals add.
pub fn as_shown(rule: AnyPushRuleRef<'_>) -> PushRule {
    match rule {
        AnyPushRuleRef::PostContent(rule) => rule.clone().into(),
        rule => rule.into(),
    }
}

/// Whether two rules do the same. What cannot be written is never the same.
fn are_same(one: &[Action], other: &[Action]) -> bool {
    let text = |actions: &[Action]| serde_json::to_string(actions).ok();
    text(one).is_some_and(|one| text(other).is_some_and(|other| one == other))
}

fn invalid(why: &str) -> Stop<Refusal> {
    Stop::Refused(Refusal::Invalid(why.to_owned()))
}
