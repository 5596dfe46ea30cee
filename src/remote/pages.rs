//! How is something on the web fetched, wherever it redirects to? Anywhere but within somebody's network.
//! ([security considerations](https://spec.matrix.org/v1.19/client-server-api/#content-repo-security-considerations))
//!
//! Users name these URLs, and so do the pages that are found there. So each hop is looked at anew: its scheme, and the
//! address that its host is or has.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use tombolo_platform::{Body, Limits, World};
use url::{Host, Url};

use super::{RemoteError, reach, resolve};
use crate::config::Config;

/// The longest URL, in bytes.
const MAX_URL: usize = 4096;

/// Why something on the web was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// Its host is an address within somebody's network.
    #[error("its address is not on the public network")]
    Blocked,
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// What is asked for, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Which types of content are read.
    pub accept: &'static str,
    /// In which language.
    pub language: &'a str,
    /// Until when the whole of it has to be there (ms).
    pub until: u64,
}

/// The URL of something on the web; none where it has another scheme, names a user or is very long.
pub fn web(text: &str) -> Option<Url> {
    if text.len() > MAX_URL {
        return None;
    }
    checked(Url::parse(text).ok()?)
}

/// Where a link leads to, if that is on the web.
pub fn linked(from: &Url, link: &str) -> Option<Url> {
    if link.len() > MAX_URL {
        return None;
    }
    checked(from.join(link).ok()?)
}

fn checked(mut url: Url) -> Option<Url> {
    url.set_fragment(None);
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_anybodys = url.username().is_empty() && url.password().is_none();
    (is_web && is_anybodys && url.as_str().len() <= MAX_URL).then_some(url)
}

/// Asks for what is at a URL, or where it redirects to: the URL at the end, and the answer.
pub async fn open(
    world: &World,
    url: Url,
    ask: Ask<'_>,
) -> Result<(Url, Response<Body>), Unopened> {
    let open = async |url: &Url| {
        guard(world, url).await?;
        let time = Duration::from_millis(ask.until.saturating_sub(world.now()));
        // Who reads the body knows how much of it is wanted.
        let limits = Limits { time, bytes: usize::MAX };
        Ok(reach::open(world, request(world, url, ask)?, limits).await?)
    };
    reach::follow(url, open, linked).await
}

/// Refuses what lies within somebody's network. What a name leads to is nobody's business but the network's: there the
/// name just leads nowhere.
async fn guard(world: &World, url: &Url) -> Result<(), Unopened> {
    let Some(host) = url.host() else { return Err(Unopened::Blocked) };
    let named = match &host {
        Host::Domain(name) => Some((*name).to_owned()),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    };
    resolve::guard_host(world, host).await.map_err(|error| match (error, named) {
        (RemoteError::Refused(_), None) => Unopened::Blocked,
        (RemoteError::Refused(_), Some(name)) => {
            RemoteError::Unreachable(format!("{name} has no address on the public network")).into()
        }
        (error, _) => error.into(),
    })
}

fn request(world: &World, url: &Url, ask: Ask<'_>) -> Result<Request<Bytes>, RemoteError> {
    let refused = |error: String| RemoteError::Refused(error);
    let config = Config::of(world).map_err(|error| refused(error.to_string()))?;
    let request = Request::builder()
        .uri(url.as_str())
        .header(header::USER_AGENT, reach::robot(&config))
        .header(header::ACCEPT, ask.accept)
        .header(header::ACCEPT_LANGUAGE, ask.language)
        .body(Bytes::new());
    request.map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_anybody_may_ask_for_is_on_the_web() {
        for url in ["https://example.org/", "http://example.org:8080/a?b", "HTTP://EXAMPLE.org"] {
            assert!(web(url).is_some(), "{url}");
        }
        let long = format!("https://example.org/{}", "a".repeat(MAX_URL));
        let grows = format!("https://example.org/{}", "ä".repeat(MAX_URL / 4));
        for url in [
            "",
            "example.org",
            "//example.org/",
            "file:///etc/passwd",
            "data:text/html,<title>a</title>",
            "ftp://example.org/",
            "javascript:alert(1)",
            "mxc://example.org/a",
            "https://",
            "https:///",
            "https://user@example.org/",
            "https://user:secret@example.org/",
            "https://:secret@example.org/",
            "https://example.org:99999/",
            "https://exa mple.org/",
            &long,
            &grows,
        ] {
            assert_eq!(web(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_is_seen_however_it_is_written() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://１２７.0.0.1/",
            "http://127%2e0.0.1/",
        ] {
            assert_eq!(web(url).unwrap().host_str(), Some("127.0.0.1"), "{url}");
        }
    }

    #[test]
    fn a_link_is_read_as_its_page_means_it() {
        let page = web("https://example.org/a/b?c").unwrap();
        let to = |link: &str| linked(&page, link).map(String::from);
        assert_eq!(to("d.png").as_deref(), Some("https://example.org/a/d.png"));
        assert_eq!(to("/d.png#e").as_deref(), Some("https://example.org/d.png"));
        assert_eq!(to("//cdn.org/d").as_deref(), Some("https://cdn.org/d"));
        assert_eq!(to(" https://cdn.org/d\n").as_deref(), Some("https://cdn.org/d"));
        for link in ["data:image/png;base64,AAAA", "file:///d", "https://a:b@cdn.org/"] {
            assert_eq!(to(link), None, "{link}");
        }
    }
}
