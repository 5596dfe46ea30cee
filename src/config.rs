//! How is this server configured?
//!
//! Variables and secrets of the deployment, parsed once per isolate.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{OwnedServerName, OwnedUserId};
use serde::Serialize;
use tombolo_platform::{Fault, Object, World};
use tombolo_protocol::{
    server_keys::{ServerKeys, VerifyKey},
    signing::{self, SigningKey},
};

/// The resolver that is asked unless the operator names another.
const RESOLVER: &str = "https://cloudflare-dns.com/dns-query";

/// The largest upload, in bytes, unless the operator names another: Cloudflare's network lets no larger request through
/// ([request limits](https://developers.cloudflare.com/workers/platform/limits/#request-limits)).
const MAX_UPLOAD: usize = 100_000_000;

/// How many days what was fetched from other servers is kept after it was last read, unless the operator says so.
const REMOTE_LIFETIME: u64 = 90;

/// How many seconds an event may be delayed at most, unless the operator says so.
const MAX_EVENT_DELAY: u64 = 86_400;

/// The notary that is asked unless the operator names others; it is Synapse's, too.
const NOTARY: &str = "matrix.org";

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Whoever has a registration token.
    ByToken,
    /// Only an operator, for others.
    Closed,
}

/// What an operator can set, and the two secrets made at set-up.
#[derive(Debug)]
pub struct Config {
    /// `SERVER_NAME`: the name in user IDs.
    pub server_name: OwnedServerName,
    /// `SIGNING_KEY`: `ed25519 <version> <unpadded base64 seed>`.
    pub signing_key: SigningKey,
    /// `OLD_KEYS`: keys we no longer sign with, `ed25519:<version> <base64 public key> <expired_ts>`, separated by
    /// commas.
    pub old_keys: ServerKeys,
    /// `TOKEN_SECRET`: what access tokens are authenticated with.
    pub token_secret: Vec<u8>,
    /// `REGISTRATION`: who may make an account.
    pub registration: Registration,
    /// `REGISTRATION_SHARED_SECRET`: for `/_synapse/admin/v1/register`.
    pub registration_shared_secret: Option<String>,
    /// `RATE_LIMITS`.
    pub rate_limits: bool,
    /// `DEVICE_NAMES=public`: whether other servers are told the names of our users' devices.
    pub public_device_names: bool,
    /// `PRESENCE=on`: whether users see of each other who is online.
    pub presence: bool,
    /// `ADDRESS_HEADER`: the header in which the network in front of us says who asks; none where there is no such
    /// network.
    pub address_header: Option<String>,
    /// `ALLOW_PRIVATE_ADDRESSES`: whether other servers may live at private addresses.
    pub allow_private_addresses: bool,
    /// `PASSWORD_COST=cheap`: for tests.
    pub cheap_passwords: bool,
    /// `DNS_OVER_HTTPS`: the resolver asked for SRV records and addresses; none when `off`.
    pub dns_over_https: Option<String>,
    /// `TRUSTED_KEY_SERVERS`: the notaries asked for the keys of servers out of reach, separated by commas; none when
    /// `off`.
    pub trusted_key_servers: Vec<OwnedServerName>,
    /// `PUBLIC_BASEURL`: what `/.well-known/matrix/client` and `/.well-known/matrix/server` say.
    pub public_baseurl: Option<String>,
    /// Whom users and other servers may turn to; none where nobody is named.
    pub support: Option<Support>,
    /// What may be kept of media.
    pub media: Media,
    /// `URL_PREVIEWS`: whether clients are shown what is behind a URL.
    pub url_previews: bool,
    /// `THREAD_SUBSCRIPTIONS`: whether clients may subscribe to threads, and are notified of no others.
    pub thread_subscriptions: bool,
    /// `MAX_EVENT_DELAY`: how long an event may be delayed at most (ms); none: no event may be.
    pub max_event_delay: Option<u64>,
    /// `SERVER_NOTICES`: the user, by the local part of the ID, in whose name operators write to users; none: nobody.
    pub server_notices: Option<OwnedUserId>,
    /// `TURN_URIS` and `TURN_SHARED_SECRET`: the relay for calls; none where one of them is missing.
    pub turn: Option<Turn>,
}

/// What may be kept of media.
#[derive(Debug)]
pub struct Media {
    /// `MAX_UPLOAD_SIZE`: the largest upload, and the largest media that are fetched from other servers (bytes).
    pub max_upload_size: usize,
    /// `MEDIA_QUOTA`: how many bytes each user may keep in all; none: any number.
    pub quota: Option<u64>,
    /// `REMOTE_MEDIA_LIFETIME`: how long what was fetched is kept after it was last read (ms); none: for ever.
    pub remote_lifetime: Option<u64>,
    /// `UNAUTHENTICATED_MEDIA=open`: whether what is uploaded or fetched may be read by who is not logged in.
    pub is_open: bool,
}

/// The relay for calls.
#[derive(Debug)]
pub struct Turn {
    pub uris: Vec<String>,
    pub shared_secret: String,
}

/// Whom users and other servers may turn to
/// ([support](https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport)): there is a contact or a page.
#[derive(Debug, Serialize)]
pub struct Support {
    /// `SUPPORT_CONTACTS`, separated by commas: a role, and who has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<Contact>,
    /// `SUPPORT_PAGE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    support_page: Option<String>,
}

/// Somebody, by a Matrix ID, an email address or both.
#[derive(Debug, Serialize)]
struct Contact {
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    matrix_id: Option<OwnedUserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_address: Option<String>,
}

/// A variable is missing or cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the variable {0} is missing or malformed")]
pub struct Misconfigured(&'static str);

impl From<Misconfigured> for Fault {
    fn from(error: Misconfigured) -> Self {
        Self(error.to_string())
    }
}

struct Parsed(Result<Rc<Config>, Misconfigured>);

impl Config {
    /// The configuration, seen from a request or a task.
    pub fn of(world: &World) -> Result<Rc<Self>, Misconfigured> {
        world
            .isolate(|world| Parsed(Self::parse(|name| world.variable(name)).map(Rc::new)))
            .0
            .clone()
    }

    /// The configuration, seen from an object.
    pub fn of_object(object: &Object<'_>) -> Result<Rc<Self>, Misconfigured> {
        object.isolate(|| Parsed(Self::parse(|name| object.variable(name)).map(Rc::new))).0.clone()
    }

    fn parse(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Misconfigured> {
        let required = |name: &'static str| variable(name).ok_or(Misconfigured(name));
        let is = |name: &str, value: &str| variable(name).is_some_and(|given| given == value);
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let server_name: OwnedServerName =
            required("SERVER_NAME")?.parse().map_err(|_| Misconfigured("SERVER_NAME"))?;
        Ok(Self {
            server_notices: filled("SERVER_NOTICES")
                .map(|name| OwnedUserId::try_from(format!("@{name}:{server_name}")))
                .transpose()
                .map_err(|_| Misconfigured("SERVER_NOTICES"))?,
            server_name,
            signing_key: signing_key(&required("SIGNING_KEY")?)
                .ok_or(Misconfigured("SIGNING_KEY"))?,
            old_keys: old_keys(&variable("OLD_KEYS").unwrap_or_default())
                .ok_or(Misconfigured("OLD_KEYS"))?,
            token_secret: STANDARD_NO_PAD
                .decode(required("TOKEN_SECRET")?.trim_end_matches('='))
                .ok()
                .filter(|secret| secret.len() >= 32)
                .ok_or(Misconfigured("TOKEN_SECRET"))?,
            registration: match variable("REGISTRATION").as_deref() {
                Some("open") => Registration::Open,
                Some("token") => Registration::ByToken,
                _ => Registration::Closed,
            },
            registration_shared_secret: filled("REGISTRATION_SHARED_SECRET"),
            rate_limits: !is("RATE_LIMITS", "off"),
            public_device_names: is("DEVICE_NAMES", "public"),
            presence: is("PRESENCE", "on"),
            address_header: filled("ADDRESS_HEADER"),
            allow_private_addresses: is("ALLOW_PRIVATE_ADDRESSES", "yes"),
            cheap_passwords: is("PASSWORD_COST", "cheap"),
            dns_over_https: Some(filled("DNS_OVER_HTTPS").unwrap_or_else(|| RESOLVER.to_owned()))
                .filter(|resolver| resolver != "off"),
            trusted_key_servers: notaries(filled("TRUSTED_KEY_SERVERS"))
                .ok_or(Misconfigured("TRUSTED_KEY_SERVERS"))?,
            public_baseurl: filled("PUBLIC_BASEURL"),
            support: Support::read(filled)?,
            media: media(filled)?,
            url_previews: !is("URL_PREVIEWS", "off"),
            thread_subscriptions: is("THREAD_SUBSCRIPTIONS", "on"),
            max_event_delay: max_event_delay(filled("MAX_EVENT_DELAY"))?,
            turn: turn(filled("TURN_URIS"), filled("TURN_SHARED_SECRET")),
        })
    }
}

fn signing_key(text: &str) -> Option<SigningKey> {
    let mut words = text.split_whitespace();
    let (Some("ed25519"), Some(version), Some(seed), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let seed = STANDARD_NO_PAD.decode(seed).ok()?.try_into().ok()?;
    SigningKey::from_seed(&format!("ed25519:{version}"), seed).ok()
}

fn notaries(text: Option<String>) -> Option<Vec<OwnedServerName>> {
    let text = text.unwrap_or_else(|| NOTARY.to_owned());
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "off");
    names.map(|name| name.try_into().ok()).collect()
}

fn max_event_delay(text: Option<String>) -> Result<Option<u64>, Misconfigured> {
    let seconds = text.map_or(Ok(MAX_EVENT_DELAY), |text| text.parse());
    let seconds = seconds.map_err(|_| Misconfigured("MAX_EVENT_DELAY"))?;
    // Times are sums of it; a century is more than anybody waits.
    Ok(Some(seconds.min(3_155_760_000) * 1000).filter(|ms| *ms > 0))
}

fn media(filled: impl Fn(&str) -> Option<String>) -> Result<Media, Misconfigured> {
    let number = |name: &'static str, usual: u64| match filled(name) {
        Some(text) => text.parse::<u64>().map_err(|_| Misconfigured(name)),
        None => Ok(usual),
    };
    let days = number("REMOTE_MEDIA_LIFETIME", REMOTE_LIFETIME)?;
    Ok(Media {
        max_upload_size: usize::try_from(number("MAX_UPLOAD_SIZE", MAX_UPLOAD as u64)?)
            .map_err(|_| Misconfigured("MAX_UPLOAD_SIZE"))?,
        quota: Some(number("MEDIA_QUOTA", 0)?).filter(|bytes| *bytes > 0),
        remote_lifetime: Some(days.saturating_mul(86_400_000)).filter(|ms| *ms > 0),
        is_open: filled("UNAUTHENTICATED_MEDIA").is_some_and(|given| given == "open"),
    })
}

fn turn(uris: Option<String>, shared_secret: Option<String>) -> Option<Turn> {
    let (uris, shared_secret) = uris.zip(shared_secret)?;
    let uris = uris.split(',').map(str::trim).filter(|uri| !uri.is_empty());
    let uris: Vec<String> = uris.map(str::to_owned).collect();
    (!uris.is_empty()).then_some(Turn { uris, shared_secret })
}

fn old_keys(text: &str) -> Option<ServerKeys> {
    let mut old = ServerKeys::default();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let mut words = entry.split_whitespace();
        let (key_id, key, expired) = (words.next()?, words.next()?, words.next()?);
        let key = VerifyKey {
            key: signing::decode(key)?,
            valid_until_ts: expired.parse().ok()?,
            retired: true,
        };
        old.keys.insert(key_id.to_owned(), key);
    }
    Some(old)
}

impl Support {
    /// Reads the variables; `None` where both are empty.
    pub fn read(filled: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Misconfigured> {
        let contacts = filled("SUPPORT_CONTACTS").unwrap_or_default();
        let contacts = contacts.split(',').filter(|contact| !contact.trim().is_empty());
        let contacts: Option<Vec<Contact>> = contacts.map(Contact::read).collect();
        let contacts = contacts.ok_or(Misconfigured("SUPPORT_CONTACTS"))?;
        let support_page = filled("SUPPORT_PAGE");
        if support_page.as_deref().is_some_and(|page| !is_page(page)) {
            return Err(Misconfigured("SUPPORT_PAGE"));
        }
        let any = !contacts.is_empty() || support_page.is_some();
        Ok(any.then_some(Self { contacts, support_page }))
    }
}

impl Contact {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let role = words.next()?.to_owned();
        let (mut matrix_id, mut email_address) = (None, None);
        for word in words {
            let known = if word.starts_with('@') {
                matrix_id.replace(word.try_into().ok()?).is_some()
            } else {
                let (name, host) = word.split_once('@')?;
                let is_address = !name.is_empty() && !host.is_empty() && !host.contains('@');
                email_address.replace(is_address.then(|| word.to_owned())?).is_some()
            };
            // One of each at most.
            if known {
                return None;
            }
        }
        let has_role = role.contains('.') && !role.contains('@');
        let any = matrix_id.is_some() || email_address.is_some();
        (has_role && any).then_some(Self { role, matrix_id, email_address })
    }
}

/// Whether this is the URL of a page: it is shown as it is.
fn is_page(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    host.is_some_and(|host| !host.is_empty()) && text.chars().all(|each| each.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Support;

    fn read(contacts: &str, page: &str) -> Option<Value> {
        let filled = |name: &str| match name {
            "SUPPORT_CONTACTS" => Some(contacts.to_owned()),
            _ => Some(page.to_owned()).filter(|page| !page.is_empty()),
        };
        Support::read(filled).map(|support| serde_json::to_value(support).unwrap()).ok()
    }

    #[test]
    fn the_specifications_example_is_written_so() {
        let contacts = "m.role.admin @admin:example.org admin@example.org, m.role.security security@example.org";
        let written = json!({
            "contacts": [
                { "matrix_id": "@admin:example.org", "email_address": "admin@example.org", "role": "m.role.admin" },
                { "email_address": "security@example.org", "role": "m.role.security" },
            ],
            "support_page": "https://example.org/support.html",
        });
        assert_eq!(read(contacts, "https://example.org/support.html"), Some(written));
        let page = json!({ "support_page": "https://example.org/" });
        assert_eq!(read("", "https://example.org/"), Some(page));
        assert_eq!(read(" , ", ""), Some(Value::Null));
    }

    #[test]
    fn what_is_no_contact_is_not_taken_for_one() {
        for contacts in [
            "m.role.admin",
            "@admin:example.org",
            "admin admin@example.org",
            "m.role.admin @admin",
            "m.role.admin a@b a@c",
            "m.role.admin @a:b @c:d",
            "m.role.admin admin",
            "m.role.admin a@b@c",
            "m.role.admin a@b, x",
        ] {
            assert_eq!(read(contacts, ""), None, "{contacts}");
        }
        for page in [
            "example.org",
            "javascript:x",
            "/support",
            "ftp://example.org/",
            "https:///x",
            "https://a b/",
        ] {
            assert_eq!(read("", page), None, "{page}");
        }
    }
}
