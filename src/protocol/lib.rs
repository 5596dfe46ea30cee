//! What are the rules of Matrix?
//!
//! Values in, values out: nothing here fetches, waits, reads a clock or rolls dice.
//!
//! | to | call |
//! | --- | --- |
//! | read a body | [`json::parse_value`]; what is signed: [`json::parse_object`]; only what it is signed over: [`json::signed_text`] |
//! | know a room's rules | [`room_version::RoomVersion::of`] |
//! | send an event | [`event_auth::auth_types`] → look those up → [`event::build`] → [`event_auth::check_state`] |
//! | admit an event | [`admission::parse`] → [`admission::Unverified::required_keys`] → fetch them into a [`server_keys::KeyRing`] → [`admission::Unverified::verify`] → [`admission::Verified::checked`] |
//! | judge it | [`event_auth::check_auth_events`] (reject), [`event_auth::check_state`] with the state before it (reject), and with the current state (soft-fail) |
//! | read an event from the store | [`event::Pdu::from_stored`]: nothing is checked again |
//! | merge branches | [`state_resolution::split`] → load what differs → [`state_resolution::resolve`] |
//! | know who may do what | [`power_levels::PowerLevels::of`] |
//! | show an event | [`visibility`], then [`event::client_event`], [`event::stripped`] or [`event::for_federation`] |
//! | hide one | [`event::redacted`] |
//! | authenticate a request | [`x_matrix::Authorization::parse`] → `check_servers` → its origin's keys → `verify`; our own: [`x_matrix::sign`] |
//! | believe keys | [`server_keys::ServerKeys::from_origin`], [`server_keys::ServerKeys::from_notary`], then [`server_keys::KeyRing::add`] |
//! | find a server | [`discovery::begin`], with [`address::is_global`] for every address; [`backoff`] when it fails |
//! | apply a room's access list | [`acl::ServerAcl::of`] |

pub mod acl;
pub mod address;
pub mod admission;
pub mod appservice;
pub mod backoff;
pub mod canonical_json;
pub mod discovery;
pub mod event;
pub mod event_auth;
pub mod glob;
pub mod json;
pub mod membership;
pub mod power_levels;
pub mod room_version;
#[cfg(test)]
mod scene;
pub mod server_keys;
pub mod server_name;
pub mod signing;
pub mod space;
pub mod state_resolution;
pub mod visibility;
pub mod x_matrix;
