//! How is a token kept that must be sent? Sealed by the server's secret, so that whoever reads D1 does not have it.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tombolo_platform::World;

use crate::{config::Config, flows::ours::Ours};

/// How many bytes the nonce has that stands before what is sealed.
const NONCE: usize = 24;
/// What the key of tokens is derived from, beside the server's secret.
const PURPOSE: &[u8] = b"tokens of application services";

/// Seals a token of the service of this ID.
pub fn seal(world: &World, id: &str, token: &str) -> Result<String, Ours> {
    let nonce = world.random();
    let nonce = nonce.first_chunk::<NONCE>().ok_or_else(|| Ours::broken("too few dice"))?;
    let payload = Payload { msg: token.as_bytes(), aad: id.as_bytes() };
    let sealed = cipher(world)?.encrypt(&XNonce::from(*nonce), payload);
    let sealed = sealed.map_err(|_| Ours::broken("a token cannot be sealed"))?;
    Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

/// The token that was sealed for the service of this ID.
pub fn open(world: &World, id: &str, sealed: &str) -> Result<String, Ours> {
    let broken =
        || Ours::broken(format!("the token of the application service {id} cannot be read"));
    let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| broken())?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(broken)?;
    let payload = Payload { msg: sealed, aad: id.as_bytes() };
    let token = cipher(world)?.decrypt(&XNonce::from(*nonce), payload);
    String::from_utf8(token.map_err(|_| broken())?).map_err(|_| broken())
}

fn cipher(world: &World) -> Result<XChaCha20Poly1305, Ours> {
    let secret = &Config::of(world)?.token_secret;
    let mac = Hmac::<Sha256>::new_from_slice(secret).map_err(Ours::broken)?;
    let key = mac.chain_update(PURPOSE).finalize().into_bytes();
    XChaCha20Poly1305::new_from_slice(&key).map_err(Ours::broken)
}
