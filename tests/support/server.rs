//! What does a simulated server stand on? Its variables, and D1 as the migrations make it.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use tombolo_platform::{
    Application, World,
    simulated::{Server, Simulation},
};

/// The two secrets of a server.
#[derive(Clone)]
pub struct Secrets {
    /// The version of its signing key, and the seed.
    pub signing_key: (String, [u8; 32]),
    pub token: [u8; 32],
}

impl Secrets {
    /// A signing key of this seed.
    pub fn of(seed: u8) -> Self {
        Self { signing_key: ("a".to_owned(), [seed; 32]), token: [8; 32] }
    }

    /// The variables that say them.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let (version, seed) = &self.signing_key;
        [
            ("SIGNING_KEY", format!("ed25519 {version} {}", STANDARD_NO_PAD.encode(seed))),
            ("TOKEN_SECRET", STANDARD_NO_PAD.encode(self.token)),
        ]
    }
}

/// A server of the simulation, with open registration and no limits; `more` overrides its variables.
pub fn server(
    simulation: &Simulation,
    application: Rc<dyn Application<World>>,
    name: &str,
    secrets: &Secrets,
    more: &[(&str, &str)],
) -> Server {
    let secrets = secrets.variables();
    let mut variables = vec![
        ("SERVER_NAME", name),
        ("REGISTRATION", "open"),
        ("RATE_LIMITS", "off"),
        ("ALLOW_PRIVATE_ADDRESSES", "yes"),
        ("PASSWORD_COST", "cheap"),
        ("DNS_OVER_HTTPS", "off"),
        ("TRUSTED_KEY_SERVERS", "off"),
    ];
    variables.extend(secrets.iter().map(|(name, value)| (*name, value.as_str())));
    variables.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    variables.extend(more);
    let migrations = migrations();
    let migrations: Vec<(&str, &str)> =
        migrations.iter().map(|(name, sql)| (&**name, &**sql)).collect();
    simulation.server(name, application, &variables, &migrations)
}

/// Every migration of D1, in order: the file and its SQL.
pub fn migrations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    files.iter().map(|path| (path.display().to_string(), read(path))).collect()
}
