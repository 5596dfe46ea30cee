//! By which rules is a user notified?
//! ([push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules-api))

use ruma::{
    api::client::push::{
        PushRule, delete_pushrule::v3 as delete, get_pushrule::v3 as get,
        get_pushrule_actions::v3 as get_actions, get_pushrule_enabled::v3 as get_enabled,
        get_pushrules_all::v3 as all, get_pushrules_global_scope::v3 as global,
        set_pushrule::v3 as set, set_pushrule_actions::v3 as set_actions,
        set_pushrule_enabled::v3 as set_enabled,
    },
    events::push_rules::PushRulesEventContent,
    push::{NewPushRule, RuleKind, Ruleset},
};
use tombolo_platform::World;
use tombolo_protocol::json::plain_object;

use crate::{
    error::{Result, invalid_param, not_found},
    http::{
        auth::{Session, user_object},
        router::Router,
    },
    objects::user_sync::{
        PUSH_RULES, as_shown,
        messages::{AccountData, ChangePushRules, Cost, NewRule, PushRulesChange},
    },
};

pub fn routes(router: &mut Router) {
    router.endpoint::<all::Request, _, _>(every_scope);
    router.endpoint::<global::Request, _, _>(global_scope);
    router.endpoint::<get::Request, _, _>(rule);
    router.costly::<set::Request, _, _>(Cost::Event, add);
    router.endpoint::<delete::Request, _, _>(remove);
    router.endpoint::<get_enabled::Request, _, _>(is_enabled);
    router.endpoint::<set_enabled::Request, _, _>(enable);
    router.endpoint::<get_actions::Request, _, _>(actions);
    router.endpoint::<set_actions::Request, _, _>(replace_actions);
}

async fn every_scope(world: World, caller: Session, _: all::Request) -> Result<all::Response> {
    Ok(all::Response::new(rules(&world, &caller).await?))
}

async fn global_scope(
    world: World,
    caller: Session,
    _: global::Request,
) -> Result<global::Response> {
    Ok(global::Response::new(rules(&world, &caller).await?))
}

async fn rule(world: World, caller: Session, request: get::Request) -> Result<get::Response> {
    let rule = find(&world, &caller, request.kind, &request.rule_id).await?;
    Ok(get::Response::new(rule))
}

async fn add(world: World, caller: Session, request: set::Request) -> Result<set::Response> {
    let rule = match request.rule {
        NewPushRule::Override(rule) => NewRule::Override(rule),
        NewPushRule::Content(rule) => NewRule::Content(rule),
        NewPushRule::Room(rule) => NewRule::Room(rule),
        NewPushRule::Sender(rule) => NewRule::Sender(rule),
        NewPushRule::Underride(rule) => NewRule::Underride(rule),
        _ => return Err(invalid_param("There is no such kind of rules")),
    };
    let (before, after) = (request.before, request.after);
    change(&world, &caller, PushRulesChange::Add { rule, before, after }).await?;
    Ok(set::Response::new())
}

async fn remove(
    world: World,
    caller: Session,
    request: delete::Request,
) -> Result<delete::Response> {
    let delete::Request { kind, rule_id, .. } = request;
    let kind = as_proposed(kind);
    change(&world, &caller, PushRulesChange::Remove { kind, rule_id }).await?;
    Ok(delete::Response::new())
}

async fn is_enabled(
    world: World,
    caller: Session,
    request: get_enabled::Request,
) -> Result<get_enabled::Response> {
    let rule = find(&world, &caller, request.kind, &request.rule_id).await?;
    Ok(get_enabled::Response::new(rule.enabled))
}

async fn enable(
    world: World,
    caller: Session,
    request: set_enabled::Request,
) -> Result<set_enabled::Response> {
    let set_enabled::Request { kind, rule_id, enabled, .. } = request;
    let kind = as_proposed(kind);
    change(&world, &caller, PushRulesChange::Enable { kind, rule_id, enabled }).await?;
    Ok(set_enabled::Response::new())
}

async fn actions(
    world: World,
    caller: Session,
    request: get_actions::Request,
) -> Result<get_actions::Response> {
    let rule = find(&world, &caller, request.kind, &request.rule_id).await?;
    Ok(get_actions::Response::new(rule.actions))
}

async fn replace_actions(
    world: World,
    caller: Session,
    request: set_actions::Request,
) -> Result<set_actions::Response> {
    let set_actions::Request { kind, rule_id, actions, .. } = request;
    let kind = as_proposed(kind);
    change(&world, &caller, PushRulesChange::SetActions { kind, rule_id, actions }).await?;
    Ok(set_actions::Response::new())
}

/// The rules, as account data has them.
async fn rules(world: &World, caller: &Session) -> Result<Ruleset> {
    let item = AccountData { room_id: None, event_type: PUSH_RULES.to_owned() };
    let content = world.ask(&user_object(&caller.user), &item).await?;
    Ok(serde_json::from_str::<PushRulesEventContent>(content.get())?.global)
}

async fn find(world: &World, caller: &Session, kind: RuleKind, rule_id: &str) -> Result<PushRule> {
    let rules = rules(world, caller).await?;
    let rule = rules.get(as_proposed(kind), rule_id).map(as_shown);
    rule.ok_or_else(|| not_found("There is no such rule"))
}

/// The kind that a path names. Ruma knows the kind of the rules about threads
/// ([MSC4306](https://github.com/matrix-org/matrix-spec-proposals/pull/4306)) by another name than servers and clients.
fn as_proposed(kind: RuleKind) -> RuleKind {
    if kind.as_str() == "postcontent" { RuleKind::PostContent } else { kind }
}

async fn change(world: &World, caller: &Session, change: PushRulesChange) -> Result<()> {
    // What an action or a condition holds may be nested as deep as can be read, and stands deeper where it is stored.
    if plain_object(&serde_json::to_string(&change)?).is_none() {
        return Err(invalid_param("The rule is nested too deep"));
    }
    Ok(world.ask(&user_object(&caller.user), &ChangePushRules { change }).await?)
}
