//! What have the user's keys signed?
//! ([signatures](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload))
//!
//! The self-signing key signs the user's devices, a device the user's master key, and the user-signing key the master
//! keys of other users. The last are shown to the user alone.

use ruma::OwnedUserId;
use tombolo_platform::{Row, values};

use super::{
    AddSignatures, Refusal, Result, SignatureOn, SignaturesOn, SignedObject, Unsigned, UserKeys,
    cross_signing::Usage,
    signed_json::{OwnSignatures, Signature, SignedJson, invalid},
};
use crate::shell::Stop;

/// A key of the user that signed: its ID, and its public half.
type Signer = (String, String);

/// Adds signatures; answers those that were not taken.
pub fn add(keys: &mut UserKeys<'_>, message: AddSignatures) -> Result<Vec<Unsigned>> {
    keys.create()?;
    keys.must_be_active()?;
    let mut failures = Vec::new();
    for signed in &message.signed {
        match keys.add_signature(signed) {
            Ok(()) => {}
            Err(Stop::Refused(why)) => {
                let (user, target) = (signed.user.clone(), signed.target.clone());
                failures.push(Unsigned { user, target, why });
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(failures)
}

/// The signatures of the user on the master keys of others.
pub fn on(keys: &mut UserKeys<'_>, message: SignaturesOn) -> Result<Vec<SignatureOn>> {
    if !keys.exists()? {
        return Ok(Vec::new());
    }
    let users = serde_json::to_string(&message.users)?;
    let query = "SELECT user, target, key, signature FROM signatures
                 WHERE user IN (SELECT value FROM json_each(?))";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?, row.text(2)?, row.text(3)?));
    let rows = keys.sql.rows(query, values![&users], read)?;
    let signatures = rows.into_iter().map(|(user, target, key_id, signature)| {
        let user = user.try_into().map_err(|_| Stop::broken("a user who was signed has no ID"))?;
        Ok(SignatureOn { user, target, key_id, signature })
    });
    signatures.collect()
}

impl UserKeys<'_> {
    fn add_signature(&mut self, signed: &SignedObject) -> Result<()> {
        let SignedObject { user, target, object, held } = signed;
        let given = SignedJson::read(object)?;
        let own = user == self.name;
        let (held, signers) = match held {
            Some(held) if !own => (SignedJson::read(held)?, self.signer(Usage::UserSigning)?),
            None if own => self.own_target(target)?,
            _ => return Err(Stop::Refused(Refusal::NotFound)),
        };
        let is_target = own || held.public_key() == Some(target);
        if !is_target || held.body() != given.body() {
            return Err(invalid("what was signed is not what is held"));
        }
        let noted = self.noted(user.as_str(), target)?;
        let is_new = |(key_id, signature): &(&str, &str)| {
            let noted = noted.iter().map(|(id, signature)| (id.as_str(), signature.as_str()));
            let mut known = noted.chain(held.signatures_of(self.name));
            !known.any(|known| known == (*key_id, *signature))
        };
        let new = given.signatures_of(self.name).filter(is_new);
        let (valid, wrong): (Vec<_>, Vec<_>) = new.partition(|(key_id, _)| {
            let signer = signers.iter().find(|(signer, _)| signer == key_id);
            signer.is_some_and(|(id, public)| given.is_signed(self.name, (id, public)))
        });
        for signature in &valid {
            self.note_signature(user.as_str(), target, *signature)?;
        }
        let nothing = valid.is_empty() && noted.is_empty();
        if nothing || !wrong.is_empty() {
            let why = "a key that may sign this has not signed it, or not rightly".to_owned();
            return Err(Stop::Refused(Refusal::BadSignature(why)));
        }
        Ok(())
    }

    /// A device or the master key of the user, and who may sign it.
    fn own_target(&mut self, target: &str) -> Result<(SignedJson, Vec<Signer>)> {
        if let Some(device) = self.device_keys(target)? {
            return Ok((device, self.signer(Usage::SelfSigning)?));
        }
        let master = self.held_key(Usage::Master)?;
        let master = master.filter(|master| master.public_key() == Some(target));
        let master = master.ok_or(Stop::Refused(Refusal::NotFound))?;
        let signers = self.device_signers()?;
        Ok((master, signers))
    }

    /// The key of this use, as one that signs.
    fn signer(&mut self, usage: Usage) -> Result<Vec<Signer>> {
        let public = self.public_key(usage)?;
        Ok(public.into_iter().map(|public| (format!("ed25519:{public}"), public)).collect())
    }

    fn note_signature(
        &mut self,
        user: &str,
        target: &str,
        (key_id, signature): (&str, &str),
    ) -> Result<()> {
        let query = "SELECT signature FROM signatures WHERE user = ? AND target = ? AND key = ?";
        let held = self.sql.row(query, values![user, target, key_id], |row| row.text(0))?;
        if held.as_deref() == Some(signature) {
            return Ok(());
        }
        if user != self.name {
            self.next_version()?;
        } else if self.has_device(target)? {
            self.touch_device(target)?;
        } else {
            self.touch_signing()?;
        }
        let version = self.version()?;
        let insert = "INSERT INTO signatures (user, target, key, signature, version) VALUES (?, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET signature = excluded.signature, version = excluded.version";
        self.sql.run(insert, values![user, target, key_id, signature, version])?;
        Ok(())
    }

    /// The signatures that the user made on devices and keys of their own.
    pub fn own_signatures(&mut self) -> Result<OwnSignatures> {
        let query = "SELECT target, key, signature FROM signatures WHERE user = ?";
        let read = |row: &Row<'_>| Ok((row.text(0)?, (row.text(1)?, row.text(2)?)));
        let made = self.sql.rows(query, values![self.name], read)?;
        Ok(OwnSignatures::of(self.name, made))
    }

    /// The signatures that the user made on something, but for those that it came with.
    fn noted(&mut self, user: &str, target: &str) -> Result<Vec<Signature>> {
        let query = "SELECT key, signature FROM signatures WHERE user = ? AND target = ?";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
        Ok(self.sql.rows(query, values![user, target], read)?)
    }

    /// The other users whose master keys the user signed after a version.
    pub fn signed_since(&mut self, told: i64) -> Result<Vec<OwnedUserId>> {
        let query =
            "SELECT DISTINCT user FROM signatures WHERE version > ? AND user <> ? ORDER BY user";
        let users = self.sql.rows(query, values![told, self.name], |row| row.text(0))?;
        let broken = |_| Stop::broken("a user who was signed has no ID");
        users.into_iter().map(|user| user.try_into().map_err(broken)).collect()
    }

    /// Forgets the signatures on a device or key of the user.
    pub fn drop_signatures_on(&mut self, target: &str) -> Result<()> {
        let delete = "DELETE FROM signatures WHERE user = ? AND target = ?";
        self.sql.run(delete, values![self.name, target])?;
        Ok(())
    }

    /// Forgets the signatures that a key made: that of a device, or a public key.
    pub fn drop_signatures_by(&mut self, signer: &str) -> Result<()> {
        let delete = "DELETE FROM signatures WHERE key = 'ed25519:' || ?";
        self.sql.run(delete, values![signer])?;
        Ok(())
    }

    /// Forgets all signatures.
    pub fn drop_signatures(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM signatures", values![])?;
        Ok(())
    }
}
