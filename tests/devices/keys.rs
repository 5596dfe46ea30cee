//! What do devices and users publish?

use serde_json::{Value, json};
use tombolo_protocol::{canonical_json, signing::SigningKey};
use tombolo_support::{Dice, PASSWORD, canonical};

/// The identity keys of a device. Nobody checks what a device signs itself.
pub fn identity(user: &str, device: &str, life: usize) -> Value {
    json!({
        "user_id": user,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { format!("curve25519:{device}"): format!("life {life}") },
        "signatures": {},
    })
}

/// One-time keys with these numbers, by name.
pub fn one_time(numbers: impl Iterator<Item = usize>) -> Value {
    let key = |number: usize| json!({ "key": number.to_string(), "signatures": {} });
    let named = |number| (format!("signed_curve25519:{number}"), key(number));
    Value::Object(numbers.map(named).collect())
}

/// A fallback key with this number, by its name.
pub fn fallback(number: usize) -> Value {
    let key = json!({ "key": number.to_string(), "fallback": true, "signatures": {} });
    json!({ format!("signed_curve25519:{number}"): key })
}

/// New cross-signing keys, with the proof that replacing keys needs; sometimes only the master key.
pub fn cross_signing(user: &str, dice: &Dice) -> Value {
    let [master, self_signing, user_signing] = [(); 3].map(|()| key(dice));
    let mut keys = json!({ "master_key": public(user, "master", &master) });
    if dice.percent(80) {
        let others = [("self_signing", self_signing), ("user_signing", user_signing)];
        for (usage, key) in others {
            let signed = signed_by(public(user, usage, &key), user, &master);
            keys[format!("{usage}_key")] = signed;
        }
    }
    let identifier = json!({ "type": "m.id.user", "user": user });
    keys["auth"] =
        json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD });
    keys
}

fn key(dice: &Dice) -> SigningKey {
    let mut seed = [0; 32];
    seed.fill_with(|| dice.next().to_le_bytes()[0]);
    SigningKey::from_seed("ed25519:x", seed).unwrap()
}

fn public(user: &str, usage: &str, key: &SigningKey) -> Value {
    let public = key.public_key_base64();
    json!({ "user_id": user, "usage": [usage], "keys": { format!("ed25519:{public}"): public } })
}

fn signed_by(mut object: Value, user: &str, key: &SigningKey) -> Value {
    let signature = key.sign(canonical_json::to_string(&canonical(&object)).as_bytes());
    let key_id = format!("ed25519:{}", key.public_key_base64());
    object["signatures"] = json!({ user: { key_id: signature } });
    object
}
