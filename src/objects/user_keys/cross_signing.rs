//! Which keys vouch for the user's devices, and for other users?
//! ([cross-signing](https://spec.matrix.org/v1.19/client-server-api/#cross-signing))

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tombolo_platform::values;

use super::{
    CrossSigningKeys, Refusal, Replaces, Result, UploadCrossSigning, UserKeys,
    signed_json::{OwnSignatures, SignedJson, invalid},
};
use crate::shell::Stop;

/// What a cross-signing key is for, as `usage` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Master,
    SelfSigning,
    UserSigning,
}

impl Usage {
    fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// Whether this upload replaces keys that others may trust. The first keys replace none, nor do those that are held.
pub fn replaces(keys: &mut UserKeys<'_>, message: Replaces) -> Result<bool> {
    if !keys.exists()? || keys.public_key(Usage::Master)?.is_none() {
        return Ok(false);
    }
    for (usage, given) in given(&message.keys) {
        let given = SignedJson::read(given)?;
        if keys.held_key(usage)?.is_none_or(|held| held.body() != given.body()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Publishes cross-signing keys.
pub fn upload(keys: &mut UserKeys<'_>, message: UploadCrossSigning) -> Result<()> {
    let UploadCrossSigning { keys: uploaded, proved, devices } = message;
    if replaces(keys, Replaces { keys: uploaded.clone() })? && !proved {
        // Between the question and this message other keys came.
        return Err(Stop::Refused(Refusal::Forbidden("the user has not proved this".to_owned())));
    }
    keys.create()?;
    keys.must_be_active()?;
    for (usage, raw) in given(&uploaded) {
        let given = SignedJson::read(raw)?;
        let public = keys.check_key(usage, &given, &devices)?;
        if usage != Usage::Master {
            keys.check_vouched_for(&given)?;
        }
        keys.set_key(usage, &given, &public)?;
    }
    Ok(())
}

/// The keys of an upload; the master key, which vouches for the others, comes first.
fn given(keys: &CrossSigningKeys) -> impl Iterator<Item = (Usage, &RawValue)> {
    let all = [
        (Usage::Master, &keys.master_key),
        (Usage::SelfSigning, &keys.self_signing_key),
        (Usage::UserSigning, &keys.user_signing_key),
    ];
    all.into_iter().filter_map(|(usage, key)| Some((usage, key.as_deref()?)))
}

impl UserKeys<'_> {
    /// Refuses what is no such key of this user; answers the public key.
    fn check_key(
        &mut self,
        usage: Usage,
        given: &SignedJson,
        devices: &[String],
    ) -> Result<String> {
        if given.text("user_id") != Some(self.name) {
            return Err(invalid("the key names another user"));
        }
        if !given.lists("usage", usage.name()) {
            return Err(invalid(&format!("the usage of the key is not {}", usage.name())));
        }
        let public = given.public_key().ok_or_else(|| invalid("there has to be one public key"))?;
        if devices.iter().any(|device| device == public) || self.has_device(public)? {
            let why = "a device has the name of this key".to_owned();
            return Err(Stop::Refused(Refusal::Forbidden(why)));
        }
        Ok(public.to_owned())
    }

    /// Refuses a device that has the name of a key: nobody could tell which of the two was signed.
    pub fn check_name(&mut self, device: &str) -> Result<()> {
        for usage in [Usage::Master, Usage::SelfSigning, Usage::UserSigning] {
            if self.public_key(usage)?.as_deref() == Some(device) {
                let why = "a key has the name of this device".to_owned();
                return Err(Stop::Refused(Refusal::Forbidden(why)));
            }
        }
        Ok(())
    }

    /// Refuses a key that the master key has not signed.
    fn check_vouched_for(&mut self, given: &SignedJson) -> Result<()> {
        let master = self.public_key(Usage::Master)?;
        let missing = || Stop::Refused(Refusal::Missing("there is no master key".to_owned()));
        let master = master.ok_or_else(missing)?;
        if given.is_signed(self.name, (&format!("ed25519:{master}"), &master)) {
            return Ok(());
        }
        let why = "the master key has not signed the key".to_owned();
        Err(Stop::Refused(Refusal::BadSignature(why)))
    }

    /// Sets a key. What the replaced key signed, and what was signed of it, goes with it; and with the master key go
    /// the keys that it vouched for.
    fn set_key(&mut self, usage: Usage, given: &SignedJson, public: &str) -> Result<()> {
        let text = given.signed_by(self.name);
        if let Some(held) = self.held_key(usage)? {
            // Further signatures come by their own way, where they are checked.
            if held.body() == given.body() {
                return Ok(());
            }
            if let Some(old) = held.public_key().filter(|old| *old != public) {
                self.drop_signatures_by(old)?;
                self.drop_signatures_on(old)?;
                if usage == Usage::Master {
                    self.drop_keys_below_master()?;
                }
            }
        }
        self.hold_key(usage, &text)?;
        self.touch_signing()
    }

    fn drop_keys_below_master(&mut self) -> Result<()> {
        for usage in [Usage::SelfSigning, Usage::UserSigning] {
            if let Some(old) = self.public_key(usage)? {
                self.drop_signatures_by(&old)?;
            }
            self.let_go_key(usage)?;
        }
        Ok(())
    }

    fn text_of(&mut self, usage: Usage) -> Result<Option<Box<RawValue>>> {
        let query = "SELECT key FROM cross_signing WHERE kind = ?";
        let text = self.sql.row(query, values![usage.name()], |row| row.text(0))?;
        Ok(text.map(RawValue::from_string).transpose()?)
    }

    /// The key of this use, as it was uploaded.
    pub fn held_key(&mut self, usage: Usage) -> Result<Option<SignedJson>> {
        self.text_of(usage)?.map(|key| SignedJson::read(&key)).transpose()
    }

    /// The public key of this use.
    pub fn public_key(&mut self, usage: Usage) -> Result<Option<String>> {
        Ok(self.held_key(usage)?.and_then(|key| key.public_key().map(str::to_owned)))
    }

    /// All cross-signing keys, with the signatures that the user made.
    pub fn cross_signing_keys(&mut self, signatures: &OwnSignatures) -> Result<CrossSigningKeys> {
        let query = "SELECT kind, key FROM cross_signing";
        let rows = self.sql.rows(query, values![], |row| Ok((row.text(0)?, row.text(1)?)))?;
        let mut shown = BTreeMap::new();
        for (kind, text) in rows {
            let raw = RawValue::from_string(text)?;
            // Nothing is added to a key of any other form.
            let key = match public_of(&raw) {
                Some(public) => signatures.put_on(&public, raw.get())?,
                None => raw,
            };
            shown.insert(kind, key);
        }
        Ok(CrossSigningKeys {
            master_key: shown.remove(Usage::Master.name()),
            self_signing_key: shown.remove(Usage::SelfSigning.name()),
            user_signing_key: shown.remove(Usage::UserSigning.name()),
        })
    }

    /// Holds a key; answers whether it is another one than before.
    fn hold_key(&mut self, usage: Usage, text: &str) -> Result<bool> {
        let insert = "INSERT INTO cross_signing (kind, key) VALUES (?, ?)
                      ON CONFLICT DO UPDATE SET key = excluded.key WHERE key <> excluded.key RETURNING 1";
        Ok(self.sql.row(insert, values![usage.name(), text], |row| row.int(0))?.is_some())
    }

    fn let_go_key(&mut self, usage: Usage) -> Result<()> {
        let delete = "DELETE FROM cross_signing WHERE kind = ?";
        self.sql.run(delete, values![usage.name()])?;
        Ok(())
    }

    /// Replaces what is held of the keys of another server's user; what is not given stays, but for what another master
    /// key has vouched for. Answers whether that changes them.
    pub fn hold_signing(
        &mut self,
        master_key: Option<&RawValue>,
        self_signing_key: Option<&RawValue>,
    ) -> Result<bool> {
        let given = [(Usage::Master, master_key), (Usage::SelfSigning, self_signing_key)];
        let before = self.text_of(Usage::Master)?;
        let mut changed = false;
        for (usage, key) in given.into_iter().filter_map(|(usage, key)| Some((usage, key?))) {
            changed |= self.hold_key(usage, key.get())?;
        }
        let is_other = |master| before.as_deref().and_then(public_of) != public_of(master);
        if self_signing_key.is_none() && master_key.is_some_and(is_other) {
            self.let_go_key(Usage::SelfSigning)?;
        }
        Ok(changed)
    }

    /// Forgets all cross-signing keys.
    pub fn drop_signing(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM cross_signing", values![])?;
        Ok(())
    }
}

/// The public key in a key that may be of another server's user, and of any form.
fn public_of(key: &RawValue) -> Option<String> {
    SignedJson::read(key).ok().and_then(|key| Some(key.public_key()?.to_owned()))
}
