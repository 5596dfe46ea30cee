//! Does a caller know the password of an account, and how is a new one kept?

use http::StatusCode;
use ruma::{OwnedUserId, ServerName, UserId};
use serde::Deserialize;
use tombolo_platform::World;

use super::passwords::{self, Effort, MAX_BYTES};
use crate::{
    config::Config,
    error::{Error, Result, forbidden, internal, invalid_param, missing_param},
    objects::{user_object, user_sync::messages::AttemptLogin},
    stores::accounts,
};

/// What identifies a user by an address that another service vouches for. This server knows of none.
const THIRD_PARTY: [&str; 2] = ["m.id.thirdparty", "m.id.phone"];

/// How a client names a user and gives their password, in a login or in user-interactive authentication.
#[derive(Deserialize)]
pub struct Credentials {
    identifier: Option<Identifier>,
    /// What old clients send in place of `identifier`.
    user: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
}

impl Credentials {
    /// The user's name and the password.
    pub fn given(&self) -> Result<(&str, &str)> {
        let named = self.named()?;
        let password = self.password.as_deref();
        Ok((named, password.ok_or_else(|| missing_param("There is no password"))?))
    }

    /// The user of this server that an application service names: by case, since its users may have capitals.
    pub fn named_exactly(&self, server_name: &ServerName) -> Result<OwnedUserId> {
        let named = self.named()?;
        let whole = match named.starts_with('@') {
            true => named.to_owned(),
            false => format!("@{named}:{server_name}"),
        };
        UserId::parse(whole).map_err(|_| invalid_param("This is no user ID"))
    }

    fn named(&self) -> Result<&str> {
        let named = match &self.identifier {
            Some(identifier) if identifier.kind == "m.id.user" => identifier.user.as_deref(),
            Some(identifier) if THIRD_PARTY.contains(&identifier.kind.as_str()) => {
                return Err(forbidden("Invalid username or password"));
            }
            Some(_) => {
                let message = "Unknown kind of identifier";
                return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message));
            }
            None => self.user.as_deref(),
        };
        named.ok_or_else(|| missing_param("There is no user"))
    }
}

/// Who knows the password of an account.
pub struct Proved {
    pub user: OwnedUserId,
    /// What was kept of the password then.
    pub hash: String,
}

/// The user whose password this is; each `attempt` counts. Unknown users and wrong passwords look alike, and take as
/// long.
pub async fn prove(
    world: &World,
    config: &Config,
    attempt: AttemptLogin,
    (named, password): (&str, &str),
) -> Result<Option<Proved>> {
    let user = local_user(named, &config.server_name);
    let account = match &user {
        Some(user) => {
            world.ask(&user_object(user), &attempt).await?;
            accounts::find(world, user.localpart()).await?
        }
        None => None,
    };
    let held = account.and_then(|account| account.password_hash);
    let fits = password.len() <= MAX_BYTES;
    let proved =
        passwords::verify(if fits { password } else { "" }, held.as_deref(), effort(config))
            .map_err(internal)?;
    let held = held.filter(|_| proved && fits);
    Ok(user.zip(held).map(|(user, hash)| Proved { user, hash }))
}

/// What is kept of a new password.
pub fn hash(world: &World, password: &str) -> Result<String> {
    if password.len() > MAX_BYTES {
        return Err(invalid_param("The password is too long"));
    }
    let config = Config::of(world)?;
    passwords::hash(password, &world.random(), effort(&config)).map_err(internal)
}

/// How much work a password costs on this server.
fn effort(config: &Config) -> Effort {
    if config.cheap_passwords { Effort::Cheap } else { Effort::Standard }
}

/// A user of this server, named by their whole ID or its local part.
pub fn local_user(named: &str, server_name: &ServerName) -> Option<OwnedUserId> {
    let (localpart, server) = match named.strip_prefix('@') {
        Some(rest) => rest.split_once(':')?,
        None => (named, server_name.as_str()),
    };
    let user = UserId::parse(format!("@{}:{server_name}", localpart.to_ascii_lowercase())).ok()?;
    (server == server_name).then_some(user)
}
