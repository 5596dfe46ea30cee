//! Which keys does a user have, for end-to-end encryption? The UserKeysObject.
//! ([end-to-end encryption](https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption))
//!
//! For a local user it owns the keys. For a user of another server it is a copy of what that server said of their
//! devices, good while one of ours shares a room with them.

mod backup;
mod cross_signing;
mod devices;
mod list;
pub mod messages;
mod one_time_keys;
mod remote;
mod schema;
mod signatures;
mod signed_json;
#[cfg(test)]
mod tests;

use tombolo_platform::{Fault, Moment, Sql, values};

use self::messages::*;
pub use self::{schema::STEPS, signed_json::MAX_KEY};
use crate::shell::{Effects, ObjectClass, Question, Schema, Stop, class};

/// What a function of this object may answer.
pub type Result<T> = std::result::Result<T, Stop<Refusal>>;

/// What the object remembers between messages.
#[derive(Default)]
pub struct Cache {
    schema: Schema,
    /// Since when somebody has to be told of something (ms), as far as this stay in memory knows.
    untold_since: Option<u64>,
    /// Whether it was looked whether D1's copy is older than the list.
    looked: bool,
}

/// The class of users' keys.
pub struct UserKeysClass;

impl ObjectClass for UserKeysClass {
    type Cache = Cache;
    type Object<'a> = UserKeys<'a>;
    type Refusal = Refusal;

    fn open<'a>(
        question: &Question<'a>,
        cache: &'a mut Cache,
        effects: &'a mut Effects,
    ) -> std::result::Result<UserKeys<'a>, Fault> {
        let Question { object, moment, .. } = *question;
        Ok(UserKeys { name: &object.address.name, sql: object.sql, moment, cache, effects })
    }

    fn finish(keys: &mut UserKeys<'_>) -> Result<()> {
        keys.copy_what_is_not()
    }
}

/// A user's keys, while the object answers one message.
pub struct UserKeys<'a> {
    /// The user's ID.
    name: &'a str,
    sql: &'a Sql,
    moment: &'a Moment,
    cache: &'a mut Cache,
    effects: &'a mut Effects,
}

impl UserKeys<'_> {
    /// Whether anything was ever stored of this user.
    fn exists(&mut self) -> Result<bool> {
        Ok(self.cache.schema.exists(self.sql, STEPS)?)
    }

    fn create(&mut self) -> Result<()> {
        Ok(self.cache.schema.create(self.sql, STEPS)?)
    }

    /// Refuses what comes after the account was deactivated.
    fn must_be_active(&mut self) -> Result<()> {
        match self.sql.row("SELECT 1 FROM deactivated", values![], |row| row.int(0))? {
            None => Ok(()),
            Some(_) => {
                Err(Stop::Refused(Refusal::Forbidden("the account is deactivated".to_owned())))
            }
        }
    }
}

/// Forgets the cross-signing keys and the backups of a user whose account is deactivated, for good.
fn drop_keys(keys: &mut UserKeys<'_>, _: DropKeys) -> Result<()> {
    keys.create()?;
    keys.sql.run("INSERT INTO deactivated (one) VALUES (1) ON CONFLICT DO NOTHING", values![])?;
    keys.drop_backups()?;
    keys.drop_signing()?;
    keys.drop_signatures()?;
    // What is copied of them goes with the next telling.
    keys.next_version()?;
    Ok(())
}

class!(UserKeysClass = "user_keys" {
    UploadKeys => devices::upload,
    NameDevice => devices::name,
    DropDevices => devices::drop,
    QueryKeys => devices::query,
    ClaimKeys => one_time_keys::claim,
    Replaces => cross_signing::replaces,
    UploadCrossSigning => cross_signing::upload,
    AddSignatures => signatures::add,
    SignaturesOn => signatures::on,
    Untold => list::untold,
    ListTold => list::told,
    NoteHolder => list::note_holder,
    HeldList => remote::held,
    BeginAsk => remote::begin_ask,
    EndAsk => remote::end_ask,
    HoldList => remote::hold,
    NoteChange => remote::note_change,
    NoteDevice => remote::note_device_alone,
    NoteSigning => remote::note_signing_alone,
    ChangesTold => remote::told,
    DropKeys => drop_keys,
    CreateBackup => backup::create,
    Backup => backup::info,
    UpdateBackup => backup::update,
    DeleteBackup => backup::delete,
    StoreBackupKeys => backup::store_keys,
    SessionBackup => backup::session,
    BackupPage => backup::page,
    DeleteBackupKeys => backup::delete_keys,
});
