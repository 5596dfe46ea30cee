//! Which step follows which answer, and where does the search end?

use super::{
    DEFAULT_LIFETIME, MAX_BODY, MAX_LIFETIME, MIN_LIFETIME, Record, Step, Target, WellKnownFault,
    begin, delegated, lifetime, redirected,
};

fn target(host: &str, port: u16, certificate: &str, host_header: &str) -> Target {
    Target {
        host: host.to_owned(),
        port,
        certificate: certificate.to_owned(),
        host_header: host_header.to_owned(),
    }
}

fn record(priority: u16, weight: u16, port: u16, host: &str) -> Record {
    Record { priority, weight, port, target: host.to_owned() }
}

#[track_caller]
fn leads_to(step: &Step, target: Target) {
    assert_eq!(*step, Step::Connect(vec![target]));
}

/// The step after asking the well-known file of this name.
#[track_caller]
fn after_well_known(name: &str, delegated: Option<&str>) -> Step {
    match begin(name).unwrap() {
        Step::WellKnown(well_known) => well_known.answered(delegated).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The step after both look-ups have found nothing but these.
#[track_caller]
fn after_srv(step: Step, queries: [&str; 2], answers: [Vec<Record>; 2]) -> Step {
    let mut step = step;
    for (query, answer) in queries.into_iter().zip(answers) {
        step = match step {
            Step::Srv(srv) => {
                assert_eq!(srv.query, query);
                srv.answered(answer)
            }
            done => return done,
        };
    }
    step
}

#[test]
fn addresses_and_ports_need_no_question() {
    leads_to(&begin("1.2.3.4").unwrap(), target("1.2.3.4", 8448, "1.2.3.4", "1.2.3.4"));
    leads_to(&begin("1.2.3.4:80").unwrap(), target("1.2.3.4", 80, "1.2.3.4", "1.2.3.4:80"));
    leads_to(&begin("[::1]").unwrap(), target("[::1]", 8448, "[::1]", "[::1]"));
    leads_to(&begin("a.org:80").unwrap(), target("a.org", 80, "a.org", "a.org:80"));
    assert!(begin("a_b.c").is_err());
}

#[test]
fn a_delegated_address_or_port_ends_the_search() {
    leads_to(
        &after_well_known("a.org", Some("1.2.3.4")),
        target("1.2.3.4", 8448, "1.2.3.4", "1.2.3.4"),
    );
    leads_to(
        &after_well_known("a.org", Some("b.org:80")),
        target("b.org", 80, "b.org", "b.org:80"),
    );
}

#[test]
fn a_delegated_name_is_looked_up_and_certified_itself() {
    let step = after_well_known("a.org", Some("b.org"));
    let queries = ["_matrix-fed._tcp.b.org", "_matrix._tcp.b.org"];
    let found = after_srv(step.clone(), queries, [vec![record(1, 1, 443, "c.org.")], vec![]]);
    leads_to(&found, target("c.org", 443, "b.org", "b.org"));
    let old = after_srv(step.clone(), queries, [vec![], vec![record(1, 1, 443, "c.org")]]);
    leads_to(&old, target("c.org", 443, "b.org", "b.org"));
    let none = after_srv(step, queries, [vec![], vec![]]);
    leads_to(&none, target("b.org", 8448, "b.org", "b.org"));
}

#[test]
fn without_delegation_the_name_itself_is_looked_up() {
    let step = after_well_known("a.org", None);
    let none = after_srv(step, ["_matrix-fed._tcp.a.org", "_matrix._tcp.a.org"], [vec![], vec![]]);
    leads_to(&none, target("a.org", 8448, "a.org", "a.org"));
}

#[test]
fn delegation_to_what_is_no_server_fails() {
    let Step::WellKnown(well_known) = begin("a.org").unwrap() else { panic!("no question") };
    assert!(well_known.answered(Some("b.org/x")).is_err());
}

#[test]
fn records_are_ordered_and_bounded() {
    let Step::Srv(srv) = after_well_known("a.org", None) else { panic!("no question") };
    let mut records =
        vec![record(2, 9, 1, "z.org"), record(1, 1, 2, "y.org"), record(1, 5, 3, "x.org")];
    records.extend((0..1000).map(|number| record(9, 0, 4, &format!("n{number}.org"))));
    let Step::Connect(targets) = srv.answered(records) else { panic!("no targets") };
    let ports: Vec<u16> = targets.iter().map(|target| target.port).collect();
    assert_eq!(ports, [3, 2, 1, 4, 4, 4, 4, 4, 4, 4]);
}

#[test]
fn records_that_lead_to_no_other_machine_count_as_none() {
    for record in [
        record(1, 1, 443, "localhost"),
        record(1, 1, 443, "a.localhost."),
        record(1, 1, 443, "."),
        record(1, 1, 443, ""),
        record(1, 1, 443, "127.0.0.1"),
        record(1, 1, 0, "b.org"),
        record(1, 1, 443, "b_c.org"),
    ] {
        let Step::Srv(srv) = after_well_known("a.org", None) else { panic!("no question") };
        assert!(matches!(srv.answered(vec![record]), Step::Srv(_)));
    }
}

#[test]
fn a_well_known_file_names_a_server() {
    assert_eq!(delegated(br#"{"m.server":"b.org:443"}"#).as_deref(), Ok("b.org:443"));
    assert_eq!(
        delegated(br#"{"m.server":"[2001:db8::1]","x":1.5}"#).as_deref(),
        Ok("[2001:db8::1]")
    );
    for body in ["", "x", "[]", "{}", r#"{"m.server":5}"#, r#"{"m.server":null}"#] {
        assert_eq!(delegated(body.as_bytes()), Err(WellKnownFault::NoServer), "{body}");
    }
    for name in ["b.org/x", "b.org:0", "https://b.org", "", "a@b.org", "b.org:99999"] {
        let body = format!(r#"{{"m.server":"{name}"}}"#);
        let fault = WellKnownFault::NotAServer(name.to_owned());
        assert_eq!(delegated(body.as_bytes()), Err(fault));
    }
    let large = format!(r#"{{"m.server":"b.org","x":"{}"}}"#, "x".repeat(MAX_BODY));
    assert_eq!(delegated(large.as_bytes()), Err(WellKnownFault::TooLarge));
}

#[test]
fn lifetimes_stay_between_five_minutes_and_two_days() {
    for (header, expected) in [
        (None, DEFAULT_LIFETIME),
        (Some(""), DEFAULT_LIFETIME),
        (Some("public"), DEFAULT_LIFETIME),
        (Some("max-age=x"), DEFAULT_LIFETIME),
        (Some("max-age=3600"), 3_600_000),
        (Some("Public, Max-Age=\"3600\""), 3_600_000),
        (Some("max-age=1"), MIN_LIFETIME),
        (Some("max-age=0"), MIN_LIFETIME),
        (Some("max-age=-5"), MIN_LIFETIME),
        (Some("no-store"), MIN_LIFETIME),
        (Some("max-age=9999, no-cache"), MIN_LIFETIME),
        (Some("max-age=99999999"), MAX_LIFETIME),
        (Some("max-age=9223372036854775807"), MAX_LIFETIME),
    ] {
        assert_eq!(lifetime(header, None, NOW), expected, "{header:?}");
    }
}

/// Sun, 06 Nov 1994 08:49:37 GMT
const NOW: i64 = 784_111_777_000;

#[test]
fn without_an_age_the_time_of_expiry_counts() {
    for (expires, expected) in [
        ("Sun, 06 Nov 1994 09:49:37 GMT", 3_600_000),
        ("Mon, 07 Nov 1994 08:49:36 GMT", 24 * 3_600_000 - 1000),
        ("Sun, 06 Nov 1994 08:49:37 GMT", MIN_LIFETIME),
        ("Thu, 01 Jan 1970 00:00:00 GMT", MIN_LIFETIME),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_LIFETIME),
        ("0", MIN_LIFETIME),
        ("", MIN_LIFETIME),
        ("Sun, 06 Nov 1994 09:49:37", MIN_LIFETIME),
        ("Sun, 06 Foo 1994 09:49:37 GMT", MIN_LIFETIME),
    ] {
        assert_eq!(lifetime(None, Some(expires), NOW), expected, "{expires}");
        assert_eq!(lifetime(Some("max-age=7200"), Some(expires), NOW), 7_200_000, "{expires}");
    }
    for (date, milliseconds) in [
        // The two forms that are obsolete.
        ("Sunday, 06-Nov-94 08:49:37 GMT", NOW),
        ("Sun Nov  6 08:49:37 1994", NOW),
        ("Tue, 29 Feb 2028 23:00:00 GMT", 1_835_478_000_000),
        ("Wed, 01 Mar 2028 00:00:00 GMT", 1_835_481_600_000),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 946_684_799_000),
    ] {
        assert_eq!(lifetime(None, Some(date), milliseconds - 3_600_000), 3_600_000, "{date}");
    }
}

#[test]
fn redirects_lead_to_https_only() {
    let from = "https://a.org:444/.well-known/matrix/server?x=/y";
    for (location, to) in [
        ("https://b.org/x", Some("https://b.org/x")),
        ("HTTPS://b.org:8/x?y#z", Some("https://b.org:8/x?y")),
        ("//b.org/x", Some("https://b.org/x")),
        ("/x", Some("https://a.org:444/x")),
        ("x", Some("https://a.org:444/.well-known/matrix/x")),
        ("x:y/z", None),
        ("./x:y", Some("https://a.org:444/.well-known/matrix/x:y")),
        ("../../../x", Some("https://a.org:444/x")),
        ("https://127.1/x", Some("https://127.0.0.1/x")),
        ("https://[::1/x", None),
        ("?z", Some("https://a.org:444/.well-known/matrix/server?z")),
        ("http://b.org/x", None),
        ("file:///x", None),
        ("javascript:x", None),
        ("", None),
        ("#z", None),
        ("server?x=/y#z", None),
    ] {
        assert_eq!(redirected(from, location).as_deref(), to, "{location}");
    }
    assert_eq!(redirected("https://a.org", "x").as_deref(), Some("https://a.org/x"));
    assert_eq!(redirected("http://a.org/x", "/y"), None);
}
