//! What does a simulated server stand on? Its variables, and D1 as the migrations make it.

use std::{fs, path::Path, rc::Rc};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use tombolo::app::Tombolo;
use tombolo_platform::simulated::{Server, Simulation};

/// The two secrets of a server.
pub struct Secrets {
    /// The version of its signing key, and the seed.
    pub signing_key: (String, [u8; 32]),
    pub token: [u8; 32],
}

/// A server of the simulation, with open registration and no limits; `more` overrides its variables.
pub fn server(
    simulation: &Simulation,
    name: &str,
    secrets: &Secrets,
    more: &[(&str, &str)],
) -> Server {
    let (version, seed) = &secrets.signing_key;
    let signing_key = format!("ed25519 {version} {}", STANDARD_NO_PAD.encode(seed));
    let token_secret = STANDARD_NO_PAD.encode(secrets.token);
    let mut variables = vec![
        ("SERVER_NAME", name),
        ("SIGNING_KEY", &signing_key),
        ("TOKEN_SECRET", &token_secret),
        ("REGISTRATION", "open"),
        ("RATE_LIMITS", "off"),
        ("ALLOW_PRIVATE_ADDRESSES", "yes"),
        ("PASSWORD_COST", "cheap"),
        ("DNS_OVER_HTTPS", "off"),
        ("TRUSTED_KEY_SERVERS", "off"),
    ];
    variables.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    variables.extend(more);
    let migrations = migrations();
    let migrations: Vec<(&str, &str)> =
        migrations.iter().map(|(name, sql)| (&**name, &**sql)).collect();
    simulation.server(name, Rc::new(Tombolo), &variables, &migrations)
}

/// Every migration of D1, in order.
fn migrations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    let read = |path: &std::path::PathBuf| fs::read_to_string(path).unwrap();
    files.iter().map(|path| (path.display().to_string(), read(path))).collect()
}
