//! What does a server's name consist of?
//! ([server names](https://spec.matrix.org/v1.19/appendices/#server-name))

#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The host of a server name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name to be looked up.
    Dns(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

/// Not the name of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a server name")]
pub struct ServerNameFault(pub String);

impl Host<'_> {
    /// The address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Dns(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => formatter.write_str(name),
            Self::V4(address) => write!(formatter, "{address}"),
            Self::V6(address) => write!(formatter, "[{address}]"),
        }
    }
}

/// Divides a server name into host and port, if it is one.
pub fn split(name: &str) -> Result<(Host<'_>, Option<u16>), ServerNameFault> {
    parts(name).ok_or_else(|| ServerNameFault(name.chars().take(300).collect()))
}

fn parts(name: &str) -> Option<(Host<'_>, Option<u16>)> {
    if let Some(rest) = name.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        // A zone would name an interface of ours.
        let address = address.parse().ok()?;
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some((Host::V6(address), port));
    }
    let (host, port) = match name.split_once(':') {
        Some((host, digits)) => (host, Some(port(digits)?)),
        None => (name, None),
    };
    Some((host_of(host)?, port))
}

fn host_of(host: &str) -> Option<Host<'_>> {
    if let Ok(address) = host.parse() {
        return Some(Host::V4(address));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let fits = !host.is_empty() && host.len() <= 255 && host.bytes().all(allowed);
    // URL parsers take `127.1` and `0x7f000001` for addresses; no such name exists in the DNS.
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let is_number = match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    (fits && !is_number).then_some(Host::Dns(host))
}

/// One to five digits, at most 65535.
fn port(digits: &str) -> Option<u16> {
    let fits = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}
