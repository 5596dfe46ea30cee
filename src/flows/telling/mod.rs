//! How do local users and other servers hear of what is new?

pub mod deliver;
mod members;
pub mod tell;
#[cfg(test)]
mod tests;
