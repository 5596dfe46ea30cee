//! What can be asked of a user's push rules?

use ruma::{
    OwnedRoomId, OwnedUserId,
    push::{Action, NewConditionalPushRule, NewPatternedPushRule, NewSimplePushRule, RuleKind},
};
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::objects::{message::message, user_sync::UserSyncClass};

/// Changes a push rule.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangePushRules {
    pub change: PushRulesChange,
}
message!(UserSyncClass, ChangePushRules => (), Refusal);

#[derive(Debug, Serialize, Deserialize)]
pub enum PushRulesChange {
    /// Adds a rule of the user, or replaces the one of this kind and ID. It comes before or after another rule of the
    /// user, or, if it is new and neither is given, before all of its kind.
    Add { rule: NewRule, before: Option<String>, after: Option<String> },
    /// Removes a rule of the user.
    Remove { kind: RuleKind, rule_id: String },
    /// Enables or disables any rule.
    Enable { kind: RuleKind, rule_id: String, enabled: bool },
    /// Sets what any rule does.
    SetActions { kind: RuleKind, rule_id: String, actions: Vec<Action> },
}

/// A rule of the user, by its kind.
#[derive(Debug, Serialize, Deserialize)]
pub enum NewRule {
    Override(NewConditionalPushRule),
    Content(NewPatternedPushRule),
    Room(NewSimplePushRule<OwnedRoomId>),
    Sender(NewSimplePushRule<OwnedUserId>),
    Underride(NewConditionalPushRule),
}
