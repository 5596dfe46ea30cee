//! Where does the server of this name listen?
//! ([resolving server names](https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names))
//!
//! [`begin`] tells the first thing to ask; each answer leads to the next [`Step`], until one says
//! where to go. Whether the addresses may be reached at all is asked in [`crate::address`].

#[cfg(test)]
mod tests;
mod well_known;

pub use self::well_known::{
    DEFAULT_LIFETIME, ERROR_LIFETIME, MAX_BODY, MAX_LIFETIME, MAX_REDIRECTS, MIN_LIFETIME,
    WellKnownFault, delegated, lifetime, redirected,
};
use crate::server_name::{Host, ServerNameFault, split};

/// The port of federation, where none is named.
const DEFAULT_PORT: u16 = 8448;

/// How many records of one answer are used.
const MAX_RECORDS: usize = 10;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Fetch `https://{host}/.well-known/matrix/server`.
    WellKnown(WellKnown),
    /// Look up SRV records.
    Srv(Srv),
    /// Connect to one of these, in this order.
    Connect(Vec<Target>),
}

/// A question to a server's well-known file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WellKnown {
    /// The host to ask.
    pub host: String,
}

/// A question for SRV records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// The name to look up.
    pub query: String,
    host: String,
    deprecated: bool,
}

/// A place at which a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name or address to connect to; IPv6 in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The name the certificate must be for; an IPv6 address is in brackets.
    pub certificate: String,
    /// The `Host` header.
    pub host_header: String,
}

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Lower is tried first.
    pub priority: u16,
    /// Among equals, higher is tried first: the choice is not left to chance.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host.
    pub target: String,
}

/// The first step for a server name.
pub fn begin(server_name: &str) -> Result<Step, ServerNameFault> {
    let (host, port) = split(server_name)?;
    Ok(match (host, port) {
        (Host::Dns(host), None) => Step::WellKnown(WellKnown { host: host.to_owned() }),
        (host, port) => connect(host, port, server_name),
    })
}

impl WellKnown {
    /// The step after the answer: the name it delegates to, or nothing where it failed.
    pub fn answered(self, delegated: Option<&str>) -> Result<Step, ServerNameFault> {
        let Some(name) = delegated else { return Ok(srv(self.host, false)) };
        Ok(match split(name)? {
            (Host::Dns(host), None) => srv(host.to_owned(), false),
            (host, port) => connect(host, port, name),
        })
    }
}

impl Srv {
    /// The step after the answer. `records` is empty where there are none.
    #[must_use]
    pub fn answered(self, mut records: Vec<Record>) -> Step {
        records.retain(is_usable);
        if records.is_empty() {
            return match self.deprecated {
                false => srv(self.host, true),
                true => connect(Host::Dns(&self.host), None, &self.host),
            };
        }
        records.sort_by(|a, b| {
            (a.priority, b.weight, &a.target).cmp(&(b.priority, a.weight, &b.target))
        });
        records.truncate(MAX_RECORDS);
        let target = |record: Record| Target {
            host: record.target.trim_end_matches('.').to_owned(),
            port: record.port,
            certificate: self.host.clone(),
            host_header: self.host.clone(),
        };
        Step::Connect(records.into_iter().map(target).collect())
    }
}

fn srv(host: String, deprecated: bool) -> Step {
    let service = if deprecated { "_matrix" } else { "_matrix-fed" };
    Step::Srv(Srv { query: format!("{service}._tcp.{host}"), host, deprecated })
}

fn connect(host: Host<'_>, port: Option<u16>, host_header: &str) -> Step {
    Step::Connect(vec![Target {
        host: host.to_string(),
        port: port.unwrap_or(DEFAULT_PORT),
        certificate: host.to_string(),
        host_header: host_header.to_owned(),
    }])
}

/// Whether a record leads to another machine: to a name, not to an address or to ourselves.
fn is_usable(record: &Record) -> bool {
    let target = record.target.trim_end_matches('.').to_ascii_lowercase();
    let is_local = target == "localhost" || target.ends_with(".localhost");
    record.port != 0 && !is_local && matches!(split(&target), Ok((Host::Dns(_), None)))
}
