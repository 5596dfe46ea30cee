//! How does the whole server answer clients, from the request to the response? One simulated server.

mod account_data;
mod accounts;
mod answers;
mod appservices;
mod backups;
mod bundles;
mod by_time;
mod context;
mod dehydrated;
mod delayed_events;
mod devices;
mod ephemeral;
mod filters;
mod ignored;
mod invite_rules;
mod key_changes;
mod keys;
mod leavers;
mod openid;
mod presence;
mod profiles;
mod public_rooms;
mod push_rules;
mod pushers;
mod refreshes;
mod related;
mod relations;
mod reports;
mod rights;
mod rooms;
mod routes;
mod search;
mod sliding;
mod spaces;
mod state_after;
mod tags;
mod thread_subscriptions;
mod threads;
mod timelines;
mod to_device;
mod turn;
mod unread;
mod upgrades;
mod user_directory;

use std::rc::Rc;

use tombolo_support::Scene;

use crate::app::Tombolo;

/// A server that anybody may register on.
fn one_server() -> Scene {
    one_server_with(&[])
}

/// The same, with these variables.
fn one_server_with(variables: &[(&str, &str)]) -> Scene {
    Scene::new(Rc::new(Tombolo), "example.org", variables)
}
