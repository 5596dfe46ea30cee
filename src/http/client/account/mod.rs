//! A user's account: how it is made and used, its devices, profile and account data.

pub mod account_data;
pub mod deactivate;
pub mod devices;
pub mod login;
mod login_fallback;
mod openid;
mod password;
pub mod profiles;
pub mod push_rules;
mod pushers;
pub mod refresh;
pub mod register;
mod tags;
mod third_party_ids;
mod turn;
pub mod usernames;

use crate::http::router::Router;

pub fn routes(router: &mut Router) {
    register::routes(router);
    login::routes(router);
    login_fallback::routes(router);
    refresh::routes(router);
    devices::routes(router);
    password::routes(router);
    deactivate::routes(router);
    third_party_ids::routes(router);
    profiles::routes(router);
    account_data::routes(router);
    tags::routes(router);
    push_rules::routes(router);
    pushers::routes(router);
    openid::routes(router);
    turn::routes(router);
}
