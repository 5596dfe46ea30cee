//! Which application services are there, and what concerns them?
//! ([application service API](https://spec.matrix.org/v1.19/application-service-api/))

pub mod deliver;
pub mod ping;
pub mod queries;
pub mod registrations;
mod sealed;
pub mod tell;
#[cfg(test)]
mod tests;
pub mod third_party;

pub use self::registrations::{Appservice, Appservices, appservices};
