//! Which endpoints are for operators? The small part of Synapse's admin API that tools and test suites rely on.

pub mod register;
mod units;

use super::router::Router;

/// Registers the operators' routes.
pub fn routes(router: &mut Router) {
    register::routes(router);
    units::routes(router);
}
