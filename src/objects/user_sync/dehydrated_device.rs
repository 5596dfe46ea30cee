//! Which device waits on the server for a login that can use it?
//! ([MSC3814](https://github.com/matrix-org/matrix-spec-proposals/pull/3814))
//!
//! It is a device like others, but nobody is logged in on it. It is added first, then its keys are published, then it
//! becomes the dehydrated one. What a crash leaves between these steps goes with the next dehydrated device.

use serde_json::value::RawValue;
use tombolo_platform::{Row, values};

use super::{
    AbandonDevice, AddDevice, AddedDevice, Dehydrate, Dehydrated, DehydratedDevice,
    DehydratedMessages, DeleteDehydratedDevice, MessageBatch, Refusal, Result, User,
};
use crate::shell::Stop;

pub fn add(user: &mut User<'_>, message: AddDevice) -> Result<AddedDevice> {
    user.exists()?;
    user.must_be_active()?;
    let AddDevice { device_id, display_name } = message;
    let used = || Stop::Refused(Refusal::Invalid("This device is logged in".to_owned()));
    user.add_unused(&device_id, display_name.as_deref())?.ok_or_else(used)
}

pub fn dehydrate(user: &mut User<'_>, message: Dehydrate) -> Result<()> {
    user.exists()?;
    user.must_be_active()?;
    let mut unused = user.unused_devices()?;
    let Some(own) = unused.iter().position(|device| *device == message.device_id) else {
        let why = "Another device was dehydrated meanwhile, or somebody logged in on this one";
        return Err(Stop::Refused(Refusal::Forbidden(why.to_owned())));
    };
    unused.swap_remove(own);
    user.remove(&unused)?;
    let insert = "INSERT INTO dehydrated_device (one, device, device_data) VALUES (1, ?, ?)
                  ON CONFLICT DO UPDATE SET device = excluded.device, device_data = excluded.device_data";
    user.sql.run(insert, values![&message.device_id, message.device_data.get()])?;
    Ok(())
}

pub fn abandon(user: &mut User<'_>, message: AbandonDevice) -> Result<()> {
    user.exists()?;
    let is_dehydrated =
        user.dehydrated()?.is_some_and(|(device_id, _)| device_id == message.device_id);
    if is_dehydrated || !user.unused_devices()?.contains(&message.device_id) {
        return Ok(());
    }
    user.remove(&[message.device_id])
}

pub fn dehydrated(user: &mut User<'_>, _: DehydratedDevice) -> Result<Dehydrated> {
    user.exists()?;
    let held = user.dehydrated()?.ok_or(Stop::Refused(Refusal::NotFound))?;
    Ok(Dehydrated { device_id: held.0, device_data: RawValue::from_string(held.1)? })
}

pub fn delete(user: &mut User<'_>, _: DeleteDehydratedDevice) -> Result<String> {
    user.exists()?;
    let (device_id, _) = user.dehydrated()?.ok_or(Stop::Refused(Refusal::NotFound))?;
    user.remove(std::slice::from_ref(&device_id))?;
    Ok(device_id)
}

pub fn messages(user: &mut User<'_>, message: DehydratedMessages) -> Result<MessageBatch> {
    user.exists()?;
    let DehydratedMessages { device_id, after } = message;
    if user.dehydrated()?.is_none_or(|(dehydrated, _)| dehydrated != device_id) {
        let why = "This is not the dehydrated device";
        return Err(Stop::Refused(Refusal::Forbidden(why.to_owned())));
    }
    let waiting = user.messages_for(&device_id, after)?;
    Ok(MessageBatch { messages: waiting.messages, upto: waiting.last, more: waiting.more })
}

impl User<'_> {
    /// The dehydrated device: its ID and its data.
    fn dehydrated(&mut self) -> Result<Option<(String, String)>> {
        let query = "SELECT device, device_data FROM dehydrated_device";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
        Ok(self.sql.row(query, values![], read)?)
    }

    /// Forgets that one of these devices is dehydrated.
    pub fn forget_dehydrated(&mut self, devices: &str) -> Result<()> {
        let delete =
            "DELETE FROM dehydrated_device WHERE device IN (SELECT value FROM json_each(?))";
        self.sql.run(delete, values![devices])?;
        Ok(())
    }
}
