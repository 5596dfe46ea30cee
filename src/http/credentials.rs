//! Does a caller know the password of an account, and how is a new one kept?

use ruma::{OwnedUserId, ServerName, UserId};
use tombolo_platform::World;

use super::passwords::{self, Effort, MAX_BYTES};
use crate::{
    config::Config,
    error::{Result, internal, invalid_param},
    objects::{user_object, user_sync::messages::AttemptLogin},
    stores::accounts,
};

/// The user whose password this is; each `attempt` counts. Unknown users and wrong passwords look alike, and take as
/// long.
pub async fn prove(
    world: &World,
    config: &Config,
    attempt: AttemptLogin,
    (named, password): (&str, &str),
) -> Result<Option<OwnedUserId>> {
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
    Ok(user.filter(|_| proved && fits))
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
