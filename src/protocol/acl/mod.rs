//! Does a room's access list admit a server?
//! ([server ACLs](https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms))

#[cfg(test)]
mod tests;

use serde_json::{Value, value::RawValue};

use crate::{
    glob::Subject,
    json::parse_value,
    server_name::{Host, split},
};

/// The access list of a room, from the content of its `m.room.server_acl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAcl {
    allow: Vec<String>,
    deny: Vec<String>,
    allow_ip_literals: bool,
}

impl ServerAcl {
    /// Reads a list. What has no form counts as absent, and without `allow` nobody is admitted.
    #[must_use]
    pub fn of(content: &RawValue) -> Self {
        let content = parse_value(content.get().as_bytes()).unwrap_or_default();
        let allow_ip_literals = content.get("allow_ip_literals").and_then(Value::as_bool);
        Self {
            allow: globs(content.get("allow")),
            deny: globs(content.get("deny")),
            allow_ip_literals: allow_ip_literals.unwrap_or(true),
        }
    }

    /// Whether the server of this name may take part. Its port does not matter.
    #[must_use]
    pub fn admits(&self, server_name: &str) -> bool {
        let Ok((host, _)) = split(server_name) else { return false };
        if !self.allow_ip_literals && !matches!(host, Host::Dns(_)) {
            return false;
        }
        // A literal is matched as it is written: globs are written for one spelling of an address.
        let literal = match (host, server_name.split_once(']')) {
            (Host::V6(_), Some((address, _))) => format!("{address}]"),
            _ => host.to_string(),
        };
        let Some(subject) = Subject::new(&literal) else { return false };
        let matches = |globs: &[String]| globs.iter().any(|glob| subject.matches(glob));
        !matches(&self.deny) && matches(&self.allow)
    }
}

fn globs(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect()
}
