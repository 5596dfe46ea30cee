//! Which server sent this request, and did it really?
//! ([request authentication](https://spec.matrix.org/v1.19/server-server-api/#request-authentication))

#[cfg(test)]
mod tests;

use std::{iter::Peekable, str::Chars};

use ruma::{OwnedServerName, ServerName};

use crate::{
    canonical_json::write_string,
    server_keys::ServerKeys,
    server_name,
    signing::{SigningKey, is_key_id, is_signature},
};

/// The longest header that is read.
pub const MAX_HEADER: usize = 8192;

/// An `Authorization` header of the scheme `X-Matrix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The server that sends.
    pub origin: OwnedServerName,
    /// The server it means to reach; older ones leave it out.
    pub destination: Option<String>,
    /// The ID of the key used.
    pub key: String,
    /// The signature.
    pub sig: String,
}

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// Path and query, as they stand in the request.
    pub uri: &'a str,
    /// The body, if there is one: as [`crate::json::signed_text`] writes a text, and
    /// [`crate::canonical_json::loose_to_string`] a value.
    pub content: Option<&'a str>,
}

/// Why a request is not authenticated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XMatrixFault {
    /// The header has no form (400).
    #[error("the Authorization header is malformed: {0}")]
    Malformed(&'static str),
    /// It is of another scheme, or not there (401).
    #[error("there is no X-Matrix authorization")]
    Missing,
    /// It names another destination, or ourselves as the origin (401).
    #[error("the request is not from that server to this one")]
    WrongServer,
    /// The key is unknown, out of use or expired (401).
    #[error("the key {0} cannot be used")]
    Key(String),
    /// The signature is wrong (401).
    #[error("the signature is wrong")]
    Signature,
}

impl Authorization {
    /// Reads a header.
    pub fn parse(header: &str) -> Result<Self, XMatrixFault> {
        if header.len() > MAX_HEADER {
            return Err(XMatrixFault::Malformed("it is too long"));
        }
        let (scheme, parameters) = header.trim().split_once([' ', '\t']).unwrap_or((header, ""));
        if !scheme.trim().eq_ignore_ascii_case("x-matrix") {
            return Err(XMatrixFault::Missing);
        }
        let mut named = Named::default();
        let mut rest = parameters.chars().peekable();
        while let Some((name, value)) = parameter(&mut rest)? {
            named.take(&name, value)?;
        }
        named.complete()
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> String {
        let Self { origin, destination, key, sig } = self;
        let destination = destination.as_deref();
        let destination =
            destination.map(|name| format!("destination=\"{name}\",")).unwrap_or_default();
        format!("X-Matrix origin=\"{origin}\",{destination}key=\"{key}\",sig=\"{sig}\"")
    }

    /// Checks that the request was signed by its origin, for `this_server`, with a key in use now.
    pub fn verify(
        &self,
        request: Request<'_>,
        this_server: &ServerName,
        keys: &ServerKeys,
        now: i64,
    ) -> Result<(), XMatrixFault> {
        self.check_servers(this_server)?;
        let usable =
            keys.keys.get(&self.key).filter(|key| !key.retired && key.valid_until_ts >= now);
        let key = usable.ok_or_else(|| XMatrixFault::Key(self.key.clone()))?;
        let signed = |destination: Option<&str>| {
            let message = message(request, &self.origin, destination);
            is_signature(&key.key, message.as_bytes(), &self.sig)
        };
        // A server that does not name the destination in the header may still have signed it.
        if signed(Some(this_server.as_str())) || self.destination.is_none() && signed(None) {
            Ok(())
        } else {
            Err(XMatrixFault::Signature)
        }
    }

    /// Checks that the header is from another server to this one; needs no keys.
    pub fn check_servers(&self, this_server: &ServerName) -> Result<(), XMatrixFault> {
        let is_ours = |name: &str| name == this_server.as_str();
        if is_ours(self.origin.as_str()) || !self.destination.as_deref().is_none_or(is_ours) {
            return Err(XMatrixFault::WrongServer);
        }
        Ok(())
    }
}

/// Signs a request to another server.
#[must_use]
pub fn sign(
    request: Request<'_>,
    origin: &ServerName,
    destination: &ServerName,
    key: &SigningKey,
) -> Authorization {
    let sig = key.sign(message(request, origin, Some(destination.as_str())).as_bytes());
    Authorization {
        origin: origin.to_owned(),
        destination: Some(destination.to_string()),
        key: key.key_id().to_owned(),
        sig,
    }
}

/// The text that is signed.
fn message(request: Request<'_>, origin: &ServerName, destination: Option<&str>) -> String {
    let mut text = String::from("{");
    if let Some(content) = request.content {
        text.push_str("\"content\":");
        text.push_str(content);
        text.push(',');
    }
    let destination = destination.map(|name| ("\"destination\":", name));
    let members = [
        destination,
        Some(("\"method\":", request.method)),
        Some(("\"origin\":", origin.as_str())),
        Some(("\"uri\":", request.uri)),
    ];
    for (index, (lead, value)) in members.into_iter().flatten().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(lead);
        write_string(&mut text, value);
    }
    text.push('}');
    text
}

/// The parameters found so far.
#[derive(Default)]
struct Named {
    origin: Option<String>,
    destination: Option<String>,
    key: Option<String>,
    sig: Option<String>,
}

impl Named {
    fn take(&mut self, name: &str, value: String) -> Result<(), XMatrixFault> {
        let place = match name.to_ascii_lowercase().as_str() {
            "origin" => &mut self.origin,
            "destination" => &mut self.destination,
            "key" => &mut self.key,
            "sig" => &mut self.sig,
            _ => return Ok(()),
        };
        match place {
            Some(earlier) if *earlier != value => {
                Err(XMatrixFault::Malformed("a parameter has two values"))
            }
            _ => {
                *place = Some(value);
                Ok(())
            }
        }
    }

    fn complete(self) -> Result<Authorization, XMatrixFault> {
        let origin = self.origin.ok_or(XMatrixFault::Malformed("there is no origin"))?;
        let key = self.key.ok_or(XMatrixFault::Malformed("there is no key"))?;
        let sig = self.sig.ok_or(XMatrixFault::Malformed("there is no signature"))?;
        if !is_key_id(&key) {
            return Err(XMatrixFault::Malformed("the key is not an Ed25519 key"));
        }
        if server_name::split(&origin).is_err() {
            return Err(XMatrixFault::Malformed("the origin is not a server name"));
        }
        let origin = ServerName::parse(origin)
            .map_err(|_| XMatrixFault::Malformed("the origin is not a server name"))?;
        Ok(Authorization { origin, destination: self.destination, key, sig })
    }
}

/// The next parameter, after any commas and space; none at the end.
fn parameter(rest: &mut Peekable<Chars<'_>>) -> Result<Option<(String, String)>, XMatrixFault> {
    while rest.next_if(|&character| is_space(character) || character == ',').is_some() {}
    if rest.peek().is_none() {
        return Ok(None);
    }
    let name =
        take_while(rest, |character| !is_space(character) && !matches!(character, '=' | ','));
    skip_space(rest);
    if rest.next() != Some('=') || name.is_empty() {
        return Err(XMatrixFault::Malformed("a parameter has no value"));
    }
    skip_space(rest);
    let value = match rest.next_if_eq(&'"') {
        Some(_) => quoted(rest)?,
        None => {
            take_while(rest, |character| !is_space(character) && !matches!(character, ',' | '"'))
        }
    };
    skip_space(rest);
    match rest.peek() {
        None | Some(',') => Ok(Some((name, value))),
        Some(_) => Err(XMatrixFault::Malformed("a comma is missing")),
    }
}

/// The rest of a quoted string whose first quote has been read.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String, XMatrixFault> {
    let mut value = String::new();
    loop {
        match rest.next() {
            Some('"') => return Ok(value),
            Some('\\') => value.extend(rest.next()),
            Some(character) => value.push(character),
            None => return Err(XMatrixFault::Malformed("a quoted value does not end")),
        }
    }
}

fn take_while(rest: &mut Peekable<Chars<'_>>, belongs: impl Fn(char) -> bool) -> String {
    let mut taken = String::new();
    while let Some(character) = rest.next_if(|&character| belongs(character)) {
        taken.push(character);
    }
    taken
}

fn skip_space(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|&character| is_space(character)).is_some() {}
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t')
}
