//! Which texts are server names, and what are their parts?

use super::{Host, split};

#[track_caller]
fn is_split(name: &str, host: &str, port: Option<u16>, is_address: bool) {
    let (found, found_port) = split(name).unwrap();
    assert_eq!((found.to_string().as_str(), found_port), (host, port), "{name}");
    assert_eq!(found.address().is_some(), is_address, "{name}");
}

#[test]
fn names_are_divided_into_host_and_port() {
    is_split("example.org", "example.org", None, false);
    is_split("example.org:8448", "example.org", Some(8448), false);
    is_split("EXAMPLE.org", "EXAMPLE.org", None, false);
    is_split("localhost:80", "localhost", Some(80), false);
    is_split("xn--bcher-kva.example", "xn--bcher-kva.example", None, false);
    is_split("1.2.3.4", "1.2.3.4", None, true);
    is_split("1.2.3.4:65535", "1.2.3.4", Some(65_535), true);
    is_split("[2001:db8::1]", "[2001:db8::1]", None, true);
    is_split("[2001:db8::1]:80", "[2001:db8::1]", Some(80), true);
    is_split("[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", None, true);
}

#[test]
fn what_is_no_server_name_is_refused() {
    let long = "a".repeat(256);
    for name in [
        "",
        ":",
        ":80",
        "a_b.c",
        "a b",
        " a",
        "a:",
        "a:port",
        "a:65536",
        "a:123456",
        "a:+80",
        "a:-1",
        "a:80:80",
        "[::1",
        "::1",
        "[::1]80",
        "[::1]:",
        "[1.2.3.4]",
        "[fe80::1%eth0]",
        "[]",
        "user@host",
        "host/path",
        "host?x",
        "host#x",
        "bücher.example",
        "a\n",
        "a\0",
        "*",
        &long,
    ] {
        assert!(split(name).is_err(), "{name:?}");
    }
}

#[test]
fn names_that_url_parsers_take_for_addresses_are_refused() {
    for name in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "1.2.3.256",
        "1.2.3.4.",
        "a.1",
        "a.0x",
        "256.256.256.256",
    ] {
        assert!(split(name).is_err(), "{name}");
    }
    assert!(matches!(split("1.a"), Ok((Host::Dns(_), None))));
}
