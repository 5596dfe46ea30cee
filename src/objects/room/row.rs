//! What does the one row of a room hold?

use ruma::{OwnedRoomId, OwnedServerName};
use tombolo_platform::{Row, Sql, SqlError, values};
use tombolo_protocol::room_version::RoomVersion;

use crate::{
    objects::room::{FIRST, Result, Sn, messages::Position},
    shell::Stop,
};

/// Where a room stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Invites or knocks of local users to a room we are not in.
    OutOfBand,
    /// A join through another server was begun, and nothing else was known of the room.
    Joining,
    /// At least one local user is joined, or a resolution (no event) removed the last one.
    Live,
    /// An event removed the last local user.
    Left,
}

impl Life {
    const ALL: [Self; 4] = [Self::OutOfBand, Self::Joining, Self::Live, Self::Left];

    fn name(self) -> &'static str {
        match self {
            Self::OutOfBand => "out_of_band",
            Self::Joining => "joining",
            Self::Live => "live",
            Self::Left => "left",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|life| life.name() == name)
    }
}

/// The one row of a room.
#[derive(Clone, Debug)]
pub struct RoomRow {
    pub id: OwnedRoomId,
    pub version: &'static RoomVersion,
    pub life: Life,
    /// The forward extremities.
    pub extremities: Vec<Sn>,
    /// The last position given out.
    pub pos: Position,
    /// The low-water mark: every follower was told everything up to here, but for those in `lagging`.
    pub notified_up_to: Position,
    /// How many users are joined now, of all servers.
    pub joined: i64,
    /// How many users are invited now, of all servers.
    pub invited: i64,
    /// The depth of the join by which this server is in the room; events below it are history. 0 where the room began
    /// here.
    pub floor: u64,
    /// The resident server through which we joined last.
    pub resident: Option<OwnedServerName>,
}

impl RoomRow {
    /// The row of a room of which we hold no events yet.
    pub fn new(id: OwnedRoomId, version: &'static RoomVersion, life: Life) -> Self {
        let (extremities, pos, notified_up_to) = (Vec::new(), FIRST, FIRST);
        Self {
            id,
            version,
            life,
            extremities,
            pos,
            notified_up_to,
            joined: 0,
            invited: 0,
            floor: 0,
            resident: None,
        }
    }

    pub fn write(&self, sql: &Sql) -> Result<()> {
        sql.run(
            "INSERT INTO room (one, id, version, life, tips, pos, told, joined, invited, floor, resident)
             VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET version = excluded.version, life = excluded.life, tips = excluded.tips, pos = excluded.pos,
             told = excluded.told, joined = excluded.joined, invited = excluded.invited, floor = excluded.floor,
             resident = excluded.resident",
            values![
                self.id.as_str(),
                self.version.id.as_str(),
                self.life.name(),
                pack(&self.extremities)?.as_slice(),
                self.pos,
                self.notified_up_to,
                self.joined,
                self.invited,
                self.floor,
                self.resident.as_ref().map(|server| server.as_str())
            ],
        )?;
        Ok(())
    }
}

pub const SELECT: &str =
    "SELECT id, version, life, tips, pos, told, joined, invited, floor, resident FROM room";

pub fn read(row: &Row<'_>) -> std::result::Result<RoomRow, SqlError> {
    let broken = |what: &str| SqlError::Database(format!("the room's row holds an unknown {what}"));
    let (version, life) = (row.text(1)?, row.text(2)?);
    Ok(RoomRow {
        id: OwnedRoomId::try_from(row.text(0)?).map_err(|_| broken("room ID"))?,
        version: RoomVersion::of(&version).ok_or_else(|| broken("version"))?,
        life: Life::of(&life).ok_or_else(|| broken("life"))?,
        extremities: unpack(&row.blob(3)?),
        pos: row.int(4)?,
        notified_up_to: row.int(5)?,
        joined: row.int(6)?,
        invited: row.int(7)?,
        floor: u64::try_from(row.int(8)?).map_err(|_| broken("floor"))?,
        resident: row
            .text_or_null(9)?
            .map(|server| server.try_into().map_err(|_| broken("resident")))
            .transpose()?,
    })
}

/// Packs event numbers into four bytes each, little-endian. A room whose numbers outgrow these takes no more events.
pub fn pack(sns: &[Sn]) -> Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(sns.len() * 4);
    for sn in sns {
        let number = u32::try_from(*sn).map_err(|_| Stop::broken("the room is full"))?;
        packed.extend(number.to_le_bytes());
    }
    Ok(packed)
}

pub fn unpack(bytes: &[u8]) -> Vec<Sn> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| Sn::from(u32::from_le_bytes(*chunk))).collect()
}
