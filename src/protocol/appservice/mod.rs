//! What does the registration of an application service say?
//! ([registration](https://spec.matrix.org/v1.19/application-service-api/#registration))
//!
//! Files in use spell some fields in several ways, and have fields of their own: what is not known is left out.

#[cfg(test)]
mod tests;

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// The longest pattern of a namespace (bytes), and the largest that it is compiled to.
const MAX_PATTERN: usize = 1024;
const MAX_COMPILED: usize = 1 << 20;
/// The longest ID of an application service, and the longest token (bytes).
const MAX_ID: usize = 255;

/// A registration without its tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub id: String,
    /// Where the service listens; none where it never does.
    pub url: Option<String>,
    /// The user that the service is where it names none, by the local part of the ID.
    pub sender_localpart: String,
    /// Whether its users are held to the limits of users. The sender never is.
    pub rate_limited: bool,
    pub namespaces: Namespaces,
    /// The networks whose users and places it knows.
    pub protocols: Vec<String>,
    /// Whether it is sent typing, receipts and presence.
    pub receive_ephemeral: bool,
    /// Whether it is sent what its users need for encryption (MSC3202).
    pub encryption: bool,
    /// Whether it makes devices instead of logging in (MSC4190).
    pub device_management: bool,
}

/// The tokens of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// With which the service asks us.
    pub as_token: String,
    /// With which we ask it.
    pub hs_token: String,
}

/// What a service is concerned with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    #[serde(default)]
    pub users: Vec<Namespace>,
    #[serde(default)]
    pub aliases: Vec<Namespace>,
    #[serde(default)]
    pub rooms: Vec<Namespace>,
}

/// The names that a pattern matches from their beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    pub regex: String,
    /// Whether nobody else may make names of it.
    pub exclusive: bool,
}

/// Why a registration cannot be used, in a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// A registration as it is written.
#[derive(Deserialize)]
struct Written {
    id: Option<String>,
    /// `null` says that there is none; what is absent was forgotten.
    #[serde(default, deserialize_with = "present")]
    url: Option<Option<String>>,
    as_token: Option<String>,
    hs_token: Option<String>,
    sender_localpart: Option<String>,
    rate_limited: Option<bool>,
    namespaces: Option<WrittenNamespaces>,
    protocols: Option<Vec<String>>,
    receive_ephemeral: Option<bool>,
    push_ephemeral: Option<bool>,
    #[serde(rename = "de.sorunome.msc2409.push_ephemeral")]
    unstable_push_ephemeral: Option<bool>,
    #[serde(rename = "org.matrix.msc3202")]
    msc3202: Option<bool>,
    #[serde(rename = "io.element.msc4190")]
    msc4190: Option<bool>,
}

/// `null` where a list could be is an empty one, as files in use have it.
#[derive(Default, Deserialize)]
struct WrittenNamespaces {
    users: Option<Vec<Namespace>>,
    aliases: Option<Vec<Namespace>>,
    rooms: Option<Vec<Namespace>>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl Registration {
    /// Reads a registration, as JSON.
    pub fn read(text: &str) -> Result<(Self, Tokens), Unusable> {
        let written: Written = serde_json::from_str(text)
            .map_err(|error| Unusable(format!("The registration cannot be read: {error}")))?;
        let id = required("id", written.id)?;
        // Services that are told a protocol's networks name each by `id|network`.
        if id.contains('|') {
            return Err(Unusable("An `id` has no `|`".to_owned()));
        }
        let url = written.url.ok_or_else(|| {
            Unusable(
                "There is no `url`: it is `null` for a service that listens nowhere".to_owned(),
            )
        })?;
        let url = url.filter(|url| !url.is_empty()).map(|url| usable(&url)).transpose()?;
        let sender_localpart = required("sender_localpart", written.sender_localpart)?;
        let namespaces = written.namespaces.ok_or_else(|| missing("namespaces"))?;
        let namespaces = Namespaces {
            users: namespaces.users.unwrap_or_default(),
            aliases: namespaces.aliases.unwrap_or_default(),
            rooms: namespaces.rooms.unwrap_or_default(),
        };
        let tokens = Tokens {
            as_token: required("as_token", written.as_token)?,
            hs_token: required("hs_token", written.hs_token)?,
        };
        let ephemeral =
            [written.receive_ephemeral, written.push_ephemeral, written.unstable_push_ephemeral];
        let registration = Self {
            id,
            url,
            sender_localpart,
            rate_limited: written.rate_limited.unwrap_or(true),
            namespaces,
            protocols: written.protocols.unwrap_or_default(),
            receive_ephemeral: ephemeral.contains(&Some(true)),
            encryption: written.msc3202 == Some(true),
            device_management: written.msc4190 == Some(true),
        };
        registration.namespaces.compiled()?;
        Ok((registration, tokens))
    }
}

fn required(name: &str, given: Option<String>) -> Result<String, Unusable> {
    let given = given.filter(|given| !given.is_empty()).ok_or_else(|| missing(name))?;
    if given.len() > MAX_ID || given.chars().any(char::is_control) {
        return Err(Unusable(format!(
            "`{name}` is too long, or has characters that nobody can read"
        )));
    }
    Ok(given)
}

fn missing(name: &str) -> Unusable {
    Unusable(format!("There is no `{name}`"))
}

/// The address of a service without the `/` that may end it: paths begin with one.
fn usable(given: &str) -> Result<String, Unusable> {
    let is_http = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match url::Url::parse(given) {
        Ok(url) if is_http(&url) && url.query().is_none() && url.fragment().is_none() => {
            Ok(given.trim_end_matches('/').to_owned())
        }
        _ => Err(Unusable(format!("`{given}` is no URL of a service"))),
    }
}

/// Namespaces whose patterns are compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub users: Patterns,
    pub aliases: Patterns,
    pub rooms: Patterns,
}

/// The patterns of one kind of name.
#[derive(Clone, Debug)]
pub struct Patterns(Vec<(Regex, bool)>);

impl Namespaces {
    /// Compiles the patterns.
    pub fn compiled(&self) -> Result<Compiled, Unusable> {
        Ok(Compiled {
            users: Patterns::of(&self.users)?,
            aliases: Patterns::of(&self.aliases)?,
            rooms: Patterns::of(&self.rooms)?,
        })
    }
}

impl Patterns {
    fn of(namespaces: &[Namespace]) -> Result<Self, Unusable> {
        let compile = |Namespace { regex, exclusive }: &Namespace| {
            if regex.len() > MAX_PATTERN {
                return Err(Unusable(format!("A pattern has at most {MAX_PATTERN} bytes")));
            }
            // Names are matched from their beginning, as Synapse does.
            let anchored = format!("^(?:{regex})");
            // A pattern that closes the group is none by itself.
            Regex::new(regex)
                .and_then(|_| RegexBuilder::new(&anchored).size_limit(MAX_COMPILED).build())
                .map(|regex| (regex, *exclusive))
                .map_err(|error| Unusable(format!("The pattern `{regex}` cannot be used: {error}")))
        };
        namespaces.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a name is of the namespace.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(regex, _)| regex.is_match(name))
    }

    /// Whether a name is of the namespace, and nobody else may make it.
    #[must_use]
    pub fn owns(&self, name: &str) -> bool {
        self.0.iter().any(|(regex, exclusive)| *exclusive && regex.is_match(name))
    }
}
