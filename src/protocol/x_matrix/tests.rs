//! Which requests count as signed by their origin?

use ruma::{OwnedServerName, ServerName};
use serde_json::json;

use super::{Authorization, Request, XMatrixFault, message, sign};
use crate::{
    canonical_json::loose_to_string,
    server_keys::{ServerKeys, VerifyKey},
    signing::SigningKey,
};

const NOW: i64 = 1000;

fn name(text: &str) -> OwnedServerName {
    ServerName::parse(text).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed("ed25519:k", [3; 32]).unwrap()
}

fn keys(valid_until_ts: i64, retired: bool) -> ServerKeys {
    let entry = VerifyKey { key: key().public_key(), valid_until_ts, retired };
    ServerKeys { keys: [("ed25519:k".to_owned(), entry)].into() }
}

fn request(content: Option<&str>) -> Request<'_> {
    Request { method: "PUT", uri: "/_matrix/federation/v1/send/1?a=%20b", content }
}

fn signed(content: Option<&str>) -> Authorization {
    sign(request(content), &name("origin.org"), &name("here.org"), &key())
}

#[track_caller]
fn verifies(
    authorization: &Authorization,
    request: Request<'_>,
    keys: &ServerKeys,
    expected: Result<(), XMatrixFault>,
) {
    assert_eq!(authorization.verify(request, &name("here.org"), keys, NOW), expected);
}

#[track_caller]
fn is_malformed(header: &str) {
    let parsed = Authorization::parse(header);
    assert!(matches!(parsed, Err(XMatrixFault::Malformed(_))), "{header} {parsed:?}");
}

#[test]
fn a_signed_request_is_verified_over_its_header() {
    let body = loose_to_string(&json!({ "pdus": [], "float": 1.5, "b": { "z": 1, "a": "é" } }));
    for content in [None, Some(body.as_str())] {
        let header = signed(content).header();
        let parsed = Authorization::parse(&header).unwrap();
        assert_eq!(parsed, signed(content));
        verifies(&parsed, request(content), &keys(NOW, false), Ok(()));
    }
}

#[test]
fn a_changed_request_is_refused() {
    let (body, other) = (r#"{"a":1}"#, r#"{"a":2}"#);
    let good = request(Some(body));
    for changed in [
        Request { method: "POST", ..good },
        Request { uri: "/_matrix/federation/v1/send/2", ..good },
        Request { uri: "/_matrix/federation/v1/send/1?a= b", ..good },
        Request { content: None, ..good },
        Request { content: Some(other), ..good },
    ] {
        verifies(&signed(Some(body)), changed, &keys(NOW, false), Err(XMatrixFault::Signature));
    }
}

#[test]
fn only_a_key_in_use_counts() {
    let fault = Err(XMatrixFault::Key("ed25519:k".to_owned()));
    for unusable in [keys(NOW - 1, false), keys(NOW, true), ServerKeys::default()] {
        verifies(&signed(None), request(None), &unusable, fault.clone());
    }
}

#[test]
fn requests_for_others_or_from_ourselves_are_refused() {
    let mut elsewhere = signed(None);
    elsewhere.destination = Some("elsewhere.org".to_owned());
    verifies(&elsewhere, request(None), &keys(NOW, false), Err(XMatrixFault::WrongServer));
    let ours = sign(request(None), &name("here.org"), &name("here.org"), &key());
    verifies(&ours, request(None), &keys(NOW, false), Err(XMatrixFault::WrongServer));
}

#[test]
fn a_destination_may_be_left_out_of_the_header() {
    let mut silent = signed(None);
    silent.destination = None;
    assert!(!silent.header().contains("destination"));
    verifies(&silent, request(None), &keys(NOW, false), Ok(()));
    silent.sig = key().sign(message(request(None), &name("origin.org"), None).as_bytes());
    verifies(&silent, request(None), &keys(NOW, false), Ok(()));
    let mut named = silent;
    named.destination = Some("here.org".to_owned());
    verifies(&named, request(None), &keys(NOW, false), Err(XMatrixFault::Signature));
}

#[test]
fn the_signed_text_is_canonical() {
    let body = loose_to_string(&json!({ "b": 1, "a": [true, null] }));
    assert_eq!(
        message(request(Some(&body)), &name("o.org"), Some("d.org")),
        r#"{"content":{"a":[true,null],"b":1},"destination":"d.org","method":"PUT","origin":"o.org","uri":"/_matrix/federation/v1/send/1?a=%20b"}"#
    );
}

#[test]
fn headers_are_read_in_every_form_the_grammar_has() {
    for header in [
        r#"X-Matrix origin="o.org:80",destination="d.org",key="ed25519:k",sig="s/+""#,
        r#"x-matrix sig=s/+,key=ed25519:k,origin=o.org:80,destination=d.org"#,
        "X-MATRIX  ORIGIN = \"o.org:80\" ,\tKey=\"ed25519:k\", , DESTINATION=\"d.org\",Sig=\"s/+\",",
        r#"X-Matrix origin="o\.o\rg:80",destination="\d.org",key="ed25519\:k",sig="s\/+""#,
        r#"X-Matrix unknown="a,b=\"c\"",origin="o.org:80",destination="d.org",key="ed25519:k",sig="s/+",x=y"#,
        r#"X-Matrix origin="o.org:80",origin="o.org:80",destination="d.org",key="ed25519:k",sig="s/+""#,
    ] {
        let parsed = Authorization::parse(header).unwrap();
        assert_eq!(
            (
                parsed.origin.as_str(),
                parsed.destination.as_deref(),
                parsed.key.as_str(),
                parsed.sig.as_str()
            ),
            ("o.org:80", Some("d.org"), "ed25519:k", "s/+"),
            "{header}"
        );
    }
}

#[test]
fn headers_without_form_are_refused() {
    for header in [
        "X-Matrix",
        "X-Matrix ",
        r#"X-Matrix origin="o.org",key="ed25519:k""#,
        r#"X-Matrix origin="o.org",sig="s""#,
        r#"X-Matrix key="ed25519:k",sig="s""#,
        r#"X-Matrix origin="o.org",key="k",sig="s""#,
        r#"X-Matrix origin="o.org",key="rsa:k",sig="s""#,
        r#"X-Matrix origin="o.org",key="ed25519:k",sig="s"#,
        r#"X-Matrix origin="o.org",key="ed25519:k",sig="s\"#,
        r#"X-Matrix origin="o.org" key="ed25519:k",sig="s""#,
        r#"X-Matrix origin"o.org",key="ed25519:k",sig="s""#,
        r#"X-Matrix ="o.org",key="ed25519:k",sig="s""#,
        r#"X-Matrix origin="o.org",origin="p.org",key="ed25519:k",sig="s""#,
    ] {
        is_malformed(header);
    }
    is_malformed(&format!(
        r#"X-Matrix origin="o.org",key="ed25519:k",sig="{}""#,
        "s".repeat(65_536)
    ));
}

#[test]
fn origins_that_are_no_server_are_refused_before_they_are_looked_up() {
    for origin in ["a@127.0.0.1:1", "evil/../x", "", "a b", "127.1", "a:99999", "a_b"] {
        is_malformed(&format!(r#"X-Matrix origin="{origin}",key="ed25519:k",sig="s""#));
    }
}

#[test]
fn other_schemes_are_none_of_ours() {
    for header in ["", "Bearer x", "X-Matrixx origin=o.org", "Basic origin=\"o.org\""] {
        assert_eq!(Authorization::parse(header), Err(XMatrixFault::Missing), "{header}");
    }
}
