//! How are room keys backed up on the server?
//! ([server-side key backups](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups))

use ruma::{
    OwnedRoomId,
    api::client::backup::{
        BackupAlgorithm, KeyBackupData, add_backup_keys::v3 as add_keys,
        add_backup_keys_for_room::v3 as add_keys_of_room,
        add_backup_keys_for_session::v3 as add_key, create_backup_version::v3 as create,
        delete_backup_keys::v3 as delete_keys,
        delete_backup_keys_for_room::v3 as delete_keys_of_room,
        delete_backup_keys_for_session::v3 as delete_key, delete_backup_version::v3 as delete,
        get_backup_info::v3 as get_info, get_backup_keys_for_session::v3 as get_key,
        get_latest_backup_info::v3 as get_newest, update_backup_version::v3 as update,
    },
    serde::Raw,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use tombolo_platform::World;

use crate::{
    error::{Result, bad_json, invalid_param, too_large},
    http::{auth::Session, endpoint::is_object, router::Router},
    objects::{keys_object, user_keys::messages::*},
};

/// The longest name of an algorithm and of a session, in bytes.
const MAX_NAME: usize = 255;
/// The largest `auth_data`, in bytes: hundreds of signatures.
const MAX_AUTH_DATA: usize = 64 << 10;
/// The largest `session_data`, in bytes. Clients write less than one.
const MAX_SESSION_DATA: usize = 8 << 10;

pub fn routes(router: &mut Router) {
    router.endpoint::<create::Request, _, _>(create_backup);
    router.endpoint::<get_newest::Request, _, _>(newest);
    router.endpoint::<get_info::Request, _, _>(info);
    router.endpoint::<update::Request, _, _>(update_backup);
    router.endpoint::<delete::Request, _, _>(delete_backup);
    router.endpoint::<add_keys::Request, _, _>(store);
    router.endpoint::<add_keys_of_room::Request, _, _>(store_of_room);
    router.endpoint::<add_key::Request, _, _>(store_one);
    router.endpoint::<get_key::Request, _, _>(one);
    router.endpoint::<delete_keys::Request, _, _>(delete_all);
    router.endpoint::<delete_keys_of_room::Request, _, _>(delete_of_room);
    router.endpoint::<delete_key::Request, _, _>(delete_one);
}

/// What a client says of a backup. Not ruma's type, which reads the `auth_data` of an algorithm that it knows, and would
/// write it otherwise than it was signed.
#[derive(Deserialize)]
struct Described {
    algorithm: String,
    auth_data: Box<RawValue>,
    version: Option<String>,
}

impl Described {
    fn read(body: &Raw<BackupAlgorithm>) -> Result<Self> {
        let described: Self = read_object(body)?;
        if !is_object(&described.auth_data) {
            return Err(bad_json("`auth_data` is an object"));
        }
        if described.algorithm.len() > MAX_NAME || described.auth_data.get().len() > MAX_AUTH_DATA {
            return Err(too_large("The description of the backup is too large"));
        }
        Ok(described)
    }
}

/// Reads an object. Serde would read a list of its members, too.
fn read_object<T: DeserializeOwned>(raw: &Raw<impl Sized>) -> Result<T> {
    if !is_object(raw.json()) {
        return Err(bad_json("This is no object"));
    }
    raw.deserialize_as_unchecked().map_err(|error| bad_json(error.to_string()))
}

async fn create_backup(
    world: World,
    caller: Session,
    request: create::Request,
) -> Result<create::Response> {
    let Described { algorithm, auth_data, .. } = Described::read(&request.algorithm)?;
    let backup = CreateBackup { algorithm, auth_data };
    Ok(create::Response::new(world.ask(&keys_object(&caller.user), &backup).await?))
}

async fn newest(
    world: World,
    caller: Session,
    _: get_newest::Request,
) -> Result<get_newest::Response> {
    let backup = Backup { version: None };
    let info = world.ask(&keys_object(&caller.user), &backup).await?;
    let Contents { etag, count } = info.contents;
    let algorithm = described(&info.algorithm, info.auth_data)?;
    Ok(get_newest::Response::new(algorithm, count, etag, info.version))
}

async fn info(
    world: World,
    caller: Session,
    request: get_info::Request,
) -> Result<get_info::Response> {
    let backup = Backup { version: Some(request.version) };
    let info = world.ask(&keys_object(&caller.user), &backup).await?;
    let Contents { etag, count } = info.contents;
    let algorithm = described(&info.algorithm, info.auth_data)?;
    Ok(get_info::Response::new(algorithm, count, etag, info.version))
}

/// The algorithm and its data, from which ruma writes both.
fn described(algorithm: &str, auth_data: Box<RawValue>) -> Result<Raw<BackupAlgorithm>> {
    #[derive(serde::Serialize)]
    struct Both<'a> {
        algorithm: &'a str,
        auth_data: Box<RawValue>,
    }
    Ok(Raw::from_json(to_raw_value(&Both { algorithm, auth_data })?))
}

async fn update_backup(
    world: World,
    caller: Session,
    request: update::Request,
) -> Result<update::Response> {
    let Described { algorithm, auth_data, version } = Described::read(&request.algorithm)?;
    if version.is_some_and(|version| version != request.version) {
        return Err(invalid_param("The version is not that of the path"));
    }
    let backup = UpdateBackup { version: request.version, algorithm, auth_data };
    world.ask(&keys_object(&caller.user), &backup).await?;
    Ok(update::Response::new())
}

async fn delete_backup(
    world: World,
    caller: Session,
    request: delete::Request,
) -> Result<delete::Response> {
    let backup = DeleteBackup { version: request.version };
    world.ask(&keys_object(&caller.user), &backup).await?;
    Ok(delete::Response::new())
}

async fn store(
    world: World,
    caller: Session,
    request: add_keys::Request,
) -> Result<add_keys::Response> {
    let rooms = request.rooms.into_iter();
    let rooms = rooms.map(|(room_id, room)| (room_id, room.sessions));
    let Contents { etag, count } = put(&world, &caller, request.version, rooms).await?;
    Ok(add_keys::Response::new(etag, count))
}

async fn store_of_room(
    world: World,
    caller: Session,
    request: add_keys_of_room::Request,
) -> Result<add_keys_of_room::Response> {
    let room = [(request.room_id, request.sessions)];
    let Contents { etag, count } = put(&world, &caller, request.version, room).await?;
    Ok(add_keys_of_room::Response::new(etag, count))
}

async fn store_one(
    world: World,
    caller: Session,
    request: add_key::Request,
) -> Result<add_key::Response> {
    let room = [(request.room_id, [(request.session_id, request.session_data)])];
    let Contents { etag, count } = put(&world, &caller, request.version, room).await?;
    Ok(add_key::Response::new(etag, count))
}

/// Puts keys into a backup: by room and session, as the client wrote them.
async fn put<S: IntoIterator<Item = (String, Raw<KeyBackupData>)>>(
    world: &World,
    caller: &Session,
    version: String,
    rooms: impl IntoIterator<Item = (OwnedRoomId, S)>,
) -> Result<Contents> {
    let read = |(session_id, key): (String, Raw<KeyBackupData>)| {
        let key = read_key(&session_id, &key)?;
        Ok((session_id, key))
    };
    let read_room = |(room_id, sessions): (OwnedRoomId, S)| {
        Ok((room_id, sessions.into_iter().map(read).collect::<Result<_>>()?))
    };
    let keys = rooms.into_iter().map(read_room).collect::<Result<_>>()?;
    Ok(world.ask(&keys_object(&caller.user), &StoreBackupKeys { version, keys }).await?)
}

/// Not ruma's type, which reads the `session_data` of one algorithm.
fn read_key(session_id: &str, key: &Raw<KeyBackupData>) -> Result<BackupKey> {
    if session_id.is_empty() || session_id.len() > MAX_NAME {
        return Err(invalid_param("The session ID is empty or too long"));
    }
    let key: BackupKey = read_object(key)?;
    if !is_object(&key.session_data) {
        return Err(bad_json("`session_data` is an object"));
    }
    if key.session_data.get().len() > MAX_SESSION_DATA {
        return Err(too_large("The key of a session is too large"));
    }
    Ok(key)
}

async fn one(
    world: World,
    caller: Session,
    request: get_key::Request,
) -> Result<get_key::Response> {
    let get_key::Request { version, room_id, session_id, .. } = request;
    let session = SessionBackup { version, room_id, session_id };
    let key = world.ask(&keys_object(&caller.user), &session).await?;
    Ok(get_key::Response::new(Raw::from_json(to_raw_value(&key)?)))
}

async fn delete_all(
    world: World,
    caller: Session,
    request: delete_keys::Request,
) -> Result<delete_keys::Response> {
    let version = request.version;
    let keys = DeleteBackupKeys { version, room_id: None, session_id: None };
    let Contents { etag, count } = world.ask(&keys_object(&caller.user), &keys).await?;
    Ok(delete_keys::Response::new(etag, count))
}

async fn delete_of_room(
    world: World,
    caller: Session,
    request: delete_keys_of_room::Request,
) -> Result<delete_keys_of_room::Response> {
    let (version, room_id) = (request.version, Some(request.room_id));
    let keys = DeleteBackupKeys { version, room_id, session_id: None };
    let Contents { etag, count } = world.ask(&keys_object(&caller.user), &keys).await?;
    Ok(delete_keys_of_room::Response::new(etag, count))
}

async fn delete_one(
    world: World,
    caller: Session,
    request: delete_key::Request,
) -> Result<delete_key::Response> {
    let (room_id, session_id) = (Some(request.room_id), Some(request.session_id));
    let keys = DeleteBackupKeys { version: request.version, room_id, session_id };
    let Contents { etag, count } = world.ask(&keys_object(&caller.user), &keys).await?;
    Ok(delete_key::Response::new(etag, count))
}
